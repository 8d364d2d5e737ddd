"""Values of the trading domain for tests: symbols, quotes, a group, orders."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from apps.groups.domain.terms import Commission, GroupSpec, PositionMode
from apps.market.domain.quotes import Quote
from apps.market.domain.sessions import Calendar
from apps.market.domain.symbols import MarginMode, SymbolSpec, TradeMode
from apps.trading.domain.commands import (
    CallMargin,
    CancelOrder,
    ChangeAccount,
    ChargeSwaps,
    CloseAll,
    CloseBy,
    ClosePosition,
    ExpireOrder,
    ModifyOrder,
    ModifyPosition,
    PlaceMarket,
    PlacePending,
    ReversePosition,
    StopOut,
    SwapDue,
    TrailStop,
    TriggerOrder,
    TriggerStop,
)
from apps.trading.domain.orders import OrderReason, OrderType, Side
from rtx.kernel.actor import Actor, ActorKind

D = Decimal
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
TRADER = Actor(kind=ActorKind.CLIENT, name="user:1")
DEALER = Actor(kind=ActorKind.STAFF, name="user:2")
ENGINE = Actor.system("triggers")
ALWAYS = Calendar(timezone="UTC", hours=(), holidays=(), always_open=True)
NEVER = Calendar(timezone="UTC", hours=(), holidays=())


def spec(name: str, base: str, quote: str, *, digits: int = 5, **changes: Any) -> SymbolSpec:
    """Return a forex symbol with usual sizes."""
    values: dict[str, Any] = {
        "id": abs(hash(name)) % 1000,
        "name": name,
        "base_currency": base,
        "profit_currency": quote,
        "margin_currency": base,
        "digits": digits,
        "contract_size": Decimal(100_000),
        "volume_min": Decimal("0.01"),
        "volume_max": Decimal(100),
        "volume_step": Decimal("0.01"),
        "margin_mode": MarginMode.FOREX,
        "margin_rate_buy": Decimal(1),
        "margin_rate_sell": Decimal(1),
        "margin_initial": Decimal(0),
        "hedged_contract_size": Decimal(100_000),
        "tick_size": Decimal(0),
        "tick_price": Decimal(0),
        "trade_mode": TradeMode.FULL,
        "quote_age_max_ms": 30_000,
        "calendar": ALWAYS,
    }
    return SymbolSpec(**{**values, **changes})


SYMBOLS = {
    "EURUSD": spec("EURUSD", "EUR", "USD"),
    "GBPUSD": spec("GBPUSD", "GBP", "USD"),
    "EURGBP": spec("EURGBP", "EUR", "GBP"),
    "USDJPY": spec("USDJPY", "USD", "JPY", digits=3),
}
QUOTES = {
    "EURUSD": ("1.10000", "1.10017"),
    "GBPUSD": ("1.25000", "1.25020"),
    "EURGBP": ("0.85660", "0.85680"),
    "USDJPY": ("150.000", "150.020"),
}
GROUP = GroupSpec(
    id=1,
    name="standard",
    currency="USD",
    position_mode=PositionMode.HEDGING,
    leverage_max=500,
    margin_call_pct=Decimal(100),
    stop_out_pct=Decimal(50),
    markup_bid_points=Decimal(0),
    markup_ask_points=Decimal(0),
    commission=Commission(),
    positions_max=500,
    is_active=True,
)


def order(side: Side, symbol: str, *, lots: str, **more: Any) -> PlaceMarket:
    """Return a market order with a fresh id."""
    return _named(PlaceMarket, symbol=symbol, side=side, volume=D(lots), **more)


def buy(symbol: str, *, lots: str, **more: Any) -> PlaceMarket:
    """Return a buy at the market."""
    return order(Side.BUY, symbol, lots=lots, **more)


def sell(symbol: str, *, lots: str, **more: Any) -> PlaceMarket:
    """Return a sell at the market."""
    return order(Side.SELL, symbol, lots=lots, **more)


def close(position_id: int, *, lots: str | None = None, **more: Any) -> ClosePosition:
    """Return the close of a position, or of a part."""
    return _named(ClosePosition, position_id=position_id, volume=lots if lots is None else D(lots), **more)


# --- orders that wait ------------------------------------------------------------------------------------


def pending(side: Side, type_: OrderType, price: str, *, lots: str = "1", **more: Any) -> PlacePending:
    """Return a pending order on EURUSD (or `symbol`); prices may be texts."""
    return _named(
        PlacePending,
        symbol=more.pop("symbol", "EURUSD"),
        side=side,
        type=type_,
        volume=D(lots),
        price=D(price),
        **_exact(more),
    )


def buy_limit(price: str, **more: Any) -> PlacePending:
    """Return a buy that waits for the ask to fall to a price."""
    return pending(Side.BUY, OrderType.LIMIT, price, **more)


def sell_limit(price: str, **more: Any) -> PlacePending:
    """Return a sell that waits for the bid to rise to a price."""
    return pending(Side.SELL, OrderType.LIMIT, price, **more)


def buy_stop(price: str, **more: Any) -> PlacePending:
    """Return a buy that waits for the ask to rise to a price."""
    return pending(Side.BUY, OrderType.STOP, price, **more)


def sell_stop(price: str, **more: Any) -> PlacePending:
    """Return a sell that waits for the bid to fall to a price."""
    return pending(Side.SELL, OrderType.STOP, price, **more)


def stop_limit(side: Side, price: str, limit: str, **more: Any) -> PlacePending:
    """Return a stop that becomes a limit."""
    return pending(side, OrderType.STOP_LIMIT, price, stop_limit_price=limit, **more)


def modify(order_id: int, **changes: Any) -> ModifyOrder:
    """Return a change of a working order; prices may be texts."""
    return _command(ModifyOrder, order_id=order_id, **_exact(changes))


def cancel(order_id: int, **more: Any) -> CancelOrder:
    """Return the cancellation of a working order."""
    return _command(CancelOrder, order_id=order_id, **more)


def expire(order_id: int) -> ExpireOrder:
    """Return what the engine asks when an order's time is over."""
    return _command(ExpireOrder, order_id=order_id, actor=ENGINE)


def at(bid: str, ask: str, *, symbol: str = "EURUSD", age_ms: int = 0) -> Quote:
    """Return a quote of the feed as of noon."""
    return Quote(symbol=symbol, bid=D(bid), ask=D(ask), time_ms=NOON_MS - age_ms)


def trigger(order_id: int, armed: str, raw: Quote, **more: Any) -> TriggerOrder:
    """Return what the engine asks when a quote reaches an order."""
    return _command(
        TriggerOrder, order_id=order_id, armed_price=D(armed), raw=raw, **{"actor": ENGINE, **more}
    )


def trigger_stop(
    position_id: int, armed: str, raw: Quote, *, kind: OrderReason = OrderReason.STOP_LOSS, **more: Any
) -> TriggerStop:
    """Return what the engine asks when a quote reaches a position's SL or TP."""
    return _command(
        TriggerStop,
        position_id=position_id,
        kind=kind,
        armed_price=D(armed),
        raw=raw,
        **{"actor": ENGINE, **more},
    )


def trail(position_id: int, raw: Quote) -> TrailStop:
    """Return what the engine asks when a quote may pull a trailing stop."""
    return _command(TrailStop, position_id=position_id, raw=raw, actor=ENGINE)


# --- positions -------------------------------------------------------------------------------------------


def modify_position(position_id: int, **changes: Any) -> ModifyPosition:
    """Return a change of a position's stops; prices may be texts."""
    return _command(ModifyPosition, position_id=position_id, **_exact(changes))


def close_by(position_id: int, opposite_id: int, **more: Any) -> CloseBy:
    """Return the close of a position by an opposite one."""
    return _named(CloseBy, position_id=position_id, opposite_id=opposite_id, **more)


def close_all(symbol: str | None = None, **more: Any) -> CloseAll:
    """Return the close of every position, or of those on a symbol."""
    return _named(CloseAll, symbol=symbol, **more)


def reverse(position_id: int, side: Side, price: str, *, lots: str = "1", **more: Any) -> ReversePosition:
    """Return the approved reversal of a position, as it was agreed on."""
    return _command(
        ReversePosition,
        position_id=position_id,
        side=side,
        volume=D(lots),
        price=D(price),
        **{"deviation": 0, "actor": DEALER, **more},
    )


def stop_out(**more: Any) -> StopOut:
    """Return what the margin monitor asks for an account below its stop-out level."""
    return _command(StopOut, actor=ENGINE, **more)


def call_margin(*, ends: bool = False) -> CallMargin:
    """Return what the margin monitor asks for an account at its margin-call level."""
    return _command(CallMargin, actor=ENGINE, ends=ends)


def leverage(value: int) -> ChangeAccount:
    """Return a change of the account's leverage."""
    return _command(ChangeAccount, leverage=value, actor=DEALER)


def swaps(*due: tuple[int, str], symbol: str = "EURUSD") -> ChargeSwaps:
    """Return one night's charges as (position, amount)."""
    charges = tuple(
        SwapDue(
            position_id=position_id,
            symbol=symbol,
            kind="swap",
            side=Side.BUY,
            volume=D(1),
            mode="money",
            value=D(amount),
            multiplier=1,
            price=None,
            rate=D(1),
            amount=D(amount),
            terms_version=1,
        )
        for position_id, amount in due
    )
    return _command(ChargeSwaps, date=date(2026, 11, 17), rolled_at=NOON, charges=charges, actor=ENGINE)


def _named(kind: Any, /, **values: Any) -> Any:
    command_id = uuid4()
    return _command(kind, **{"command_id": command_id, "client_order_id": str(command_id), **values})


def _command(kind: Any, /, **values: Any) -> Any:
    return kind(**{"account_id": 1, "command_id": uuid4(), "actor": TRADER, **values})


def _exact(values: dict[str, Any]) -> dict[str, Any]:
    """Read the prices that were given as text."""
    prices = ("volume", "price", "stop_limit_price", "stop_loss", "take_profit")
    return {
        name: D(value) if name in prices and isinstance(value, str) else value
        for name, value in values.items()
    }
