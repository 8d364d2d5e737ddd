"""Values of the trading domain for tests: symbols, quotes, a group, orders."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from apps.groups.domain.terms import Commission, GroupSpec, PositionMode
from apps.market.domain.sessions import Calendar
from apps.market.domain.symbols import MarginMode, SymbolSpec, TradeMode
from apps.trading.domain.commands import ClosePosition, PlaceMarket
from apps.trading.domain.orders import Side
from rtx.kernel.actor import Actor, ActorKind

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
TRADER = Actor(kind=ActorKind.CLIENT, name="user:1")
ALWAYS = Calendar(timezone="UTC", hours=(), holidays=(), always_open=True)


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
    command_id = uuid4()
    return PlaceMarket(
        account_id=1,
        command_id=command_id,
        actor=more.pop("actor", TRADER),
        client_order_id=str(command_id),
        symbol=symbol,
        side=side,
        volume=Decimal(lots),
        **more,
    )


def buy(symbol: str, *, lots: str, **more: Any) -> PlaceMarket:
    """Return a buy at the market."""
    return order(Side.BUY, symbol, lots=lots, **more)


def sell(symbol: str, *, lots: str, **more: Any) -> PlaceMarket:
    """Return a sell at the market."""
    return order(Side.SELL, symbol, lots=lots, **more)


def close(position_id: int, *, lots: str | None = None) -> ClosePosition:
    """Return the close of a position, or of a part."""
    command_id = uuid4()
    return ClosePosition(
        account_id=1,
        command_id=command_id,
        actor=TRADER,
        client_order_id=str(command_id),
        position_id=position_id,
        volume=None if lots is None else Decimal(lots),
    )
