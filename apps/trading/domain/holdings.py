"""
What an account holds: its money, positions, working orders and margin, and how these may change. Pure.

Decides nothing: the account book (book.py) decides and then changes the holdings through this class; the
journal's replay (replaying.py) changes them through the same methods and compares.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal

from apps.accounts.domain.ledger import Ledger, Line
from apps.groups.domain.terms import PositionMode
from apps.trading.domain import deals, margin, profit
from apps.trading.domain.deals import Settlement
from apps.trading.domain.journal import Payload
from apps.trading.domain.orders import ContractTerms, Deal, Order, Position, Side
from apps.trading.domain.pricing import MarketView
from rtx.kernel.money import ZERO, booked, text


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
    One account with its open positions and working orders.

    `touched` and `touched_orders` collect the ids of what changed since they were cleared.
    """

    def __init__(
        self, *, account: Account, positions: Iterable[Position] = (), orders: Iterable[Order] = ()
    ) -> None:
        self.account = account
        self.positions: dict[int, Position] = {}
        self.orders: dict[int, Order] = {}
        self._by_symbol: dict[str, dict[int, Position]] = {}
        self._reserving: dict[str, dict[int, Order]] = {}
        self._needs: dict[str, margin.Need] = {}
        self._due: set[str] | None = None
        for position in positions:
            self._put_position(position)
        for order in orders:
            self._put_order(order)
        for symbol in {*self._by_symbol, *self._reserving}:
            self._needs[symbol] = margin.need_of(self.of_symbol(symbol), self._orders_of(symbol))
        self.touched: set[int] = set()
        self.touched_orders: set[int] = set()

    # -- what is held

    def of_symbol(self, symbol: str) -> list[Position]:
        """Return the open positions on a symbol, oldest first."""
        return list(self._by_symbol.get(symbol, {}).values())

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

    def grows(self, symbol: str, after: Iterable[Position]) -> bool:
        """Say whether `after` would be more net volume on a symbol than now, or volume the other way."""
        now, then = _net_volume(self.of_symbol(symbol)), _net_volume(after)
        return abs(then) > abs(now) or now * then < 0

    def margin_with(
        self,
        symbol: str,
        *,
        positions: Iterable[Position] | None = None,
        without: int = 0,
        adding: Order | None = None,
    ) -> Decimal:
        """
        Return the account's booked margin if `positions` (the present ones when not given) were open on
        `symbol`, the order with the id `without` were gone and the order `adding` were working.
        """
        waiting = [order for order in self._orders_of(symbol) if order.id != without]
        held = self.of_symbol(symbol) if positions is None else positions
        need = margin.need_of(held, [*waiting, adding] if adding else waiting)
        return self._booked({**self._needs, symbol: need})

    def margin_without(self, order_id: int) -> Decimal:
        """Return the account's booked margin without what one order reserves (if it works and reserves)."""
        order = self.orders.get(order_id)
        if order is None or order.terms is None:
            return self.account.margin
        return self.margin_with(order.symbol, without=order_id)

    def money(self) -> Payload:
        """Return balance, credit and margin as an event carries them."""
        account = self.account
        return {
            "balance": text(account.balance),
            "credit": text(account.credit),
            "margin": text(account.margin),
        }

    # -- how it changes

    def book_deal(self, deal: Deal, result: Settlement) -> list[Line]:
        """Make a settled deal true: position, margin, balance. Returns its ledger lines."""
        deal.profit, deal.swap = result.profit, result.swap
        if result.position:
            self._put_position(result.position)
        else:
            self._drop_position(deal.position_id)
        self.touched.add(deal.position_id)
        self._remargin(deal.symbol)
        lines = deals.lines(deal)
        self.post(lines)
        return lines

    def put_order(self, order: Order) -> None:
        """Keep a working order as it now is."""
        had_reserved = order.id in self._reserving.get(order.symbol, {})
        self._put_order(order)
        self.touched_orders.add(order.id)
        if had_reserved or order.id in self._reserving.get(order.symbol, {}):
            self._remargin(order.symbol)

    def drop_order(self, order_id: int) -> None:
        """Forget an order that no longer works; one that never did is none of our business."""
        order = self.orders.pop(order_id, None)
        if order is None:
            return
        self.touched_orders.add(order_id)
        if self._reserving.get(order.symbol, {}).pop(order_id, None) is not None:
            self._remargin(order.symbol)

    def change_stops(
        self,
        position_id: int,
        *,
        stop_loss: Decimal | None,
        take_profit: Decimal | None,
        trailing_points: int | None,
    ) -> Position:
        """Give a position other stops and return it."""
        changed = replace(
            self.positions[position_id],
            stop_loss=stop_loss,
            take_profit=take_profit,
            trailing_points=trailing_points,
        )
        self._put_position(changed)
        self.touched.add(position_id)
        return changed

    def accrue_swap(self, position_id: int, amount: Decimal) -> bool:
        """Add a night's swap to a position; False: it is no longer open."""
        held = self.positions.get(position_id)
        if held is None:
            return False
        self._put_position(replace(held, swap=held.swap + amount))
        self.touched.add(position_id)
        return True

    def post(self, lines: Iterable[Line]) -> None:
        """Add the client's lines to balance and credit."""
        for line in lines:
            if line.ledger is Ledger.CLIENT:
                self.account.balance += line.amount
            elif line.ledger is Ledger.CREDIT:
                self.account.credit += line.amount

    def set_leverage(
        self, leverage: int, terms: dict[int, ContractTerms], order_terms: dict[int, ContractTerms]
    ) -> None:
        """Change the leverage and, per position and working order, the contract terms that follow from it."""
        self.account.leverage = leverage
        for position_id, changed in terms.items():
            self._put_position(replace(self.positions[position_id], terms=changed))
            self.touched.add(position_id)
        for order_id, changed in order_terms.items():
            self._put_order(replace(self.orders[order_id], terms=changed))
            self.touched_orders.add(order_id)
        for symbol in {*self._needs, *self._by_symbol, *self._reserving}:
            self._remargin(symbol)

    def move(
        self,
        group_id: int,
        leverage: int,
        terms: dict[int, ContractTerms],
        order_terms: dict[int, ContractTerms],
    ) -> None:
        """Change the group, with the leverage and the contract terms that follow from it."""
        self.account.group_id = group_id
        self.set_leverage(leverage, terms, order_terms)

    def _put_position(self, position: Position) -> None:
        self.positions[position.id] = position
        self._by_symbol.setdefault(position.symbol, {})[position.id] = position

    def _drop_position(self, position_id: int) -> None:
        gone = self.positions.pop(position_id)
        held = self._by_symbol[gone.symbol]
        del held[position_id]
        if not held:
            del self._by_symbol[gone.symbol]

    def _put_order(self, order: Order) -> None:
        self.orders[order.id] = order
        if order.terms is not None and order.terms.rate_pending:
            self._reserving.setdefault(order.symbol, {})[order.id] = order
        else:
            self._reserving.get(order.symbol, {}).pop(order.id, None)

    def _orders_of(self, symbol: str) -> list[Order]:
        """Return the working orders on a symbol that reserve margin."""
        return list(self._reserving.get(symbol, {}).values())

    @contextmanager
    def margins_at_the_end(self) -> Iterator[None]:
        """Add margins up once for all that is booked within, instead of after each deal."""
        self._due = set()
        try:
            yield
        finally:
            due, self._due = self._due, None
            for symbol in due:
                self._remargin(symbol)

    def _remargin(self, symbol: str) -> None:
        if self._due is not None:
            self._due.add(symbol)
            return
        held, waiting = self.of_symbol(symbol), self._orders_of(symbol)
        if held or waiting:
            self._needs[symbol] = margin.need_of(held, waiting)
        else:
            self._needs.pop(symbol, None)
        self.account.margin = self._booked(self._needs)

    def _booked(self, needs: dict[str, margin.Need]) -> Decimal:
        return booked(margin.total(needs.values()), self.account.currency)


def _net_volume(positions: Iterable[Position]) -> Decimal:
    return sum((p.volume if p.side is Side.BUY else -p.volume for p in positions), ZERO)
