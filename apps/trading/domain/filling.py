"""
How an order becomes a deal: who may enter, at which price, with which money. Pure.

The desk is an account that can fill orders. The rules of each command stand beside it: market_orders.py,
pending_orders.py, order_triggers.py, stops.py, closing.py, operations.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.accounts.domain.ledger import Line
from apps.groups.domain.terms import PositionMode, Terms
from apps.trading.domain import checks, deals, journal
from apps.trading.domain.commands import Outcome, SwapBooked
from apps.trading.domain.deals import Settlement
from apps.trading.domain.holdings import Account, Holdings
from apps.trading.domain.orders import (
    ContractTerms,
    Deal,
    Entry,
    Order,
    OrderReason,
    OrderStatus,
    OrderType,
    Position,
    RejectReason,
    Side,
)
from apps.trading.domain.pricing import MarketView
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import Conflict, NotFound
from rtx.kernel.money import ZERO

HEDGING = PositionMode.HEDGING  # bound once: looking it up costs more than comparing
REASONS = {
    ActorKind.CLIENT: OrderReason.CLIENT,
    ActorKind.STAFF: OrderReason.STAFF,
    ActorKind.SYSTEM: OrderReason.SYSTEM,
}


class PositionNotFound(NotFound):
    """The account has no such open position."""

    code = "position_not_found"
    title = "No such open position"


class SymbolNotOffered(NotFound):
    """The account's group does not trade this symbol."""

    code = "symbol_not_found"
    title = "Symbol not offered"


class OrderNotWorking(Conflict):
    """The order is not working (any more): nothing about it can change."""

    code = "order_not_working"
    title = "The order is not working"


@dataclass(frozen=True, slots=True)
class Filled:
    """What one fill brought."""

    deal: Deal
    position: Position | None
    lines: list[Line]


class Desk(Holdings):
    """
    One account whose orders can be filled. `made` collects the ids of new orders until it is cleared.
    """

    def __init__(
        self,
        *,
        account: Account,
        positions: Iterable[Position] = (),
        orders: Iterable[Order] = (),
        tickets: Iterator[int],
    ) -> None:
        super().__init__(account=account, positions=positions, orders=orders)
        self.made: set[int] = set()
        self._tickets = tickets

    # -- looking things up

    def ticket(self) -> int:
        """Return the next number for an order, a deal or a position."""
        return next(self._tickets)

    def order_ticket(self) -> int:
        """Return the number of a new order."""
        number = self.ticket()
        self.made.add(number)
        return number

    def net_position(self, symbol: str) -> Position | None:
        """Return what a netting account holds on a symbol; a hedging account nets nothing."""
        if self.account.position_mode is HEDGING:
            return None
        held = self._by_symbol.get(symbol)
        return next(iter(held.values())) if held else None

    def position(self, position_id: int) -> Position:
        """
        Return an open position.

        :raises PositionNotFound: it is not open on this account.
        """
        held = self.positions.get(position_id)
        if held is None:
            raise PositionNotFound(f"Position {position_id} is not open on account {self.account.login}.")
        return held

    def working(self, order_id: int) -> Order:
        """
        Return a working order.

        :raises OrderNotWorking: the account has none with that id.
        """
        order = self.orders.get(order_id)
        if order is None:
            raise OrderNotWorking(f"Order {order_id} is not working on account {self.account.login}.")
        return order

    def terms_of(self, symbol: str, market: MarketView, *, is_held: bool) -> Terms:
        """
        Return a symbol's terms; one that is no longer offered has them only for what is held.

        :raises SymbolNotOffered: the group does not trade the symbol.
        """
        terms = market.terms(symbol)
        if terms is None or not (terms.is_offered or is_held):
            raise SymbolNotOffered(f"{symbol} is not traded on account {self.account.login}.")
        return terms

    def closing_order(self, held: Position, *, lots: Decimal, reason: OrderReason, now: datetime) -> Order:
        """Return the market order that closes a position, or a part; its id stands for the caller's."""
        number = self.order_ticket()
        return Order(
            id=number,
            client_order_id=f"#{number}",
            symbol=held.symbol,
            side=held.side.opposite,
            type=OrderType.MARKET,
            volume=lots,
            status=OrderStatus.NEW,
            created_at=now,
            position_id=held.id,
            reason=reason,
        )

    # -- entering

    def reduces(self, order: Order, held: Position | None) -> bool:
        """Say whether an order only takes from the net position it meets."""
        return held is not None and held.side is not order.side and order.volume <= held.volume

    def enter(self, order: Order, *, terms: Terms, market: MarketView, actor: Actor) -> Filled | RejectReason:
        """
        Fill an order at the market unless a rule about its account, its symbol or its money says no.

        The caller has seen to volume, session and quote. A trailing distance becomes the first stop loss.
        """
        held = self.net_position(order.symbol)
        reason = self.entry_refusal(order, held=held, terms=terms, actor=actor)
        if reason:
            return reason
        quote = market.client(order.symbol)
        assert quote is not None  # the caller has seen it
        asked = order.stop_loss
        if order.trailing_points is not None:
            order.stop_loss = checks.first_stop(order, held, quote=quote, terms=terms)
        price = checks.opening_price(order.side, quote)
        result = self.fill(order, held=held, price=price, terms=terms, market=market)
        if isinstance(result, RejectReason):
            order.stop_loss = asked
        return result

    def entry_refusal(
        self, order: Order, *, held: Position | None, terms: Terms, actor: Actor
    ) -> RejectReason | None:
        """Say why an order may not enter, prices and money aside."""
        reduces = self.reduces(order, held)
        reason = checks.permission(
            status=self.account.status, terms=terms, side=order.side, reduces=reduces, actor=actor.kind
        )
        if reason or reduces:
            return reason
        if held is None and len(self.positions) >= terms.group.positions_max:
            return RejectReason.LIMIT_POSITIONS
        if held is not None and not held.terms.is_same_contract(terms.symbol):
            return RejectReason.CLOSE_ONLY
        if not terms.group.allows_hedging and held is None:
            opposite = order.side.opposite
            if any(position.side is opposite for position in self.of_symbol(order.symbol)):
                return RejectReason.HEDGING_PROHIBITED
        return None

    def fill(
        self, order: Order, *, held: Position | None, price: Decimal, terms: Terms, market: MarketView
    ) -> Filled | RejectReason:
        """Fill an order whole at one price, unless money or a conversion rate is missing."""
        deal = self.draft(order, held=held, price=price, terms=terms, market=market)
        if deal is None:
            return RejectReason.OFF_QUOTES
        result = deals.settle(deal, position=held, currency=self.account.currency)
        if deal.entry is not Entry.OUT:
            reason = self.lacks_money(
                deal.symbol,
                after=self.positions_after(deal, result),
                brought=result.profit + result.swap + deal.commission,
                market=market,
                order_id=deal.order_id,
            )
            if reason:
                return reason
        return self.book(order, deal, result)

    def book(self, order: Order, deal: Deal, result: Settlement) -> Filled:
        """Make a fill true."""
        self.drop_order(order.id)
        lines = self.book_deal(deal, result)
        order.filled_volume += deal.volume
        order.average_price = deal.price
        order.position_id = deal.position_id
        order.deals.append(deal)
        if order.filled_volume == order.volume:
            order.move(OrderStatus.FILLED)
        return Filled(deal, result.position, lines)

    def draft(
        self,
        order: Order,
        *,
        held: Position | None,
        price: Decimal,
        terms: Terms,
        market: MarketView,
        entry: Entry | None = None,
        exits_paid: int = 1,
    ) -> Deal | None:
        """
        Return the deal that would fill an order, its outcome still open; None when a rate is missing or
        stale.

        `entry` and `exits_paid` (for how many deals its exit pays commission) are given by a close-by alone.
        """
        account, symbol = self.account, terms.symbol
        leaving = ZERO
        if held is not None and held.side is not order.side:
            leaving = min(held.volume, order.volume)
        if entry is None:
            entry = Entry.IN if not leaving else Entry.OUT if order.volume == leaving else Entry.INOUT
        profit_rate = self._profit_rate(held if leaving else None, price, terms, market)
        margin_rate = market.rate(
            symbol.margin_currency, account.currency, selling=order.side is Side.SELL, fresh=True
        )
        raw, shown = market.raw(order.symbol), market.client(order.symbol)
        if profit_rate is None or margin_rate is None or raw is None or shown is None:
            return None
        commission, rule = deals.commission_due(
            terms.commission,
            entering=order.volume - leaving,
            leaving=leaving,
            exits_paid=exits_paid,
            notional_per_lot=deals.lot_notional(terms, price=price, rate=profit_rate),
            currency=account.currency,
        )
        return Deal(
            id=self.ticket(),
            order_id=order.id,
            position_id=held.id if held else self.ticket(),
            symbol=order.symbol,
            entry=entry,
            side=order.side,
            volume=order.volume,
            price=price,
            profit_rate=profit_rate,
            margin_rate=margin_rate,
            terms=ContractTerms.of(terms, account_leverage=account.leverage),
            commission=-commission,
            markup=self._markup(order, entry, terms, profit_rate),
            raw_bid=raw.bid,
            raw_ask=raw.ask,
            client_bid=shown.bid,
            client_ask=shown.ask,
            quote_time_ms=raw.time_ms,
            rule=rule,
            terms_version=terms.version,
            book=terms.book,
            at=market.now,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
            trailing_points=order.trailing_points,
        )

    def _markup(self, order: Order, entry: Entry, terms: Terms, rate: Decimal) -> Decimal:
        """Return what the markup of a deal is worth; a close-by meets no price of the market."""
        if entry is Entry.OUT_BY:
            return ZERO
        return deals.markup_earned(
            terms=terms, side=order.side, volume=order.volume, rate=rate, currency=self.account.currency
        )

    def _profit_rate(
        self, leaving: Position | None, price: Decimal, terms: Terms, market: MarketView
    ) -> Decimal | None:
        """Return the rate that books a profit (or values the notional of an entry)."""
        currency = self.account.currency
        if leaving is None:
            return market.rate(terms.symbol.profit_currency, currency, selling=True, fresh=True)
        moved = price * leaving.volume - leaving.cost
        gains = (moved if leaving.side is Side.BUY else -moved) > 0
        return market.rate(leaving.terms.profit_currency, currency, selling=gains, fresh=True)

    def lacks_money(
        self, symbol: str, *, after: list[Position], brought: Decimal, market: MarketView, order_id: int = 0
    ) -> RejectReason | None:
        """
        Refuse what needs more margin than the account can carry once it holds `after`.

        Free margin then counts all that comes with it: profit, swap and commission (`brought`), the opening
        spread, the margin; the filled order's own reserve is gone. What raises neither margin nor exposure is
        never refused. Margin alone does not tell: an addition at a better price may lower it, a flip turns
        the exposure round at the same margin.
        """
        on_symbol = [position for position in after if position.symbol == symbol]
        need = self.margin_with(symbol, positions=on_symbol, without=order_id)
        if need <= self.margin_without(order_id) and not self.grows(symbol, on_symbol):
            return None
        floating = self.floating(after, market)
        if floating is None:
            return RejectReason.OFF_QUOTES
        account = self.account
        equity = account.balance + account.credit + floating + brought
        return RejectReason.NO_MONEY if equity < need else None

    # -- saying what happened

    def filled(self, order: Order, result: Filled) -> Outcome:
        """Return the event of one filled order."""
        payload = {
            "order": journal.order_payload(order),
            "position": journal.position_payload(result.position) if result.position else None,
            **self.money(),
            "house": {str(result.deal.id): journal.house_payload(result.deal)},
        }
        return self.outcome("order_filled", payload, orders=[order], lines=result.lines)

    def rejected(self, order: Order, reason: RejectReason) -> Outcome:
        """End an order by a refusal, whether it is new or was working."""
        self.drop_order(order.id)
        order.move(OrderStatus.REJECTED)
        order.reject_reason = reason
        return self.ended("order_rejected", order, refusal=reason)

    def ended(self, type_: str, order: Order, *, refusal: RejectReason | None = None) -> Outcome:
        """Return the event of an order that ended without a fill."""
        payload = {"order": journal.order_payload(order), **self.money()}
        return self.outcome(type_, payload, orders=[order], refusal=refusal)

    def works(self, type_: str, order: Order) -> Outcome:
        """Keep a working order and return the event that says how it now stands."""
        self.put_order(order)
        payload = {
            "order": journal.order_payload(order),
            **self.money(),
            "house": {"order": journal.working_house(order)},
        }
        return self.outcome(type_, payload, orders=[order])

    def outcome(
        self,
        type_: str,
        payload: journal.Payload,
        *,
        orders: list[Order] | None = None,
        lines: list[Line] | None = None,
        swaps: list[SwapBooked] | None = None,
        refusal: RejectReason | None = None,
    ) -> Outcome:
        """Number the event that answers a command."""
        self.account.seq += 1
        return Outcome(
            seq=self.account.seq,
            type=type_,
            payload=payload,
            orders=orders or [],
            lines=lines or [],
            swaps=swaps or [],
            refusal=refusal,
        )
