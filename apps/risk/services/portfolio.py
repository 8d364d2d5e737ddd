"""
All open positions of a shard in memory, revalued with NumPy as prices move, to find who needs attention.

A tick values again only what its symbols price or convert. Changes of single accounts cost what the account
holds, not what the house holds. Sums are kept by differences and computed anew now and then, so that they do
not drift. Floats find candidates; the book decides in Decimal under the lock. Reads no database and is not
safe from several threads: whoever owns it locks.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.groups.selectors import TermsBook
from apps.market.domain.quotes import Quote
from apps.risk.services.portfolio_accounts import Accounts, Facts, Indices
from apps.risk.services.portfolio_blocks import Block, Held
from apps.risk.services.portfolio_marks import Marks
from apps.risk.services.portfolio_prices import Floats, Prices

ROW_BITS = 32
ROW = (1 << ROW_BITS) - 1


class Found(NamedTuple):
    """
    Account ids: at or below stop-out (worst first), newly at or below the margin call, no longer so.

    Who fell through both levels is in both: when nothing can be closed the client is called at least.
    `ranks`: of those at or below stop-out, margin level in percent and equity.
    """

    stop: list[int]
    call: list[int]
    end: list[int]
    ranks: list[tuple[float, float]]


NOTHING = Found([], [], [], [])


class Bulk(NamedTuple):
    """Many positions as arrays of the same length; `symbols` and `profit_currencies` name their numbers."""

    ids: NDArray[np.int64]
    accounts: NDArray[np.int64]
    symbol: NDArray[np.int64]
    profit_currency: NDArray[np.int64]
    is_buy: NDArray[np.bool_]
    slope: Floats
    base: Floats
    swap: Floats
    is_own: NDArray[np.bool_]
    symbols: Sequence[str]
    profit_currencies: Sequence[str]


class Portfolio:
    """Accounts and open positions of one shard at the present prices."""

    def __init__(self, book: TermsBook) -> None:
        self.accounts = Accounts()
        self.marks = Marks()
        self.prices = Prices(book)
        self.blocks: list[Block] = []
        self.blind = 0  # accounts that cannot be valued
        self._by_key: dict[tuple[str, str, str], Block] = {}
        self._following: dict[str, dict[int, Block]] = {}  # symbol -> blocks whose values it moves
        self._places: dict[int, int] = {}  # position -> block and row
        self._held: dict[int, list[int]] = {}  # place of an account -> its positions
        self.accounts.take_groups(book.groups)

    @property
    def positions(self) -> int:
        """How many positions there are."""
        return len(self._places)

    # -- prices and terms

    def tick(self, latest: Mapping[str, Quote], names: Iterable[str], *, now_ms: int) -> Found:
        """Take the latest quotes of some symbols, value what they move, and return who needs attention."""
        moved = self.prices.take(latest, names)
        blocks = {number: block for name in moved for number, block in self._following.get(name, {}).items()}
        rows = 0
        for block in blocks.values():
            self._revalue(block)
            rows += block.count
        if not rows:
            return NOTHING
        if rows >= self.accounts.count:
            return self.check(self.accounts.all, now_ms=now_ms)
        places = [block.accounts[: block.count] for block in blocks.values()]
        return self.check(np.concatenate(places), now_ms=now_ms)

    def take_terms(self, book: TermsBook) -> None:
        """Value everything under other terms: markups, ways of conversion, levels."""
        known = self.prices
        self.prices = Prices(book)
        self.prices.take(known.latest, known.latest)
        self._following.clear()
        for block in self.blocks:
            block.arm(self.prices)
            self._follow(block)
        self.accounts.take_groups(book.groups)
        self.recompute()

    def recompute(self) -> float:
        """Value everything anew and add it up exactly; return by how much the worst account had drifted."""
        accounts, size = self.accounts, self.accounts.count
        before = accounts.floating[:size].copy()
        for block in self.blocks:
            self._revalue(block)
        accounts.missing[:size] = 0
        exact = np.zeros(size)
        for block in self.blocks:
            owners = block.accounts[: block.count]
            np.add.at(exact, owners, block.value[: block.count])
            if block.bad:
                np.add.at(accounts.missing, owners[block.is_bad[: block.count]], 1)
        accounts.floating[:size] = exact
        accounts.judge(np.arange(size))
        self._count_blind()
        return float(np.abs(exact - before).max()) if size else 0.0

    def check(self, places: Indices, *, now_ms: int) -> Found:
        """Compare accounts with their thresholds (they may come more than once) and keep their marks."""
        accounts = self.accounts
        if self.blind:
            places = np.arange(accounts.count)[places] if isinstance(places, slice) else places
            places = places[accounts.missing[places] == 0]
        equity = accounts.equity(places)
        self.marks.observe(places, equity, now_ms)
        low = equity <= accounts.alert_at[places]
        over = equity > accounts.ends_at[places]
        if not low.any() and not over.any():
            return NOTHING
        found = np.unique(low.nonzero()[0] if isinstance(places, slice) else places[low])
        ended = np.unique(over.nonzero()[0] if isinstance(places, slice) else places[over])
        worth = accounts.equity(found)
        broke, called = worth <= accounts.stop_at[found], worth <= accounts.call_at[found]
        stop, worth = found[broke], worth[broke]
        levels = accounts.levels(stop, worth)
        order = np.lexsort((worth, levels))
        return Found(
            stop=accounts.ids[stop[order]].tolist(),
            ranks=list(zip(levels[order].tolist(), worth[order].tolist(), strict=True)),
            call=accounts.ids[found[called]].tolist(),
            end=accounts.ids[ended].tolist(),
        )

    def look(self, *, now_ms: int) -> Found:
        """Look at every account: who needs attention, and what of the credit is in use."""
        accounts = self.accounts
        places: Indices = accounts.all
        if self.blind:
            places = (accounts.missing[: accounts.count] == 0).nonzero()[0]
        equity = accounts.equity(places)
        self.marks.sample(places, equity, accounts.credit[places], accounts.margin[places])
        return self.check(places, now_ms=now_ms)

    def seqs(self, account_ids: Iterable[int]) -> dict[int, int]:
        """Return accounts with the number of the last event that is known of them."""
        return {id_: int(self.accounts.seq[self.accounts.index[id_]]) for id_ in account_ids}

    def known(self, account_ids: Iterable[int]) -> dict[int, int | None]:
        """Return accounts with the number of their last known event; None: never heard of."""
        index, seq = self.accounts.index, self.accounts.seq
        return {id_: int(seq[index[id_]]) if id_ in index else None for id_ in account_ids}

    def blind_symbols(self) -> list[str]:
        """Return the symbols of positions that cannot be valued."""
        return sorted({block.symbol for block in self.blocks if block.bad})

    def _revalue(self, block: Block) -> None:
        count = block.count
        if not count:
            return
        worth = block.worth(self.prices, slice(0, count))
        owners = block.accounts[:count]
        if block.bad or not np.isfinite(worth.sum()):
            self._note_missing(block, worth)
        known = block.value[:count]
        np.add.at(self.accounts.floating, owners, worth - known)
        known[:] = worth

    def _note_missing(self, block: Block, worth: Floats) -> None:
        """Count what has no price or conversion any more, or has one again; without, it is worth nothing."""
        count = block.count
        bad = ~np.isfinite(worth)
        worth[bad] = 0.0
        changed = bad != block.is_bad[:count]
        if not changed.any():
            return
        owners = block.accounts[:count][changed]
        np.add.at(self.accounts.missing, owners, np.where(bad[changed], 1, -1))
        block.is_bad[:count] = bad
        block.bad = int(bad.sum())
        self.accounts.judge(np.unique(owners))
        self._count_blind()

    def _count_blind(self) -> None:
        self.blind = int(np.count_nonzero(self.accounts.missing[: self.accounts.count]))

    # -- accounts

    def load(self, facts: Iterable[Facts], positions: Bulk) -> None:
        """Fill an empty portfolio; accounts in the order of their ids."""
        accounts = self.accounts
        for one in facts:
            accounts.put(one)
        size = accounts.count
        self.marks.reserve(accounts.count)
        places = np.searchsorted(accounts.ids[:size], positions.accounts)
        accounts.positions[:size] = np.bincount(places, minlength=size)
        accounts.swap[:size] = np.bincount(places, weights=positions.swap, minlength=size)
        self._fill_blocks(positions, places)
        order = np.argsort(places, kind="stable")
        owners, starts = np.unique(places[order], return_index=True)
        of_owner = np.split(positions.ids[order], starts[1:]) if len(owners) else []
        self._held = {owner: held.tolist() for owner, held in zip(owners.tolist(), of_owner, strict=True)}
        self.recompute()

    def _fill_blocks(self, positions: Bulk, places: NDArray[np.int64]) -> None:
        accounts = self.accounts
        currencies = accounts.currency[places]
        kinds = np.stack([positions.symbol, positions.profit_currency, currencies])
        names = list(accounts.currencies)
        keys, inverse = np.unique(kinds, axis=1, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        bounds = np.searchsorted(inverse[order], np.arange(keys.shape[1] + 1))
        for number in range(keys.shape[1]):
            symbol, profit_currency, currency = keys[:, number].tolist()
            rows = order[bounds[number] : bounds[number + 1]]
            block = self._block(
                positions.symbols[symbol], positions.profit_currencies[profit_currency], names[currency]
            )
            groups = 2 * accounts.group[places[rows]] + positions.is_buy[rows]
            cells, of_row = np.unique(groups, return_inverse=True)
            numbers = [block.cell(int(cell) // 2, bool(cell % 2), self.prices)[0] for cell in cells]
            block.fill(
                ids=positions.ids[rows],
                accounts=places[rows],
                cells=np.array(numbers, np.int32)[of_row],
                slope=positions.slope[rows],
                base=positions.base[rows],
                swap=positions.swap[rows],
                is_own=positions.is_own[rows],
            )
            self._follow(block)
            first = block.number << ROW_BITS
            self._places.update(
                zip(block.ids[: block.count].tolist(), range(first, first + block.count), strict=True)
            )

    def put(self, changed: Sequence[tuple[Facts, Sequence[Held]]], *, now_ms: int) -> Found:
        """Take over what accounts have become, and return which of them need attention."""
        changed_rows: dict[int, list[int]] = {}
        places = []
        for facts, positions in changed:
            place = self.accounts.put(facts)
            self.marks.reserve(self.accounts.count)
            places.append(place)
            if facts.flow:
                self.marks.flow(place, facts.flow, equity=self._equity_before(place))
            self.marks.is_new[place] = True
            self._put_positions(place, facts, positions, changed_rows)
        self._value_rows(changed_rows)
        for place in places:
            self._add_up(place)
        found = np.array(places, np.int64)
        self.accounts.judge(found)
        self._count_blind()
        return self.check(found, now_ms=now_ms)

    def _equity_before(self, place: int) -> float:
        """Return what an account was worth before what is being put; NaN: that cannot be told."""
        accounts = self.accounts
        is_blind = bool(accounts.missing[place])
        return math.nan if is_blind else float(accounts.settled[place] + accounts.floating[place])

    def _put_positions(
        self, place: int, facts: Facts, positions: Sequence[Held], changed: dict[int, list[int]]
    ) -> None:
        kept = {held.id for held in positions}
        for gone in self._held.get(place, ()):
            if gone not in kept:
                self._remove(gone)
        for held in positions:
            block = self._block(held.symbol, held.profit_currency, facts.currency)
            cell, is_new = block.cell(facts.group_id, held.is_buy, self.prices)
            if is_new:
                self._follow(block)
            packed = self._places.get(held.id)
            if packed is not None and packed >> ROW_BITS != block.number:
                self._remove(held.id)
                packed = None
            if packed is None:
                row = block.append(held, place, cell)
                self._places[held.id] = block.number << ROW_BITS | row
            elif not block.is_same(packed & ROW, held, cell):
                block.change(packed & ROW, held, cell)
            else:
                continue
            changed.setdefault(block.number, []).append(held.id)
        self._held[place] = [held.id for held in positions]
        self.accounts.swap[place] = sum(held.swap for held in positions)
        self.accounts.positions[place] = len(positions)

    def _value_rows(self, changed: dict[int, list[int]]) -> None:
        for number, ids in changed.items():
            block = self.blocks[number]
            rows = np.array([self._places[id_] & ROW for id_ in ids if id_ in self._places], np.int64)
            worth = block.worth(self.prices, rows)
            bad = ~np.isfinite(worth)
            worth[bad] = 0.0
            block.bad += int(bad.sum()) - int(block.is_bad[rows].sum())
            block.value[rows], block.is_bad[rows] = worth, bad

    def _add_up(self, place: int) -> None:
        floating, missing = 0.0, 0
        for id_ in self._held[place]:
            packed = self._places[id_]
            block, row = self.blocks[packed >> ROW_BITS], packed & ROW
            floating += block.value[row]
            missing += bool(block.is_bad[row])
        self.accounts.floating[place], self.accounts.missing[place] = floating, missing

    def _remove(self, position_id: int) -> None:
        packed = self._places.pop(position_id)
        moved = self.blocks[packed >> ROW_BITS].remove(packed & ROW)
        if moved is not None:
            self._places[moved] = packed

    def _block(self, symbol: str, profit_currency: str, currency: str) -> Block:
        key = (symbol, profit_currency, currency)
        block = self._by_key.get(key)
        if block is None:
            block = self._by_key[key] = Block(len(self.blocks), *key)
            self.blocks.append(block)
        return block

    def _follow(self, block: Block) -> None:
        for symbol in block.symbols(self.prices):
            self._following.setdefault(symbol, {})[block.number] = block
