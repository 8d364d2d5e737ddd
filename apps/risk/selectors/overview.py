"""The key figures of the risk overview: each a card that leads to its page."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q

from apps.risk.domain.rates import SHOWN_CURRENCY
from apps.risk.models import (
    AccountRisk,
    BreakerState,
    Correlation,
    KillSwitch,
    Liquidation,
    MarginCall,
    MonitorStatus,
    QueuedLiquidation,
    RiskAlarm,
    RiskLimit,
    SweepRun,
    ValueAtRisk,
)
from apps.risk.selectors.analytics import within
from apps.risk.selectors.exposure import exposure_view
from apps.risk.selectors.kept import kept
from apps.risk.selectors.reaches import alarms_within
from apps.risk.selectors.record_views import estimates_something, of_accounts, of_targets
from rtx.kernel import clock
from rtx.kernel.admin_display import grouped
from rtx.kernel.money import rounded, text

Card = dict[str, Any]
May = Callable[[str], bool]
Reach = frozenset[int] | None
LATE = timedelta(seconds=10)
DAY = timedelta(days=1)


def cards(*, reach: Reach, may: May) -> list[Card]:
    """Return the cards that a person with these rights and this reach may see."""
    makers: list[tuple[str, Callable[[Reach], list[Card]]]] = [
        ("risk.view_monitorstatus", _monitor),
        ("risk.view_margincall", _calls),
        ("risk.view_liquidation", _liquidations),
        ("risk.view_riskalarm", _alarms),
        ("trading.view_position", _exposure),
        ("risk.view_valueatrisk", _value_at_risk),
        ("risk.view_killswitch", _switches),
        ("risk.view_breaker", _breakers),
        ("risk.view_risklimit", _limits),
        ("risk.view_sweeprun", _sweeps),
        ("risk.view_correlation", _correlations),
        ("risk.view_accountrisk", _what_if),
    ]
    found: list[Card] = []
    for right, make in makers:
        if may(right):
            found += kept.get(("card", right, reach), 1, lambda make=make: make(reach))  # type: ignore[misc]
    return found


def _card(title: str, value: object, note: str, page: str, tone: str = "") -> Card:
    return {"title": title, "value": str(value), "note": note, "page": f"admin:{page}", "tone": tone}


def _monitor(reach: Reach) -> list[Card]:
    rows = list(MonitorStatus.objects.all())
    late = [row for row in rows if clock.now() - row.at > LATE]
    if not rows:
        return [_card("Margin monitor", "never seen", "no shard", "risk_monitorstatus_changelist", "loss")]
    worst = max(row.lag_max_ms for row in rows)
    value = "late" if late else f"{worst} ms"
    watched = "" if reach is not None else f", {sum(row.positions for row in rows)} positions"
    note = f"{len(rows)} shard{'' if len(rows) == 1 else 's'}{watched}"
    tone = "loss" if late else "gain"
    return [_card("Margin monitor", value, note, "risk_monitorstatus_changelist", tone)]


def _calls(reach: Reach) -> list[Card]:
    now = within(MarginCall.objects.filter(cleared_at__isnull=True), "account__group", reach).count()
    low = within(AccountRisk.objects.filter(level_pct__lte=200), "account__group", reach).count()
    return [
        _card("In margin call", now, "accounts now", "risk_margincall_changelist", "loss" if now else ""),
        _card("Margin level to 200 %", low, "accounts", "risk_accountrisk_changelist"),
    ]


def _liquidations(reach: Reach) -> list[Card]:
    rows = within(Liquidation.objects.filter(at__gte=clock.now() - DAY), "group", reach)
    waiting = QueuedLiquidation.objects.filter(resolved_at__isnull=True)
    queued = within(waiting, "account__group", reach).count()
    tone = "loss" if queued else ""
    return [
        _card("Liquidations", rows.count(), "within 24 hours", "risk_liquidation_changelist"),
        _card("Waiting liquidations", queued, "cannot close now", "risk_queuedliquidation_changelist", tone),
    ]


def _alarms(reach: Reach) -> list[Card]:
    rows = alarms_within(RiskAlarm.objects.filter(cleared_at__isnull=True), reach)
    critical = rows.filter(severity=RiskAlarm.Severity.CRITICAL).count()
    total = rows.count()
    tone = "loss" if critical else "gain" if not total else ""
    return [_card("Open alarms", total, f"{critical} critical", "risk_riskalarm_changelist", tone)]


def _exposure(reach: Reach) -> list[Card]:
    total = exposure_view(reach)["total"]
    return [
        _card("Exposure, gross", _amount(total["gross"]), f"{SHOWN_CURRENCY}, clients", "risk_exposure"),
        _card("Exposure, net", _amount(total["net"]), f"{SHOWN_CURRENCY}, clients", "risk_exposure"),
    ]


def _value_at_risk(reach: Reach) -> list[Card]:
    row = ValueAtRisk.objects.order_by("-id").first()
    if row is None:
        return [_card("Value at risk", "–", "not estimated yet", "risk_value_at_risk")]
    note = f"{row.currency}, {row.confidence_pct.normalize():f} %, {row.horizon_days} d, {row.method}"
    known = text(row.amount) if estimates_something(row) else None
    return [_card("Value at risk", _amount(known), note, "risk_value_at_risk")]


def _switches(reach: Reach) -> list[Card]:
    on = of_targets(KillSwitch.objects.filter(released_at__isnull=True), reach).count()
    tone = "loss" if on else "gain"
    return [_card("Kill switches", on, "engaged", "risk_killswitch_changelist", tone)]


def _breakers(reach: Reach) -> list[Card]:
    rows = of_accounts(BreakerState.objects.filter(~Q(state=BreakerState.State.CLOSED)), reach)
    count = rows.count()
    tone = "loss" if count else "gain"
    return [_card("Circuit breakers", count, "open or probing", "risk_breakerstate_changelist", tone)]


def _limits(reach: Reach) -> list[Card]:
    count = of_targets(RiskLimit.objects.filter(is_active=True), reach).count()
    return [_card("Limits", count, "in force", "risk_risklimit_changelist")]


def _sweeps(reach: Reach) -> list[Card]:
    row = SweepRun.objects.order_by("-id").first()
    if row is None:
        return [_card("Sweep", "–", "has not run yet", "risk_sweeprun_changelist")]
    tone = "loss" if row.missed else "gain"
    if reach is not None:  # numbers of the whole platform are not for those who reach some groups
        told = "missed some" if row.missed else "clean"
        return [_card("Sweep", told, f"{row.took_ms} ms", "risk_sweeprun_changelist", tone)]
    note = f"missed by the monitor, {row.took_ms} ms"
    return [_card("Sweep", row.missed, note, "risk_sweeprun_changelist", tone)]


def _correlations(reach: Reach) -> list[Card]:
    count = Correlation.objects.count()
    overridden = Correlation.objects.filter(override__isnull=False).count()
    return [_card("Correlations", count, f"pairs, {overridden} overridden", "risk_heat_map")]


def _what_if(reach: Reach) -> list[Card]:
    return [_card("What-if", "Ask", "prices, spreads, leverage, levels", "risk_what_if")]


def _amount(value: str | None) -> str:
    return "–" if value is None else grouped(text(rounded(Decimal(value), 0)))
