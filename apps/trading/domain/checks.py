"""
Why an order is refused before money is looked at: account, symbol, volume, session, quote, price, stops.
Pure.
"""

from decimal import Decimal

from apps.groups.domain.terms import Terms
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.orders import RejectReason, Side
from apps.trading.domain.pricing import MarketView
from rtx.kernel.actor import ActorKind
from rtx.kernel.money import ZERO

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
    *, side: Side, quote: Quote, stop_loss: Decimal | None, take_profit: Decimal | None, terms: Terms
) -> RejectReason | None:
    """
    Say whether SL and TP lie on their sides of the price that would close: bid for a buy, ask for a sell.
    """
    if not on_grid(stop_loss, terms=terms) or not on_grid(take_profit, terms=terms):
        return RejectReason.INVALID_STOPS
    price = quote.bid if side is Side.BUY else quote.ask
    sign = 1 if side is Side.BUY else -1
    if stop_loss is not None and (price - stop_loss) * sign <= ZERO:
        return RejectReason.INVALID_STOPS
    if take_profit is not None and (take_profit - price) * sign <= ZERO:
        return RejectReason.INVALID_STOPS
    return None
