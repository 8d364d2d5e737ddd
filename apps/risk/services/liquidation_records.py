"""
What stays of liquidations: dossiers, the queue of those that wait, and their alarms. Written in bulk.

`dossiers_of` gives the effect that a stop-out carries into its transaction; `Notes` collects what became of
those that booked nothing, and is written after them. Closes nothing and decides nothing about levels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from django.db import connection, transaction

from apps.accounts.models import TradingAccount
from apps.market.services.leases import NotLeading
from apps.risk.models import RiskAlarm
from apps.risk.services import alarms
from apps.risk.services.alarms import Alarm
from apps.trading.domain import dossiers
from apps.trading.domain.commands import Command, Outcome, StopOut
from apps.trading.domain.stop_out import StopOutStuck
from apps.trading.services.batch import Effect
from rtx.kernel import bulk, clock
from rtx.kernel.money import ZERO

FAILED = "failed"
CLOSED = "market_closed"
LEASE_PREFIX = "margin:"
QUEUE_LEASE = "liquidation_queue"  # whoever tries again what waits asks under this one
WAITS, BROKE = RiskAlarm.Kind.LIQUIDATION_WAITS.value, RiskAlarm.Kind.LIQUIDATION_FAILED.value
PAUSE_CLOSED_MAX_S = 300  # between tries of what waits for its market alone: the opening wakes it up
PAUSE_MAX_S = 30

COLUMNS = [
    "event_id",
    "account_id",
    "group_id",
    "at",
    "rule",
    "cause",
    "stop_out_pct",
    "equity_before",
    "margin_before",
    "level_before_pct",
    "equity_after",
    "margin_after",
    "level_after_pct",
    "orders_canceled",
    "positions_closed",
    "profit",
    "credit_used",
    "compensation",
    "is_complete",
    "quote_time_ms",
    "fence",
    "dossier",
]
EVENTS = "SELECT command_id, id FROM accounts_accountevent WHERE command_id = ANY(%s)"
LOCK = """
    SELECT 1 FROM risk_queuedliquidation WHERE account_id = ANY(%s) AND resolved_at IS NULL
    ORDER BY account_id FOR UPDATE
"""
FENCE = "SELECT fence FROM market_enginelease WHERE name = %s FOR SHARE"
QUEUE = """
    INSERT INTO risk_queuedliquidation AS q
        (account_id, since, reason, waiting, level_pct, attempts, tried_at, next_try_at, resolution)
    SELECT r.account_id, %(now)s, r.reason, r.waiting, r.level_pct, 1, %(now)s,
           %(now)s + interval '1 second', ''
    FROM jsonb_to_recordset(%(rows)s) AS r(account_id bigint, reason text, waiting jsonb, level_pct numeric)
    ORDER BY r.account_id
    ON CONFLICT (account_id) WHERE resolved_at IS NULL DO UPDATE SET
        reason = excluded.reason,
        waiting = excluded.waiting,
        level_pct = excluded.level_pct,
        attempts = q.attempts + 1,
        tried_at = excluded.tried_at,
        next_try_at = excluded.tried_at + interval '1 second' * least(
            2 ^ least(q.attempts, 10),
            CASE WHEN excluded.reason = %(closed)s THEN %(pause_closed_s)s ELSE %(pause_s)s END
        )
"""
RESOLVE = """
    UPDATE risk_queuedliquidation SET resolved_at = %(now)s, resolution = %(resolution)s
    WHERE id IN (
        SELECT id FROM risk_queuedliquidation
        WHERE account_id = ANY(%(accounts)s) AND resolved_at IS NULL ORDER BY account_id FOR UPDATE
    )
    RETURNING account_id
"""
ALARMED = """
    SELECT DISTINCT account_id FROM risk_riskalarm
    WHERE account_id = ANY(%s) AND kind = ANY(%s) AND cleared_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Waits:
    """
    An account below stop-out of which something stays: position id -> (symbol, reason).

    `reason` is `market_closed` only when nothing else holds it up.
    """

    account_id: int
    reason: str
    waiting: dict[str, tuple[str, str]]
    level_pct: Decimal | None


@dataclass(slots=True)
class Notes:
    """What became of stop-outs that booked nothing. `write` keeps it; until then nothing is lost."""

    void: set[int] = field(default_factory=set)
    waits: dict[int, Waits] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    def stuck(self, account_id: int, error: StopOutStuck) -> None:
        """Note that nothing can be closed now."""
        waiting = {str(number): (symbol, reason) for number, (symbol, reason) in error.waiting.items()}
        self.waits[account_id] = _waits(account_id, waiting, error.level_pct)

    def fail(self, account_id: int, error: BaseException) -> None:
        """Note an error that nobody expected: it is tried again like what waits, and alarmed."""
        self.failed[account_id] = repr(error)
        self.waits[account_id] = Waits(account_id, FAILED, {}, None)

    def write(self) -> None:
        """
        Queue what waits, with alarms, and resolve what does not.

        :raises django.db.Error: the database is away; everything noted is still here.
        """
        if self.void or self.waits:
            with transaction.atomic():
                _lock({*self.void, *self.waits})
                _queue(list(self.waits.values()), failed=self.failed)
                _resolve(self.void - self.waits.keys(), resolution="level above stop-out")
        self.void.clear()
        self.waits.clear()
        self.failed.clear()


@lru_cache(maxsize=64)
def dossiers_of(shard: str) -> Effect:
    """
    Return the effect that keeps the dossiers of stop-outs a shard's leader asked for: one and the same for
    every call, so that a batch's stop-outs are written together.
    """

    def keep_dossiers(answered: list[tuple[Command, Outcome]]) -> None:
        _verify_fence(shard, answered)
        _keep(answered)

    return keep_dossiers


def _verify_fence(shard: str, answered: list[tuple[Command, Outcome]]) -> None:
    """Hold the lease's row until the batch is committed, so that a deposed leader closes nothing."""
    fences = {command.fence for command, _ in answered if isinstance(command, StopOut) and command.fence}
    if not fences:
        return
    with connection.cursor() as cursor:
        cursor.execute(FENCE, [shard if shard == QUEUE_LEASE else LEASE_PREFIX + shard])
        row = cursor.fetchone()
    if row is None or fences != {row[0]}:
        raise NotLeading(f"{shard} is led by another engine")


def _keep(answered: list[tuple[Command, Outcome]]) -> None:
    """Write dossiers; queue what they leave open, and end the queue and the alarms of what they finish."""
    told = [
        (command, outcome.dossier)
        for command, outcome in answered
        if outcome.dossier is not None and isinstance(command, StopOut)
    ]
    if not told:
        return
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, [[command.command_id for command, _ in told]])
        event_ids = dict(cursor.fetchall())
        rows = [_row(event_ids[command.command_id], command, dossier) for command, dossier in told]
        bulk.copy(cursor.cursor, "risk_liquidation", COLUMNS, sorted(rows))
    _lock(dossier["account"]["id"] for _, dossier in told)
    left = [_left(dossier) for _, dossier in told if dossier["left"]]
    _queue(left, failed={})
    finished = {dossier["account"]["id"] for _, dossier in told if not dossier["left"]}
    _resolve(finished, resolution="closed")


def _row(event_id: int, command: StopOut, dossier: dict[str, Any]) -> tuple[Any, ...]:
    before, after, steps = dossier["before"], dossier["after"], dossier["steps"]
    closed = [step for step in steps if step["action"] == "close"]
    profit = sum((Decimal(step[name]) for step in closed for name in ("profit", "swap", "commission")), ZERO)
    return (
        event_id,
        dossier["account"]["id"],
        dossier["account"]["group_id"],
        dossier["at"],
        dossier["rule"],
        command.cause,
        dossier["stop_out_pct"],
        before["equity"],
        before["margin"],
        before["level_pct"],
        after["equity"],
        after["margin"],
        after["level_pct"],
        len(steps) - len(closed),
        len(closed),
        profit,
        dossier["credit_used"],
        dossier["compensation"],
        not dossier["left"],
        command.quote_time_ms,
        command.fence,
        dossiers.encoded(dossier),
    )


def _left(dossier: dict[str, Any]) -> Waits:
    level = dossier["after"]["level_pct"]
    waiting = {str(one["position_id"]): (one["symbol"], one["reason"]) for one in dossier["left"]}
    return _waits(dossier["account"]["id"], waiting, None if level is None else Decimal(level))


def _waits(account_id: int, waiting: dict[str, tuple[str, str]], level_pct: Decimal | None) -> Waits:
    reasons = [reason for _, reason in waiting.values()]
    reason = next((one for one in reasons if one != CLOSED), CLOSED if reasons else FAILED)
    return Waits(account_id, reason[:24], waiting, level_pct)


def _lock(account_ids: Iterable[int]) -> None:
    """Lock the queue's rows of accounts in one order for everybody, before some change and others end."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [sorted(account_ids)])


def _queue(waits: Sequence[Waits], *, failed: dict[int, str]) -> None:
    """Queue accounts, or count one more try of those that are queued, and raise their alarms."""
    if not waits:
        return
    rows = [
        {
            "account_id": one.account_id,
            "reason": one.reason,
            "waiting": one.waiting,
            "level_pct": None if one.level_pct is None else str(one.level_pct),
        }
        for one in waits
    ]
    given: dict[str, Any] = {
        "now": clock.now(),
        "rows": orjson.dumps(rows).decode(),
        "closed": CLOSED,
        "pause_s": PAUSE_MAX_S,
        "pause_closed_s": PAUSE_CLOSED_MAX_S,
    }
    with connection.cursor() as cursor:
        cursor.execute(QUEUE, given)
    logins = _logins(one.account_id for one in waits)
    alarms.raise_alarms(
        [_alarm(one, login=logins[one.account_id], error=failed.get(one.account_id)) for one in waits]
    )


def _alarm(waits: Waits, *, login: int, error: str | None) -> Alarm:
    level = "none" if waits.level_pct is None else f"{waits.level_pct:.2f} %"
    if error is not None:
        message = f"The liquidation of account {login} failed and is tried again: {error}"
    else:
        told = ", ".join(
            sorted({f"{symbol} {reason.replace('_', ' ')}" for symbol, reason in waits.waiting.values()})
        )
        message = f"Account {login} is below stop-out (level {level}) and waits: {told}"
    return Alarm(
        kind=WAITS if error is None else BROKE,
        severity=RiskAlarm.Severity.CRITICAL.value,
        subject=str(login),
        message=message,
        account_id=waits.account_id,
        detail={"waiting": waits.waiting},
    )


def _resolve(account_ids: Iterable[int], *, resolution: str) -> None:
    """End the queue rows and alarms of accounts that need nothing more."""
    wanted = sorted(account_ids)
    if not wanted:
        return
    with connection.cursor() as cursor:
        cursor.execute(RESOLVE, {"now": clock.now(), "resolution": resolution, "accounts": wanted})
        cursor.execute(ALARMED, [wanted, [WAITS, BROKE]])
        alarmed = [row[0] for row in cursor.fetchall()]
    subjects = [str(login) for login in _logins(alarmed).values()]
    for kind in (WAITS, BROKE):
        alarms.clear_all(kind=kind, subjects=subjects)


def _logins(account_ids: Iterable[int]) -> dict[int, int]:
    wanted = list(account_ids)
    if not wanted:
        return {}
    return dict(TradingAccount.objects.filter(pk__in=wanted).values_list("pk", "login"))
