"""
The shapes of controls and of what watches (breakers, kill switches, limits, alarms, sweeps, monitor) in the
risk interface's answers, for the OpenAPI description. Built by selectors.
"""

from typing import Literal

from msgspec import Struct

from apps.risk.api.outputs import Instant, Text
from rtx.kernel import openapi

# Part of examples that several answers show.
STATE = {
    "id": 3,
    "breaker": 1,
    "name": "wild gold",
    "scope": "symbol",
    "kind": "price_move",
    "subject": "XAUUSD",
    "state": "open",
    "since": "2026-11-20T14:30:00.250Z",
    "cools_until": "2026-11-20T14:31:00.250Z",
    "value": "3.2",
    "threshold": "3",
    "reason": "price_move 3.2 reached 3",
    "trips": 1,
}


@openapi.example(STATE)
class BreakerStateOut(Struct):
    """How a breaker stands for one subject; `id` is what a reset names."""

    id: int
    breaker: int
    name: str
    scope: str
    kind: str
    subject: str
    state: Literal["closed", "open", "half_open"]
    since: Instant
    cools_until: Instant | None
    value: Text | None
    threshold: Text
    reason: str
    trips: int


@openapi.example(
    {
        "id": 1,
        "name": "wild gold",
        "scope": "symbol",
        "kind": "price_move",
        "threshold": "3",
        "window_s": 60,
        "cooldown_s": 60,
        "reset": "auto",
        "is_active": True,
        "states": [STATE],
    }
)
class BreakerOut(Struct):
    """One rule with how it stands for each subject it ever tripped for."""

    id: int
    name: str
    scope: str
    kind: str
    threshold: Text
    window_s: int
    cooldown_s: int
    reset: str
    is_active: bool
    states: list[BreakerStateOut]


@openapi.example(
    {
        "id": 8,
        "scope": "symbol",
        "group": None,
        "symbol": "EURUSD",
        "account": None,
        "is_on": True,
        "reason": "the feed prints nonsense",
        "cancels_orders": True,
        "closes_positions": False,
        "engaged_at": "2026-11-20T14:30:00.250Z",
        "engaged_by": "staff:user:7",
        "released_at": None,
        "released_by": "",
        "release_reason": "",
        "orders_canceled": 12,
        "positions_closed": 0,
        "failures": 0,
        "work_done_at": None,
    }
)
class KillSwitchOut(Struct):
    """One time that trading was stopped."""

    id: int
    scope: str
    group: str | None
    symbol: str | None
    account: int | None
    is_on: bool
    reason: str
    cancels_orders: bool
    closes_positions: bool
    engaged_at: Instant
    engaged_by: str
    released_at: Instant | None
    released_by: str
    release_reason: str
    orders_canceled: int
    positions_closed: int
    failures: int
    work_done_at: Instant | None


@openapi.example(
    {
        "id": 5,
        "scope": "group",
        "group": "standard",
        "account": None,
        "symbol": "XAUUSD",
        "kind": "open_volume",
        "value": "50",
        "currency": "USD",
        "exposed_currency": "",
        "is_per_account": False,
        "is_active": True,
        "note": "gold of retail",
    }
)
class LimitOut(Struct):
    """One limit."""

    id: int
    scope: str
    group: str | None
    account: int | None
    symbol: str | None
    kind: str
    value: Text
    currency: str
    exposed_currency: str
    is_per_account: bool
    is_active: bool
    note: str


@openapi.example(
    {
        "id": 21,
        "kind": "kill_switch",
        "severity": "critical",
        "subject": "kill_switch:8",
        "account": None,
        "message": "Trading was stopped (symbol EURUSD): the feed prints nonsense",
        "raised_at": "2026-11-20T14:30:00.250Z",
        "last_at": "2026-11-20T14:30:00.250Z",
        "count": 1,
        "acknowledged_at": None,
        "cleared_at": None,
    }
)
class AlarmOut(Struct):
    """Something a person must look at."""

    id: int
    kind: str
    severity: str
    subject: str
    account: int | None
    message: str
    raised_at: Instant
    last_at: Instant
    count: int
    acknowledged_at: Instant | None
    cleared_at: Instant | None


@openapi.example(
    {
        "id": 90210,
        "at": "2026-11-20T14:30:00.250Z",
        "took_ms": 212,
        "positions": 1840,
        "found": 0,
        "liquidated": 0,
        "missed": 0,
        "without_price": 0,
    }
)
class SweepOut(Struct):
    """One run of the sweep; its numbers are null for whoever reaches some groups only."""

    id: int
    at: Instant
    took_ms: int
    positions: int | None
    found: int | None
    liquidated: int | None
    missed: int | None
    without_price: int | None


class MonitorOut(Struct):
    """
    How one shard of the margin monitor is; `house_floating` in USD. Whoever reaches some groups only gets
    null for what is counted on the whole platform, and `levels` of these groups.
    """

    shard: str
    holder: str
    at: Instant
    started_at: Instant
    accounts: int | None
    positions: int | None
    lag_ms: int
    lag_max_ms: int
    follow_lag_ms: int
    levels: dict[str, int]
    called: int | None
    below: int | None
    without_price: int | None
    house_floating: Text | None
    last_error: str


@openapi.example(
    {
        "results": [
            {
                "shard": "0",
                "holder": "engine-1:4711:monitor",
                "at": "2026-11-20T14:30:00.250Z",
                "started_at": "2026-11-16T05:00:00.000Z",
                "accounts": 912,
                "positions": 1840,
                "lag_ms": 4,
                "lag_max_ms": 19,
                "follow_lag_ms": 21,
                "levels": {"50": 0, "100": 2, "inf": 910},
                "called": 2,
                "below": 0,
                "without_price": 0,
                "house_floating": "-5310.22",
                "last_error": "",
            }
        ],
        "next": None,
    }
)
class MonitorsOut(Struct):
    """All shards."""

    results: list[MonitorOut]
    next: None
