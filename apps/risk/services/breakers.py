"""
Changes of circuit breakers: by what was measured (the engine, fenced by its lease) and by staff.

Each change writes the state, which the guards of every process read with their next batch, and one row of
history. Measures nothing: breaker_watch.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.db import transaction

from apps.market.models import Symbol
from apps.risk.domain.breakers import Signal, State, next_state
from apps.risk.models import BreakerChange, BreakerState, RiskAlarm
from apps.risk.selectors.breakers import Rule
from apps.risk.services import alarms
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Invalid, NotFound
from rtx.kernel.money import plain

REASON_MAX = 200
ENGINE = Actor.system("breakers")
SWITCHED_OFF = "the breaker was switched off"
REASONS = {
    Signal.COOLED: "cooled down: lets probe orders through",
    Signal.PROBED: "probe orders passed",
}

log = structlog.get_logger(__name__)


class NotTripped(Conflict):
    """The breaker is closed: there is nothing to reset."""

    code = "breaker_closed"
    title = "The breaker is closed already"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a breaker watches: a symbol, a provider, an account, or everything (empty)."""

    text: str = ""
    symbol: str | None = None
    account_id: int | None = None


def apply(
    *,
    rule: Rule,
    subject: Subject,
    signal: Signal,
    known: State,
    value: Decimal | None,
    now: datetime,
    verify: Callable[[], None],
) -> State | None:
    """
    Take a signal of the engine, which follows from the state that the engine knew; `verify` holds the
    engine's lease within the same transaction.

    Returns the new state; None: the breaker stands otherwise by now, so that nothing follows from the signal.

    :raises NotLeading: another engine leads (from `verify`).
    """
    with transaction.atomic():
        verify()
        row = _row(rule, subject, now)
        before = State(row.state)
        after = next_state(before, signal)
        if after is None or before is not known:
            return None
        row.state, row.since, row.value = after, now, value
        row.reason = _told(rule, signal, value)
        row.cools_until = now + timedelta(seconds=rule.cooldown_s) if after is State.OPEN else None
        row.trips += after is State.OPEN
        row.save()
        _write_change(row, before=before, at=now, actor=ENGINE, threshold=rule.threshold)
        _tell(row, rule.name)
    log.warning("breaker_changed", breaker=rule.name, subject=subject.text, state=after, value=value)
    return after


def reset(*, state_id: int, actor: Actor, reason: str) -> BreakerState:
    """
    Close a breaker by hand: trading goes on at once, and what it measures begins anew.

    :raises NotTripped: it is closed already.
    """
    text = reason.strip()
    if not text or len(text) > REASON_MAX:
        raise Invalid(f"A reason of at most {REASON_MAX} characters is needed.")
    now = clock.now()
    with transaction.atomic():
        rows = BreakerState.objects.select_for_update(of=("self",)).select_related("breaker")
        row = rows.filter(pk=state_id).first()
        if row is None:
            raise NotFound("There is no such breaker state.")
        before = State(row.state)
        after = next_state(before, Signal.RESET)
        if after is None:
            raise NotTripped(f"{row} is closed already.")
        row.state, row.since, row.cools_until, row.reason = after, now, None, text
        row.save()
        _write_change(row, before=before, at=now, actor=actor, threshold=row.breaker.threshold)
        _tell(row, row.breaker.name)
    log.warning("breaker_reset", breaker=row.breaker.name, subject=row.subject, by=actor.as_text())
    return row


def close_switched_off(*, now: datetime, verify: Callable[[], None]) -> int:
    """
    Close the states of breakers that were switched off, with history, and clear their alarms; return how
    many.

    :raises NotLeading: another engine leads (from `verify`).
    """
    with transaction.atomic():
        verify()
        rows = BreakerState.objects.select_for_update(of=("self",)).select_related("breaker")
        found = list(rows.filter(breaker__is_active=False).exclude(state=State.CLOSED).order_by("pk"))
        for row in found:
            before = State(row.state)
            row.state, row.since, row.cools_until, row.reason = State.CLOSED, now, None, SWITCHED_OFF
            row.save()
            _write_change(row, before=before, at=now, actor=ENGINE, threshold=row.breaker.threshold)
            _tell(row, row.breaker.name)
    return len(found)


def _row(rule: Rule, subject: Subject, now: datetime) -> BreakerState:
    """Return the locked row of a subject; it is made the first time."""
    values = {
        "symbol": Symbol.objects.filter(name=subject.symbol).first() if subject.symbol else None,
        "account_id": subject.account_id,
        "state": State.CLOSED,
        "since": now,
    }
    row, _ = BreakerState.objects.select_for_update(of=("self",)).get_or_create(
        breaker_id=rule.id, subject=subject.text, defaults=values
    )
    return row


def _told(rule: Rule, signal: Signal, value: Decimal | None) -> str:
    if signal is Signal.TRIPPED and value is not None:
        return f"{rule.kind} {plain(round(value, 4))} reached {plain(rule.threshold)}"[:REASON_MAX]
    return REASONS[signal]


def _write_change(
    row: BreakerState, *, before: State, at: datetime, actor: Actor, threshold: Decimal
) -> None:
    BreakerChange.objects.create(
        state=row,
        breaker_name=row.breaker.name,
        subject=row.subject,
        at=at,
        before=before,
        after=row.state,
        value=row.value,
        threshold=threshold,
        reason=row.reason,
        actor=actor.as_text(),
    )


def _tell(row: BreakerState, name: str) -> None:
    """Raise the alarm of an open breaker; it is cleared once it is closed, whatever its name is by then."""
    subject = f"breaker:{row.pk}"
    if row.state == State.OPEN:
        alarms.raise_alarm(
            kind=RiskAlarm.Kind.BREAKER_OPEN,
            severity=RiskAlarm.Severity.CRITICAL,
            subject=subject,
            message=f"Circuit breaker {f'{name} {row.subject}'.strip()} opened: {row.reason}",
            account_id=row.account_id,
            detail={"state": row.pk, "value": None if row.value is None else plain(row.value)},
        )
    elif row.state == State.CLOSED:
        alarms.clear(kind=RiskAlarm.Kind.BREAKER_OPEN, subject=subject)
