"""
Why an order is refused before money is looked at: account, symbol, volume, session, quote, price, stops.
Pure.
"""

from decimal import Decimal

from apps.groups.domain.terms import Terms
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.orders import IMMEDIATE, Order, OrderReason, OrderType, Position, RejectReason, Side
from apps.trading.domain.pricing import MarketView
from rtx.kernel.actor import ActorKind
from rtx.kernel.money import ZERO, rounded

DISABLED = "disabled"
CLOSE_ONLY = "close_only"


def permission(
    *, status: str, terms: Terms, side: Side, reduces: bool, actor: ActorKind
) -> RejectReason | None:
    """
    Say whether account and symbol allow the direction; what reduces risk is refused only when nothing is
    allowed.
    """
    if status == DISABLED and (actor is ActorKind.CLIENT or not reduces):
        return RejectReason.ACCOUNT_DISABLED
    mode = terms.trade_mode
    if mode is TradeMode.DISABLED:
        return RejectReason.TRADE_DISABLED
    if reduces:
        return None
    if status == CLOSE_ONLY or mode is TradeMode.CLOSE_ONLY:
        return RejectReason.CLOSE_ONLY
    if (mode is TradeMode.LONG_ONLY and side is Side.SELL) or (
        mode is TradeMode.SHORT_ONLY and side is Side.BUY
    ):
        return RejectReason.TRADE_DISABLED
    return None


def volume(lots: Decimal, *, terms: Terms) -> RejectReason | None:
    """Say whether a volume lies within the limits and on the step."""
    if not terms.volume_min <= lots <= terms.volume_max or lots % terms.symbol.volume_step:
        return RejectReason.INVALID_VOLUME
    return None


def tradable(symbol: str, *, market: MarketView) -> RejectReason | None:
    """Say whether the symbol is in session with a usable price."""
    if not market.in_session(symbol):
        return RejectReason.MARKET_CLOSED
    if not market.is_usable(symbol):
        return RejectReason.OFF_QUOTES
    return None


def on_grid(price: Decimal | None, *, terms: Terms) -> bool:
    """Say whether a price is positive and has no more decimals than its symbol."""
    return price is None or (price > 0 and not price % terms.symbol.point)


def slips(*, fill: Decimal, wanted: Decimal | None, deviation: int | None, side: Side, terms: Terms) -> bool:
    """
    Say whether a fill is worse than the wanted price by more than the deviation (points; none given: 0).
    """
    if wanted is None:
        return False
    worse = fill - wanted if side is Side.BUY else wanted - fill
    return worse > (deviation or 0) * terms.symbol.point


def stops(
    *, side: Side, price: Decimal, stop_loss: Decimal | None, take_profit: Decimal | None, terms: Terms
) -> RejectReason | None:
    """
    Say whether SL and TP lie on their sides of `price`, at least the stop level away.

    `price` is what would close a position now (bid for a buy, ask for a sell), or what a pending order waits
    for.
    """
    if not on_grid(stop_loss, terms=terms) or not on_grid(take_profit, terms=terms):
        return RejectReason.INVALID_STOPS
    sign = 1 if side is Side.BUY else -1
    least = terms.stop_level_points * terms.symbol.point
    for distance in (
        None if stop_loss is None else (price - stop_loss) * sign,
        None if take_profit is None else (take_profit - price) * sign,
    ):
        if distance is not None and (distance <= ZERO or distance < least):
            return RejectReason.INVALID_STOPS
    return None


def trailing(points: int | None, *, terms: Terms) -> RejectReason | None:
    """Say whether a trailing distance keeps the stop off the market, and at least the stop level away."""
    if points is not None and (points <= 0 or points < terms.stop_level_points):
        return RejectReason.INVALID_STOPS
    return None


def order_stops(order: Order, *, at: Decimal | None = None, terms: Terms) -> RejectReason | None:
    """
    Say whether a pending order's SL, TP and trailing distance make sense: seen from what it will fill at, or
    from `at`, what would close it now if it fills now.
    """
    seen_from = at or order.stop_limit_price or order.price
    assert seen_from is not None
    return trailing(order.trailing_points, terms=terms) or stops(
        side=order.side,
        price=seen_from,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        terms=terms,
    )


def closing_price(side: Side, quote: Quote) -> Decimal:
    """Return what closes a position now: bid for a buy, ask for a sell."""
    return quote.bid if side is Side.BUY else quote.ask


def opening_price(side: Side, quote: Quote) -> Decimal:
    """Return what opens a position now: ask for a buy, bid for a sell."""
    return quote.ask if side is Side.BUY else quote.bid


def reached(*, waits_as: OrderType, side: Side, price: Decimal, quote: Quote) -> bool:
    """
    Say whether a quote sets a pending order off: buys look at ask, sells at bid.

    A limit is reached at its price or better, a stop at its price or worse.
    """
    offered = opening_price(side, quote)
    better = offered <= price if side is Side.BUY else offered >= price
    return offered == price or better is (waits_as is OrderType.LIMIT)


def is_reached(order: Order, quote: Quote) -> bool:
    """Say whether a quote sets a working order off."""
    assert order.waits_for is not None
    return reached(waits_as=order.waits_as, side=order.side, price=order.waits_for, quote=quote)


def stop_reached(*, kind: OrderReason, side: Side, level: Decimal, quote: Quote) -> bool:
    """Say whether a quote sets a position's SL or TP off: a buy looks at bid, a sell at ask."""
    price = closing_price(side, quote)
    if price == level:
        return True
    falls = price < level
    return falls is ((side is Side.BUY) is (kind is OrderReason.STOP_LOSS))


def pending_prices(order: Order, *, quote: Quote, terms: Terms) -> RejectReason | None:
    """
    Say whether an order's prices make sense at a quote.

    A stop lies beyond the market by the stop level, a limit that will wait as well; the limit of a stop limit
    lies at its stop or on the better side of it.
    """
    price, limit = order.price, order.stop_limit_price
    if price is None or not on_grid(price, terms=terms) or not on_grid(limit, terms=terms):
        return RejectReason.INVALID_PRICE
    if limit is not None and (limit > price if order.side is Side.BUY else limit < price):
        return RejectReason.INVALID_PRICE
    at_once = is_reached(order, quote)
    if order.waits_as is OrderType.STOP:
        return RejectReason.INVALID_PRICE if at_once or _is_near(order, quote, terms) else None
    waits = not at_once and order.time_in_force not in IMMEDIATE
    return RejectReason.INVALID_PRICE if waits and _is_near(order, quote, terms) else None


def _is_near(order: Order, quote: Quote, terms: Terms) -> bool:
    assert order.waits_for is not None
    distance = abs(order.waits_for - opening_price(order.side, quote))
    return distance < terms.stop_level_points * terms.symbol.point


def is_frozen(level: Decimal | None, *, price: Decimal, terms: Terms) -> bool:
    """Say whether the market is too near to a waiting price for it to be changed (freeze level)."""
    if level is None or not terms.freeze_level_points:
        return False
    return abs(level - price) <= terms.freeze_level_points * terms.symbol.point


def trailed(
    *, side: Side, price: Decimal, stop_loss: Decimal | None, trailing_points: int | None, terms: Terms
) -> Decimal | None:
    """Return the stop loss after a trailing stop followed `price` (what would close): it never loosens."""
    if trailing_points is None:
        return stop_loss
    distance = trailing_points * terms.symbol.point
    wanted = price - distance if side is Side.BUY else price + distance
    wanted = max(rounded(wanted, terms.symbol.digits), terms.symbol.point)  # a markup may be half a point
    if stop_loss is None:
        return wanted
    return max(stop_loss, wanted) if side is Side.BUY else min(stop_loss, wanted)


def first_stop(order: Order, held: Position | None, *, quote: Quote, terms: Terms) -> Decimal | None:
    """Return the stop that an order which trails begins with; what it joins keeps a nearer one."""
    joined = held if held is not None and held.side is order.side else None
    known = joined.stop_loss if joined and order.stop_loss is None else order.stop_loss
    return trailed(
        side=order.side,
        price=closing_price(order.side, quote),
        stop_loss=known,
        trailing_points=order.trailing_points,
        terms=terms,
    )
