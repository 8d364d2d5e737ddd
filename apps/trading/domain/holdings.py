"""
What an account holds: its money, its positions, its margin, and how events change them. Pure.

Decides nothing: the account book (book.py) decides and then changes the holdings through this class; the
journal's replay changes them through the same methods and compares.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from apps.accounts.domain.ledger import Ledger, Line
from apps.groups.domain.terms import PositionMode
from apps.trading.domain import deals, journal, margin, profit
from apps.trading.domain.deals import Settlement
from apps.trading.domain.journal import Payload
from apps.trading.domain.orders import ContractTerms, Deal, Position
from apps.trading.domain.pricing import MarketView
from rtx.kernel.money import ZERO, booked, text


class Divergence(Exception):
    """The journal and what is derived from it differ: a broken invariant."""


@dataclass(slots=True, kw_only=True)
class Account:
    """The facts of an account that decide what it may do. Amounts in its currency."""

    id: int
    login: int
    group_id: int
    currency: str
    position_mode: PositionMode
    leverage: int
    status: str = "active"
    balance: Decimal = ZERO
    credit: Decimal = ZERO
    margin: Decimal = ZERO
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Valuation:
    """An account at one instant, unrounded; `level_pct` is None without margin."""

    profit: Decimal
    equity: Decimal
    free_margin: Decimal
    level_pct: Decimal | None


class Holdings:
    """
    One account with its open positions. `touched` collects the ids of positions changed since it was cleared.
    """

    def __init__(self, *, account: Account, positions: Iterable[Position] = ()) -> None:
        self.account = account
        self.positions: dict[int, Position] = {position.id: position for position in positions}
        self.touched: set[int] = set()
        self._margins: dict[str, Decimal] = {}
        for symbol in {position.symbol for position in self.positions.values()}:
            self._margins[symbol] = margin.of_symbol(self.of_symbol(symbol))

    def of_symbol(self, symbol: str) -> list[Position]:
        """Return the open positions on a symbol, oldest first."""
        return [position for position in self.positions.values() if position.symbol == symbol]

    def valuation(self, market: MarketView) -> Valuation | None:
        """Value the account at the market's prices; None when a position has no price or no conversion."""
        floating = self.floating(self.positions.values(), market)
        if floating is None:
            return None
        account = self.account
        equity = account.balance + account.credit + floating
        return Valuation(
            profit=floating,
            equity=equity,
            free_margin=equity - account.margin,
            level_pct=margin.level_pct(equity=equity, margin=account.margin),
        )

    def floating(self, positions: Iterable[Position], market: MarketView) -> Decimal | None:
        """
        Return the floating profit with accrued swap, unrounded; None when a price or a conversion is missing.
        """
        total = ZERO
        for position in positions:
            amount = profit.floating(position, market=market, currency=self.account.currency)
            if amount is None:
                return None
            total += amount + position.swap
        return total

    def positions_after(self, deal: Deal, result: Settlement) -> list[Position]:
        """Return the positions as they would stand after a deal."""
        kept = [position for position in self.positions.values() if position.id != deal.position_id]
        return [*kept, result.position] if result.position else kept

    def margin_with(self, positions: Iterable[Position], symbol: str) -> Decimal:
        """Return the account's booked margin if `positions` were all that is open on `symbol`."""
        others = sum((need for name, need in self._margins.items() if name != symbol), ZERO)
        return booked(others + margin.of_symbol(positions), self.account.currency)

    def book_deal(self, deal: Deal, result: Settlement) -> list[Line]:
        """Make a settled deal true: position, margin, balance. Returns its ledger lines."""
        deal.profit, deal.swap = result.profit, result.swap
        if result.position:
            self.positions[deal.position_id] = result.position
        else:
            del self.positions[deal.position_id]
        self.touched.add(deal.position_id)
        self._remargin(deal.symbol)
        lines = deals.lines(deal)
        self.post(lines)
        return lines

    def post(self, lines: Iterable[Line]) -> None:
        """Add the client's lines to balance and credit."""
        for line in lines:
            if line.ledger is Ledger.CLIENT:
                self.account.balance += line.amount
            elif line.ledger is Ledger.CREDIT:
                self.account.credit += line.amount

    def set_leverage(self, leverage: int, terms: dict[int, ContractTerms]) -> None:
        """Change the account's leverage and, per position id, the contract terms that follow from it."""
        self.account.leverage = leverage
        for position_id, changed in terms.items():
            self.positions[position_id] = replace(self.positions[position_id], terms=changed)
            self.touched.add(position_id)
        for symbol in list(self._margins):
            self._remargin(symbol)

    def _remargin(self, symbol: str) -> None:
        held = self.of_symbol(symbol)
        if held:
            self._margins[symbol] = margin.of_symbol(held)
        else:
            self._margins.pop(symbol, None)
        self.account.margin = booked(sum(self._margins.values(), ZERO), self.account.currency)

    def money(self) -> Payload:
        """Return balance, credit and margin as an event carries them."""
        account = self.account
        return {
            "balance": text(account.balance),
            "credit": text(account.credit),
            "margin": text(account.margin),
        }

    # -- derived again from the journal
    # -----------------------------------------------------------------------

    def replay(self, *, seq: int, type_: str, payload: Payload) -> list[Line]:
        """
        Derive one event again and return its ledger lines.

        :raises Divergence: the number is out of order, or what is derived differs from what the event says.
        """
        account = self.account
        if seq != account.seq + 1:
            raise Divergence(f"event {seq} follows event {account.seq}")
        account.seq = seq
        lines: list[Line] = []
        if type_ == "order_filled":
            lines = self._replay_fill(payload)
        elif type_ == "balance_changed":
            lines = journal.balance_lines_read(payload)
            self.post(lines)
        elif type_ == "account_changed":
            self._replay_change(payload)
        elif type_ not in journal.WITHOUT_EFFECT:
            raise Divergence(f"event {seq} has the unknown type {type_}")
        for name, derived in (
            ("balance", account.balance),
            ("credit", account.credit),
            ("margin", account.margin),
        ):
            if name in payload and Decimal(payload[name]) != derived:
                raise Divergence(f"event {seq} says {name} {payload[name]}, derived is {derived}")
        return lines

    def _replay_fill(self, payload: Payload) -> list[Line]:
        lines: list[Line] = []
        order = payload["order"]
        for kept in order["deals"]:
            deal = journal.deal_read(kept, house=payload["house"][str(kept["id"])], order=order)
            held = self.positions.get(deal.position_id)
            result = deals.settle(deal, position=held, currency=self.account.currency)
            for name, derived in (("profit", result.profit), ("swap", result.swap)):
                if Decimal(kept[name]) != derived:
                    raise Divergence(f"deal {deal.id} says {name} {kept[name]}, derived is {derived}")
            lines += self.book_deal(deal, result)
        return lines

    def _replay_change(self, payload: Payload) -> None:
        self.account.status = payload.get("status", self.account.status)
        terms = {int(key): ContractTerms.decoded(kept) for key, kept in payload["house"]["terms"].items()}
        self.set_leverage(payload.get("leverage", self.account.leverage), terms)
