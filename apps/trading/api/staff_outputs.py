"""The shapes of dealing answers for staff, for the OpenAPI description, and writing a dry run in them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from apps.trading.api.outputs import DEAL, POSITION, DealOut, Instant, SideWord, Text
from apps.trading.services.previews import Figures, Preview
from rtx.kernel import openapi
from rtx.kernel.clock import rfc3339
from rtx.kernel.money import booked, text

FIGURES = {
    "balance": "10000.00",
    "credit": "0.00",
    "margin": "110.01",
    "equity": "9998.30",
    "free_margin": "9888.29",
    "margin_level": "9088.54",
}


class MoneyOut(Struct):
    """An account's money; null where a price is missing."""

    balance: Text
    credit: Text
    margin: Text
    equity: Text | None
    free_margin: Text | None
    margin_level: Annotated[str | None, Meta(description="Percent; null without margin.")]


class QuoteSeenOut(Struct):
    """A price of the client's group that the dry run met."""

    symbol: str
    bid: Text
    ask: Text
    age_ms: int


@openapi.example(
    {
        "dry_run": True,
        "account": 100001,
        "currency": "USD",
        "at": "2026-01-05T10:00:00.131000Z",
        "event": "order_filled",
        "reject_reason": None,
        "before": FIGURES,
        "after": {**FIGURES, "margin": "220.03"},
        "profit": "0.00",
        "commission": "-0.35",
        "swap": "0",
        "deals": [{**DEAL, "id": -2, "order_id": -1, "position_id": -3}],
        "quotes": [{"symbol": "EURUSD", "bid": "1.09998", "ask": "1.10013", "age_ms": 131}],
    }
)
class PreviewOut(Struct, kw_only=True):
    """What would happen now (`?dry_run=true`); nothing was done. Ids below 0 are not given yet."""

    dry_run: Literal[True]
    account: int
    currency: str
    at: Instant
    event: Annotated[str, Meta(description="The type of the event that the journal would get.")]
    reject_reason: str | None
    before: MoneyOut
    after: MoneyOut
    profit: Text
    commission: Text
    swap: Text
    deals: list[DealOut]
    quotes: list[QuoteSeenOut]


@openapi.example(
    {
        **POSITION,
        "group": "standard",
        "book": "b",
        "current_price": "1.10098",
        "profit": "8.50",
        "margin": "110.01",
        "currency": "USD",
    }
)
class StaffPositionOut(Struct, kw_only=True):
    """An open position of a client at the present price; `margin` is what it takes alone."""

    id: int
    account: int
    group: str
    book: Literal["a", "b"]
    symbol: str
    side: SideWord
    volume: Text
    open_price: Text
    current_price: Text | None
    profit: Text | None
    margin: Text
    currency: str
    stop_loss: Text | None
    take_profit: Text | None
    trailing_points: int | None
    swap: Text
    commission: Text
    opened_at: Instant


@openapi.example(
    {
        "approval": "0b7c6f0e-6a52-4d0e-9f1e-3f0f6d1f3a11",
        "status": "pending",
        "expires_at": "2026-01-05T10:15:00Z",
        "account": 100001,
        "position_id": 1004,
        "symbol": "EURUSD",
        "side": "buy",
        "volume": "0.1",
        "price": "1.10098",
        "deviation": 20,
    }
)
class ReversalAskedOut(Struct, kw_only=True):
    """A reversal that waits for a second person: approve it by the number in `approval`."""

    approval: UUID
    status: Literal["pending", "executed", "refused", "rejected", "canceled", "expired"]
    expires_at: Instant
    account: int
    position_id: int
    symbol: str
    side: SideWord
    volume: Text
    price: Text
    deviation: int


def preview_view(found: Preview) -> dict[str, Any]:
    """Return a dry run as the interface shows it."""
    return {
        "dry_run": True,
        "account": found.login,
        "currency": found.currency,
        "at": rfc3339(found.at),
        "event": found.type,
        "reject_reason": found.refusal or None,
        "before": _figures(found.before, found.currency),
        "after": _figures(found.after, found.currency),
        "profit": text(found.total("profit")),
        "commission": text(found.total("commission")),
        "swap": text(found.total("swap")),
        "deals": found.deals,
        "quotes": [
            {"symbol": one.symbol, "bid": text(one.bid), "ask": text(one.ask), "age_ms": one.age_ms}
            for one in found.quotes
        ],
    }


def _figures(figures: Figures, currency: str) -> dict[str, Any]:
    def money(name: str) -> str | None:
        value = getattr(figures, name)
        return None if value is None else text(booked(value, currency))

    shown = {name: money(name) for name in ("balance", "credit", "margin", "equity", "free_margin")}
    level = figures.level_pct
    return {**shown, "margin_level": None if level is None else text(booked(level, "USD"))}
