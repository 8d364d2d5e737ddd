"""A typed client of an RTX broker: `RtxClient` for REST, `RtxStream` for the WebSocket."""

from rtx_client.client import RtxClient
from rtx_client.errors import RtxError
from rtx_client.models import (
    Account,
    Bar,
    Candle,
    Closed,
    Deal,
    Event,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Side,
    Symbol,
    TimeInForce,
    Tokens,
)
from rtx_client.stream import RtxStream
from rtx_client.values import KEEP

__all__ = [
    "KEEP",
    "Account",
    "Bar",
    "Candle",
    "Closed",
    "Deal",
    "Event",
    "Order",
    "OrderStatus",
    "OrderType",
    "Position",
    "Quote",
    "RtxClient",
    "RtxError",
    "RtxStream",
    "Side",
    "Symbol",
    "TimeInForce",
    "Tokens",
]
