"""
The sweep: finds by SQL who is below stop-out, hands them to liquidation, and says what the monitor missed.

The safety net behind the engine: it needs PostgreSQL and prices, nothing of the monitor. It tries again what
waits, too. A lease keeps two sweeps from running at once; what both would do is done once anyway. Whom it
finds it looks at again after a second: who is still below then, the monitor has missed.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from psycopg import Cursor

from apps.accounts.models import TradingAccount
from apps.market.selectors.quotes import last_quotes
from apps.market.services.board import board
from apps.market.services.leases import Lease
from apps.risk.models import MonitorStatus, QueuedLiquidation, RiskAlarm, SweepRun
from apps.risk.selectors import sweep as by_sql
from apps.risk.selectors.sweep import Swept
from apps.risk.services import alarms, liquidation
from apps.risk.services.liquidation import Enforced
from apps.risk.services.liquidation_queue import Openings, due
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.stop_out_rules import Standing
from apps.trading.selectors.markets import Markets, markets
from apps.trading.selectors.rows import load_accounts
from rtx.kernel import clock
from rtx.kernel.actor import Actor

ACTOR = Actor.system("sweep")
GRACE_S = 1.0  # the monitor acts within it
MONITOR_LATE_S = 5.0
LEASE_S = 20.0
CLEAN_RUNS = 3  # so many without a finding end the alarm
BUSY_MAX = timedelta(seconds=10)  # so long a monitor that works off many is left to it
TOLD_MAX = 50
CHUNK = 500
KEPT = timedelta(days=2)
KEPT_WITH_FINDINGS = timedelta(days=90)
SUBJECT = "monitor"
DONE = frozenset({Enforced.CLOSED, Enforced.PARTLY})
MISSED = DONE | {Enforced.WAITS}  # what the monitor had asked for is void by now, or queued

log = structlog.get_logger(__name__)
pause = time.sleep  # between both looks, outside any transaction


@dataclass(slots=True)
class _Plan:
    """Whom one run hands over, worst first, and why."""

    below: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    overdue: list[int] = field(default_factory=list)
    unvalued: list[int] = field(default_factory=list)
    left_to_monitor: int = 0


def run() -> SweepRun | None:
    """Look at all accounts once and act; None: another sweep is running."""
    lease = Lease("sweep", ttl_s=LEASE_S)
    if not lease.renew():
        return None
    try:
        return _run(lease)
    finally:
        lease.release()


def _run(lease: Lease) -> SweepRun:
    started, now = time.perf_counter(), clock.now()
    board().apply(last_quotes().quotes.values())  # a bus that hangs must not let old prices decide
    views = markets(now=now)
    swept = by_sql.below_stop_out(views)
    sql_ms = _ms_since(started)
    plan = _planned(swept, views, now)
    _look_again(plan)
    results: dict[int, Enforced] = {}
    for cause, account_ids in (("sweep", plan.below), ("queue", plan.waiting)):
        results |= liquidation.enforce_all(account_ids, cause=cause, actor=ACTOR, before_each=lease.renew)
    closed = [account_id for account_id in plan.below if results.get(account_id) in DONE]
    missed = [account_id for account_id in plan.overdue if results.get(account_id) in MISSED]
    made = SweepRun.objects.create(
        at=now,
        took_ms=_ms_since(started),
        positions=swept.positions,
        found=len(swept.found) - len(plan.unvalued),
        liquidated=sum(result in DONE for result in results.values()),
        missed=len(missed),
        without_price=len(plan.unvalued),
        detail=_detail(plan, results, closed, missed, sql_ms),
    )
    _tell_missed(made)
    _tell_unvalued(plan.unvalued)
    return made


def _planned(swept: Swept, views: Markets, now: datetime) -> _Plan:
    """Part what was found: below and new, waiting and due, not to be valued, or the busy monitor's."""
    plan = _Plan(waiting=list(due(now=now, views=views, openings=Openings())))
    queued = set(
        QueuedLiquidation.objects.filter(resolved_at__isnull=True).values_list("account_id", flat=True)
    )
    edited = [one.account_id for one in swept.found if one.odd and not one.is_unvalued]
    really_below = _below_exactly(edited, views)
    for one in swept.found:
        if one.is_unvalued:
            plan.unvalued.append(one.account_id)
        elif one.account_id not in queued and (not one.odd or one.account_id in really_below):
            plan.below.append(one.account_id)
    busy = _busy_shards(now) if plan.below else frozenset()
    if busy:
        theirs = [one for one in plan.below if one % settings.RISK_SHARDS in busy]
        plan.left_to_monitor = len(theirs)
        plan.below = [one for one in plan.below if one % settings.RISK_SHARDS not in busy]
    return plan


def _look_again(plan: _Plan) -> None:
    """Give the monitor its second, then keep those that are still below: it has missed them."""
    if not plan.below:
        return
    pause(GRACE_S)
    now = clock.now()
    board().apply(last_quotes().quotes.values())
    still = _below_exactly(plan.below, markets(now=now))
    plan.overdue = plan.below = [account_id for account_id in plan.below if account_id in still]


def _busy_shards(now: datetime) -> frozenset[int]:
    """Return the monitor's shards that are alive and work off a backlog, which they were not for long."""
    at_it = frozenset(
        int(status.shard)
        for status in MonitorStatus.objects.filter(at__gte=now - timedelta(seconds=MONITOR_LATE_S / 2))
        if status.counters.get("liquidations_waiting", 0) > 0
    )
    if not at_it:
        return at_it
    since = now
    for before in SweepRun.objects.filter(at__gte=now - 2 * BUSY_MAX).order_by("-at"):
        if not before.detail.get("left_to_monitor"):
            break
        since = before.at
    return at_it if now - since < BUSY_MAX else frozenset()


def _below_exactly(account_ids: Sequence[int], views: Markets) -> set[int]:
    """Value accounts by their own contracts, exactly; return those that need a stop-out or owe money."""
    found = set()
    for start in range(0, len(account_ids), CHUNK):
        with transaction.atomic():
            loaded = load_accounts(Cursor(connection.connection), account_ids[start : start + CHUNK])
        for account_id, held in loaded.items():
            group = views.book.groups.get(held.account.group_id)
            holdings = Holdings(account=held.account, positions=held.positions, orders=held.orders)
            value = holdings.valuation(views.of_group(held.account.group_id))
            if group is not None and value is not None:
                standing = Standing(value.equity, held.account.margin)
                owes = group.protects_balance and not held.positions and held.account.balance < 0
                if owes or standing.is_at_most(group.stop_out_pct, is_exposed=bool(held.positions)):
                    found.add(account_id)
    return found


def _detail(
    plan: _Plan, results: dict[int, Enforced], closed: list[int], missed: list[int], sql_ms: int
) -> dict[str, Any]:
    logins = dict(
        TradingAccount.objects.filter(pk__in=[*closed[:TOLD_MAX], *missed[:TOLD_MAX]]).values_list(
            "pk", "login"
        )
    )
    return {
        "sql_ms": sql_ms,
        "results": dict(Counter(result.value for result in results.values())),
        "closed": [logins[account_id] for account_id in closed[:TOLD_MAX]],
        "missed": [logins[account_id] for account_id in missed[:TOLD_MAX]],
        "waiting_tried": len(plan.waiting),
        "left_to_monitor": plan.left_to_monitor,
    }


def _tell_missed(made: SweepRun) -> None:
    kind = RiskAlarm.Kind.SWEEP_FOUND.value
    if made.missed:
        told = ", ".join(str(login) for login in made.detail["missed"][:10])
        alarms.raise_alarm(
            kind=kind,
            severity=RiskAlarm.Severity.CRITICAL.value,
            subject=SUBJECT,
            message=f"The sweep closed {made.missed} accounts that the monitor had missed: {told}",
            detail={"sweep": made.pk, "missed": made.detail["missed"]},
        )
        return
    latest = list(SweepRun.objects.order_by("-id").values_list("missed", flat=True)[:CLEAN_RUNS])
    if len(latest) == CLEAN_RUNS and not any(latest):
        alarms.clear(kind=kind, subject=SUBJECT)


def _tell_unvalued(account_ids: list[int]) -> None:
    kind, subject = RiskAlarm.Kind.NO_PRICE.value, "sweep"
    if not account_ids:
        alarms.clear(kind=kind, subject=subject)
        return
    logins = list(
        TradingAccount.objects.filter(pk__in=account_ids[:TOLD_MAX]).values_list("login", flat=True)
    )
    alarms.raise_alarm(
        kind=kind,
        severity=RiskAlarm.Severity.WARNING.value,
        subject=subject,
        message=f"{len(account_ids)} accounts cannot be valued, among them {logins[0]}: a price or a "
        "conversion is missing",
        detail={"accounts": logins},
    )


def prune(*, now: datetime) -> int:
    """Delete old runs: those without findings after two days, the others after ninety."""
    old = SweepRun.objects.filter(at__lt=now - KEPT, found=0, liquidated=0).delete()[0]
    return old + SweepRun.objects.filter(at__lt=now - KEPT_WITH_FINDINGS).delete()[0]


def _ms_since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
