"""
The shapes of stored records in the risk interface's answers, for the OpenAPI description. Built by selectors.
"""

from typing import Any, Literal

from msgspec import Struct

from apps.risk.api.outputs import Instant, Text


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


class MarginOut(MarkOut):
    """One account that holds margin."""

    account: int
    group: str
    currency: str


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


class LiquidationDossierOut(LiquidationOut):
    """With everything that decided it."""

    dossier: dict[str, Any]


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


class BreakersOut(Struct):
    """All breakers."""

    results: list[BreakerOut]
    next: None


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


class MonitorsOut(Struct):
    """All shards."""

    results: list[MonitorOut]
    next: None


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


class CorrelationsOut(Struct):
    """All pairs."""

    results: list[CorrelationOut]
    next: None


class ValueAtRiskOut(Struct):
    """One estimate; `left_out` names symbols without enough history, with the reason."""

    id: int
    at: Instant
    method: Literal["historical", "parametric"]
    confidence_pct: Text
    horizon_days: int
    amount: Text
    expected_shortfall: Text
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


class MarketsOpenOut(Struct):
    """All symbols asked for."""

    results: list[MarketOpenOut]
    next: None
