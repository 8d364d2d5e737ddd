"""
What waits for a price: working orders, stop losses, take profits and trailing stops of one symbol. Pure.

Each waiting price is turned into the raw price of the feed at which the client's own price is reached, so
that one comparison per side decides for the groups of all markups. Nothing here decides what happens then:
that is the account book.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from apps.groups.domain.terms import Terms
from apps.market.domain.quotes import Quote
from apps.trading.domain.orders import OrderType, Side
from rtx.kernel.errors import Conflict

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALWAYS = Decimal("-Infinity")
NEVER = Decimal("Infinity")
SPARE_MAX = 64  # so many empty prices a side keeps before it looks whether they are too many


class TriggerVoid(Conflict):
    """What was to be set off has gone, has changed, or cannot happen now. Nothing is journaled."""

    code = "trigger_void"
    title = "Nothing to set off"


class TriggerHeld(TriggerVoid):
    """
    Trading was stopped for a while. What waits goes on waiting, and no price that passed meanwhile counts for
    it: else whoever waits could choose, after the stop, among prices that nobody could trade.
    """

    code = "trigger_held"
    title = "Trading is stopped for now"


class Waiting(StrEnum):
    """What an entry is."""

    ORDER = "order"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING = "trailing"


class Reach(Enum):
    """Which raw price has to go where. The value says whether it is the ask, and whether it has to rise."""

    ASK_RISES = (True, True)
    ASK_FALLS = (True, False)
    BID_RISES = (False, True)
    BID_FALLS = (False, False)


class Key(NamedTuple):
    """Names an entry: what it is, and the ticket of its order or position."""

    waiting: Waiting
    id: int


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One waiting price. `price` is the client's, `raw` the feed's that reaches it (infinite: any does).

    `activates`: a stop limit that becomes a limit. After `expires_at` nothing is reached any more.
    `distance`: how far a trailing stop stays behind the price. `since`: when it began to wait; tickets do not
    tell, each process takes them from a block of its own.
    """

    key: Key
    account_id: int
    symbol: str
    reach: Reach
    price: Decimal
    raw: Decimal
    expires_at: datetime | None = None
    activates: bool = False
    distance: Decimal | None = None
    since: datetime = EPOCH

    def is_reached_by(self, quote: Quote) -> bool:
        """Say whether a raw quote reaches the price."""
        is_ask, rises = self.reach.value
        present = quote.ask if is_ask else quote.bid
        return present >= self.raw if rises else present <= self.raw


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingOrder:
    """A working order, as far as its trigger needs it. `waits_as` is never a stop limit (see orders.py)."""

    id: int
    account_id: int
    side: Side
    waits_as: OrderType
    waits_for: Decimal
    activates: bool = False
    expires_at: datetime | None = None
    since: datetime = EPOCH


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedPosition:
    """An open position with stops, as far as their triggers need it."""

    id: int
    account_id: int
    side: Side
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_points: int | None = None
    since: datetime = EPOCH


def of_order(order: WaitingOrder, terms: Terms) -> Entry:
    """Return the entry of a working order: buys wait on the ask, sells on the bid."""
    is_buy = order.side is Side.BUY
    rises = is_buy is (order.waits_as is OrderType.STOP)
    return _entry(
        Key(Waiting.ORDER, order.id),
        order.account_id,
        terms,
        reach=Reach((is_buy, rises)),
        price=order.waits_for,
        expires_at=order.expires_at,
        activates=order.activates,
        since=order.since,
    )


def of_position(position: GuardedPosition, terms: Terms) -> Iterator[Entry]:
    """Yield the entries of a position: a buy closes on the bid, a sell on the ask."""
    is_buy = position.side is Side.BUY
    against, in_favor = Reach((not is_buy, not is_buy)), Reach((not is_buy, is_buy))
    kept, since = position.account_id, position.since
    if position.stop_loss is not None:
        key = Key(Waiting.STOP_LOSS, position.id)
        yield _entry(key, kept, terms, reach=against, price=position.stop_loss, since=since)
    if position.take_profit is not None:
        key = Key(Waiting.TAKE_PROFIT, position.id)
        yield _entry(key, kept, terms, reach=in_favor, price=position.take_profit, since=since)
    if position.trailing_points is not None:
        key = Key(Waiting.TRAILING, position.id)
        if position.stop_loss is None:
            price = ALWAYS if is_buy else NEVER
        else:  # the price that pulls the stop by one point
            way = (position.trailing_points + 1) * terms.symbol.point
            price = position.stop_loss + way if is_buy else position.stop_loss - way
        distance = position.trailing_points * terms.symbol.point
        yield _entry(key, kept, terms, reach=in_favor, price=price, distance=distance, since=since)


def _entry(
    key: Key,
    account_id: int,
    terms: Terms,
    *,
    reach: Reach,
    price: Decimal,
    expires_at: datetime | None = None,
    activates: bool = False,
    distance: Decimal | None = None,
    since: datetime = EPOCH,
) -> Entry:
    if reach.value[0]:
        raw = price - terms.markup_ask_points * terms.symbol.point
    else:
        raw = price + terms.markup_bid_points * terms.symbol.point
    return Entry(
        key, account_id, terms.symbol.name, reach, price, raw, expires_at, activates, distance, since
    )


def first_to_reach(entry: Entry, quotes: Iterable[Quote]) -> Quote | None:
    """
    Return the quote that sets an entry off among quotes in order of arrival.

    It is the first that reaches it. A trailing stop is pulled by the best one before the price fell back by
    the stop's distance: then the stop that the best one made was hit, and what came later counts no more.
    """
    coming = iter(quotes)
    best = next((quote for quote in coming if entry.is_reached_by(quote)), None)
    if best is None or entry.distance is None:
        return best
    is_ask, rises = entry.reach.value
    for quote in coming:
        price, top = (quote.ask, best.ask) if is_ask else (quote.bid, best.bid)
        gained = price - top if rises else top - price
        if gained <= -entry.distance:
            return best
        if gained > 0:
            best = quote
    return best


class _Rung:
    """
    The entries of one direction, by raw price.

    `best` is the price reached first. A price that lost its last entry stays in the heap until it comes up
    or until there are more such prices than others.
    """

    __slots__ = ("_by_price", "_heap", "_rises", "best")

    def __init__(self, *, rises: bool) -> None:
        self._rises = rises
        self._by_price: dict[Decimal, dict[Key, Entry]] = {}
        self._heap: list[Decimal] = []
        self.best = NEVER if rises else ALWAYS

    def __len__(self) -> int:
        return sum(map(len, self._by_price.values()))

    @property
    def prices_kept(self) -> int:
        """How many prices are remembered, empty ones included: what must not grow without bound."""
        return len(self._heap)

    def add(self, entry: Entry) -> None:
        at_price = self._by_price.get(entry.raw)
        if at_price is None:
            self._by_price[entry.raw] = {entry.key: entry}
            heappush(self._heap, self._rank(entry.raw))
            if self.reaches(self.best, entry.raw):
                self.best = entry.raw
        else:
            at_price[entry.key] = entry

    def remove(self, entry: Entry) -> None:
        at_price = self._by_price[entry.raw]
        del at_price[entry.key]
        if at_price:
            return
        del self._by_price[entry.raw]
        if len(self._heap) > 2 * len(self._by_price) + SPARE_MAX:
            self._heap = [self._rank(price) for price in self._by_price]
            heapify(self._heap)
        if entry.raw == self.best:
            self._find_best()

    def take(self, price: Decimal) -> Iterator[Entry]:
        """Take out what a price reaches, in the order in which a moving price reaches it; ties by time."""
        while self._by_price and self.reaches(price, self.best):
            reached = self._by_price.pop(self.best)
            self._find_best()
            yield from sorted(reached.values(), key=_age)

    def reaches(self, price: Decimal, threshold: Decimal) -> bool:
        return price >= threshold if self._rises else price <= threshold

    def _find_best(self) -> None:
        heap = self._heap
        while heap:
            price = self._rank(heap[0])
            if price in self._by_price:
                self.best = price
                return
            heappop(heap)
        self.best = NEVER if self._rises else ALWAYS

    def _rank(self, price: Decimal) -> Decimal:
        """Turn a price into its place in the heap, and back."""
        return price if self._rises else price.copy_negate()


class Ladder:
    """All entries of one symbol. A tick that reaches nothing costs four comparisons, however many wait."""

    __slots__ = ("_ask_falls", "_ask_rises", "_bid_falls", "_bid_rises", "_entries", "_rungs")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[Key, Entry] = {}
        self._ask_rises, self._bid_rises = _Rung(rises=True), _Rung(rises=True)
        self._ask_falls, self._bid_falls = _Rung(rises=False), _Rung(rises=False)
        self._rungs = {
            Reach.ASK_RISES: self._ask_rises,
            Reach.ASK_FALLS: self._ask_falls,
            Reach.BID_RISES: self._bid_rises,
            Reach.BID_FALLS: self._bid_falls,
        }
        for entry in entries:
            self.put(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        """Return the entry of a key."""
        return self._entries.get(key)

    @property
    def prices_kept(self) -> int:
        """How many prices are remembered, those without entries included."""
        return sum(rung.prices_kept for rung in self._rungs.values())

    def put(self, entry: Entry) -> None:
        """Add an entry, in place of the one with its key."""
        self.remove(entry.key)
        self._entries[entry.key] = entry
        self._rungs[entry.reach].add(entry)

    def remove(self, key: Key) -> None:
        """Remove an entry if it is there."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._rungs[entry.reach].remove(entry)

    def is_reached(self, quote: Quote) -> bool:
        """Say whether a quote reaches anything."""
        bid, ask = quote.bid, quote.ask
        return (
            ask >= self._ask_rises.best
            or ask <= self._ask_falls.best
            or bid <= self._bid_falls.best
            or bid >= self._bid_rises.best
        )

    def take(self, quote: Quote) -> list[Entry]:
        """
        Take out all that a quote reaches: what was passed furthest was reached first; ties by time.
        """
        bid, ask = quote.bid, quote.ask
        taken = [
            *self._ask_rises.take(ask),
            *self._ask_falls.take(ask),
            *self._bid_falls.take(bid),
            *self._bid_rises.take(bid),
        ]
        for entry in taken:
            del self._entries[entry.key]
        taken.sort(key=lambda entry: (-passed_by(entry, quote), *_age(entry)))
        return taken


def passed_by(entry: Entry, quote: Quote) -> Decimal:
    """Return how far a quote went beyond an entry's price."""
    is_ask, rises = entry.reach.value
    beyond = (quote.ask if is_ask else quote.bid) - entry.raw
    return beyond if rises else -beyond


def _age(entry: Entry) -> tuple[datetime, int]:
    return (entry.since, entry.key.id)
