"""Stored records of risk as the admin interface answers them: exact texts, instants in UTC. Reads only."""

import json
from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet

from apps.risk.models import (
    Breaker,
    BreakerState,
    KillSwitch,
    Liquidation,
    MonitorStatus,
    RiskAlarm,
    RiskLimit,
    SweepRun,
    ValueAtRisk,
)
from apps.risk.selectors import levels
from apps.risk.selectors.analytics import breaker_states, breaker_view
from rtx.kernel import clock
from rtx.kernel.errors import NotFound
from rtx.kernel.money import booked, plain, rounded, text

Payload = dict[str, Any]
Reach = frozenset[int] | None
LEVEL_DIGITS = 2


def _level(value: Any) -> str | None:
    return None if value is None else text(rounded(value, LEVEL_DIGITS))


def _at(value: Any) -> str | None:
    return None if value is None else clock.rfc3339(value)


def of_targets(rows: QuerySet[Any], reach: Reach) -> QuerySet[Any]:
    """Limit controls to those of groups and accounts within reach; platform and symbols concern everybody."""
    if reach is None:
        return rows
    return rows.filter(
        (Q(group__isnull=True) | Q(group__in=reach)) & (Q(account__isnull=True) | Q(account__group__in=reach))
    )


def of_accounts(rows: QuerySet[Any], reach: Reach) -> QuerySet[Any]:
    """Limit records to those of accounts within reach, and to those that are about no account."""
    return rows if reach is None else rows.filter(Q(account__isnull=True) | Q(account__group__in=reach))


def liquidation_view(row: Liquidation) -> Payload:
    """Return one liquidation without its dossier."""
    currency = row.account.currency
    amounts = (
        "equity_before",
        "equity_after",
        "margin_before",
        "margin_after",
        "profit",
        "credit_used",
        "compensation",
    )
    return {
        "id": row.pk,
        "account": row.account.login,
        "group": row.group.name,
        "currency": currency,
        "at": _at(row.at),
        "rule": row.rule,
        "cause": row.cause,
        "stop_out_pct": plain(row.stop_out_pct),
        "level_before_pct": _level(row.level_before_pct),
        "level_after_pct": _level(row.level_after_pct),
        **{name: text(booked(getattr(row, name), currency)) for name in amounts},
        "orders_canceled": row.orders_canceled,
        "positions_closed": row.positions_closed,
        "is_complete": row.is_complete,
    }


def liquidation(liquidation_id: int, *, reach: Reach) -> Payload:
    """
    Return one liquidation with its dossier.

    :raises NotFound: unknown, or of a group outside reach.
    """
    row = Liquidation.objects.select_related("account", "group").filter(pk=liquidation_id).first()
    if row is None or (reach is not None and row.group_id not in reach):
        raise NotFound("There is no such liquidation.", code="liquidation_not_found")
    return {**liquidation_view(row), "dossier": json.loads(row.dossier or "{}")}


def breaker_rules(
    *, reach: Reach, symbol: str | None = None, breaker_id: int | None = None
) -> QuerySet[Breaker]:
    """Return breakers within reach: all, the one of a number, or those that watch a symbol."""
    rules = of_accounts(Breaker.objects.all(), reach)
    if breaker_id is not None:
        rules = rules.filter(pk=breaker_id)
    if symbol is not None:
        each = Q(scope=Breaker.Scope.SYMBOL, symbol__isnull=True)
        rules = rules.filter(each | Q(symbol__name=symbol))
    return rules


def breakers(rules: Sequence[Breaker], *, reach: Reach, symbol: str | None = None) -> list[Payload]:
    """Return breakers with how they stand (for a symbol); of accounts within reach only."""
    states: dict[int, list[Payload]] = {}
    for state in breaker_states(reach=reach, symbol=symbol).filter(breaker__in=rules):
        states.setdefault(state.breaker_id, []).append(breaker_view(state))
    return [
        {
            "id": rule.pk,
            "name": rule.name,
            "scope": rule.scope,
            "kind": rule.kind,
            "threshold": plain(rule.threshold),
            "window_s": rule.window_s,
            "cooldown_s": rule.cooldown_s,
            "reset": rule.reset,
            "is_active": rule.is_active,
            "states": states.get(rule.pk, []),
        }
        for rule in rules
    ]


def breaker_state(state_id: int, *, reach: Reach) -> BreakerState:
    """
    Return how a breaker stands for one subject.

    :raises NotFound: unknown, or of an account outside reach.
    """
    rows = of_accounts(BreakerState.objects.select_related("breaker", "account"), reach)
    row: BreakerState | None = rows.filter(pk=state_id).first()
    if row is None:
        raise NotFound("There is no such breaker.", code="breaker_not_found")
    return row


def kill_switch_view(row: KillSwitch) -> Payload:
    """Return one kill switch."""
    return {
        "id": row.pk,
        "scope": row.scope,
        "group": row.group.name if row.group else None,
        "symbol": row.symbol.name if row.symbol else None,
        "account": row.account.login if row.account else None,
        "is_on": row.released_at is None,
        "reason": row.reason,
        "cancels_orders": row.cancels_orders,
        "closes_positions": row.closes_positions,
        "engaged_at": _at(row.engaged_at),
        "engaged_by": row.engaged_by,
        "released_at": _at(row.released_at),
        "released_by": row.released_by,
        "release_reason": row.release_reason,
        "orders_canceled": row.orders_canceled,
        "positions_closed": row.positions_closed,
        "failures": row.failures,
        "work_done_at": _at(row.work_done_at),
    }


def limit_view(row: RiskLimit) -> Payload:
    """Return one limit."""
    return {
        "id": row.pk,
        "scope": row.scope,
        "group": row.group.name if row.group else None,
        "account": row.account.login if row.account else None,
        "symbol": row.symbol.name if row.symbol else None,
        "kind": row.kind,
        "value": plain(row.value),
        "currency": row.currency,
        "exposed_currency": row.exposed_currency,
        "is_per_account": row.is_per_account,
        "is_active": row.is_active,
        "note": row.note,
    }


def alarm_view(row: RiskAlarm) -> Payload:
    """Return one alarm."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "severity": row.severity,
        "subject": row.subject,
        "account": row.account.login if row.account else None,
        "message": row.message,
        "raised_at": _at(row.raised_at),
        "last_at": _at(row.last_at),
        "count": row.count,
        "acknowledged_at": _at(row.acknowledged_at),
        "cleared_at": _at(row.cleared_at),
    }


def sweep_view(row: SweepRun, *, reach: Reach) -> Payload:
    """Return one run of the sweep; its numbers are null for whoever reaches some groups only."""
    names = ("positions", "found", "liquidated", "missed", "without_price")
    counts = {name: getattr(row, name) if reach is None else None for name in names}
    return {"id": row.pk, "at": _at(row.at), "took_ms": row.took_ms, **counts}


def monitor_view(row: MonitorStatus, *, reach: Reach) -> Payload:
    """
    Return how one shard of the margin monitor is. What it counts on the whole platform is null for whoever
    reaches some groups; `levels` then counts the accounts of these.
    """
    names = ("accounts", "positions", "called", "below", "without_price")
    floating = row.house_floating if reach is None else None
    return {
        **{name: getattr(row, name) for name in ("shard", "holder", "lag_ms", "lag_max_ms", "follow_lag_ms")},
        **{name: getattr(row, name) if reach is None else None for name in names},
        "last_error": row.last_error,
        "levels": row.levels if reach is None else levels.counted(reach),
        "at": _at(row.at),
        "started_at": _at(row.started_at),
        "house_floating": None if floating is None else text(rounded(floating, 2)),
    }


def estimates_something(row: ValueAtRisk) -> bool:
    """Tell whether an estimate says anything: something could be computed with, or nothing was held."""
    return row.observations > 0 or not row.detail.get("left_out")


def value_at_risk_view(row: ValueAtRisk) -> Payload:
    """Return one estimate of value at risk; null where everything that is held was left out."""
    is_known = estimates_something(row)
    return {
        "id": row.pk,
        "at": _at(row.at),
        "method": row.method,
        "confidence_pct": plain(row.confidence_pct),
        "horizon_days": row.horizon_days,
        "amount": text(rounded(row.amount, 2)) if is_known else None,
        "expected_shortfall": row.detail.get("expected_shortfall", "0") if is_known else None,
        "currency": row.currency,
        "observations": row.observations,
        "interval": row.detail.get("interval", ""),
        "exposures": row.detail.get("exposures", {}),
        "left_out": row.detail.get("left_out", {}),
    }
