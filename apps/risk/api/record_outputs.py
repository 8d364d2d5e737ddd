"""
The shapes of stored records in the risk interface's answers, for the OpenAPI description. Built by selectors.
"""

from typing import Any, Literal

from msgspec import Struct

from apps.risk.api.control_outputs import BreakerStateOut
from apps.risk.api.outputs import Instant, Text
from rtx.kernel import openapi

# Parts of examples that several answers show.
MARK = {
    "level_pct": "96.40",
    "equity": "1060.40",
    "margin": "1100.00",
    "peak_equity": "2500.00",
    "day_start_equity": "1800.00",
    "day_low_equity": "1010.15",
    "day_high_equity": "1820.00",
    "used_credit": "0.00",
    "used_credit_max": "0.00",
    "peak_at": "2026-11-03T09:12:44.000Z",
    "updated_at": "2026-11-20T14:30:00.250Z",
}

LIQUIDATION = {
    "id": 17,
    "account": 100001,
    "group": "standard",
    "currency": "USD",
    "at": "2026-11-20T14:30:00.250Z",
    "rule": "largest_loss",
    "cause": "monitor",
    "stop_out_pct": "50",
    "level_before_pct": "49.87",
    "level_after_pct": "104.31",
    "equity_before": "548.57",
    "equity_after": "548.57",
    "margin_before": "1100.00",
    "margin_after": "525.90",
    "orders_canceled": 1,
    "positions_closed": 1,
    "profit": "-312.40",
    "credit_used": "0.00",
    "compensation": "0.00",
    "is_complete": True,
}


class MarkOut(Struct):
    """An account's marks, in its currency."""

    level_pct: Text | None
    equity: Text
    margin: Text
    peak_equity: Text
    day_start_equity: Text
    day_low_equity: Text
    day_high_equity: Text
    used_credit: Text
    used_credit_max: Text
    peak_at: Instant
    updated_at: Instant


@openapi.example({"account": 100001, "group": "standard", "currency": "USD", **MARK})
class MarginOut(MarkOut):
    """One account that holds margin."""

    account: int
    group: str
    currency: str


@openapi.example(LIQUIDATION)
class LiquidationOut(Struct):
    """One stop-out, in the account's currency; a level is null where no margin was held."""

    id: int
    account: int
    group: str
    currency: str
    at: Instant
    rule: str
    cause: str
    stop_out_pct: Text
    level_before_pct: Text | None
    level_after_pct: Text | None
    equity_before: Text
    equity_after: Text
    margin_before: Text
    margin_after: Text
    orders_canceled: int
    positions_closed: int
    profit: Text
    credit_used: Text
    compensation: Text
    is_complete: bool


@openapi.example({**LIQUIDATION, "dossier": {"version": 1, "rule": "largest_loss", "steps": []}})
class LiquidationDossierOut(LiquidationOut):
    """With everything that decided it."""

    dossier: dict[str, Any]


@openapi.example(
    {
        "id": 4,
        "first": "EURUSD",
        "second": "GBPUSD",
        "value": "0.9",
        "estimate": "0.7421",
        "override": "0.9",
        "override_reason": "both follow one event",
        "observations": 250,
        "interval": "1d",
        "estimated_at": "2026-11-20T14:30:00.250Z",
    }
)
class CorrelationOut(Struct):
    """How two symbols move together; `value` is the override where one is set."""

    id: int
    first: str
    second: str
    value: Text | None
    estimate: Text | None
    override: Text | None
    override_reason: str
    observations: int
    interval: str
    estimated_at: Instant | None


@openapi.example(
    {
        "id": 33,
        "at": "2026-11-20T14:30:00.250Z",
        "method": "historical",
        "confidence_pct": "99",
        "horizon_days": 1,
        "amount": "18240.55",
        "expected_shortfall": "22310.10",
        "currency": "USD",
        "observations": 250,
        "interval": "1d",
        "exposures": {"EURUSD": "-330015.00"},
        "left_out": {"XAUUSD": "12 candles of 1d, 31 needed"},
    }
)
class ValueAtRiskOut(Struct):
    """One estimate; `left_out` names symbols without enough history, with the reason, null: all of them."""

    id: int
    at: Instant
    method: Literal["historical", "parametric"]
    confidence_pct: Text
    horizon_days: int
    amount: Text | None
    expected_shortfall: Text | None
    currency: str
    observations: int
    interval: str
    exposures: dict[str, Text]
    left_out: dict[str, str]


class OrderHistoryOut(Struct):
    """How orders ended; rates are null without any."""

    orders: int
    by_status: dict[str, int]
    fill_rate_pct: Text | None
    reject_rate_pct: Text | None
    by_reject_reason: dict[str, int]
    volume: Text
    order_size_average: Text | None


@openapi.example(
    {
        "account": 100001,
        "group": "standard",
        "currency": "USD",
        "mark": MARK,
        "drawdown_pct": "57.58",
        "orders": {
            "orders": 3,
            "by_status": {"filled": 2, "rejected": 1},
            "fill_rate_pct": "66.67",
            "reject_rate_pct": "33.33",
            "by_reject_reason": {"no_money": 1},
            "volume": "0.4",
            "order_size_average": "0.2",
        },
        "liquidations": 1,
        "liquidated_last_at": "2026-11-20T14:30:00.250Z",
        "compensation": "0.00",
        "margin_calls": 2,
        "in_margin_call": True,
        "breakers": [],
    }
)
class AccountAnalyticsOut(Struct):
    """Everything known about one account's risk; `mark` is null before the monitor first saw it."""

    account: int
    group: str
    currency: str
    mark: MarkOut | None
    drawdown_pct: Text | None
    orders: OrderHistoryOut
    liquidations: int
    liquidated_last_at: Instant | None
    compensation: Text
    margin_calls: int
    in_margin_call: bool
    breakers: list[BreakerStateOut]


class MarketOpenOut(Struct):
    """Whether a symbol trades now, and what is in the way."""

    symbol: str
    session_open: bool
    tradable: bool
    opens_at: Instant | None
    closes_at: Instant | None
    always_open: bool
    reasons: list[str]


@openapi.example(
    {
        "results": [
            {
                "symbol": "EURUSD",
                "session_open": True,
                "tradable": False,
                "opens_at": None,
                "closes_at": "2026-11-20T22:00:00.000Z",
                "always_open": False,
                "reasons": ["kill_switch"],
            }
        ],
        "next": None,
    }
)
class MarketsOpenOut(Struct):
    """All symbols asked for."""

    results: list[MarketOpenOut]
    next: None
