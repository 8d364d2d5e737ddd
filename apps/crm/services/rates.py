"""
Lets calls in and out: the limiter's window and the circuit breaker of a connection, kept in its row under a
short lock in a transaction of its own, so that parallel workers share them. Sends nothing and never sleeps.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from apps.crm.adapters.provider import LimitReached, Limits, ProviderError, Unavailable
from apps.crm.domain.limits import DAY_PAUSE_MS, Window
from apps.crm.models import Connection, SyncRun
from apps.crm.services import breakers, exchanges, faults
from apps.crm.services.exchanges import Asked, Ended
from rtx.kernel import clock

ERROR_MAX = 300
LOCKED = (
    *("calls", "not_before", "calls_max", "window_s", "failures", "open_until"),
    *("provider", "fault_code", "fault_during"),
)


class Held(LimitReached):
    """The limiter would have to wait too long: come back after `retry_after_s`."""

    code = "rate_limited"


class BreakerOpen(Unavailable):
    """The connection is left alone for a while: come back after `retry_after_s`."""

    code = "breaker_open"


@dataclass(frozen=True, slots=True)
class Slot:
    """A call that was let in."""

    token: str
    is_probe: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """A call that must wait: for the limit, or because the breaker is open."""

    seconds: float
    is_breaker: bool = False


def enter(*, connection_id: int, is_test: bool = False) -> Slot | Wait:
    """
    Take a slot for one call, or return how long to wait. A test passes an open breaker, never the limit.

    :raises Connection.DoesNotExist: it was deleted.
    """
    with transaction.atomic():
        row = _locked(connection_id)
        now = clock.now()
        breaker = breakers.of(row)
        if (pause := breaker.wait(now)) and not is_test:
            return Wait(pause.total_seconds(), is_breaker=True)
        window, now_ms = _window(row), clock.now_ms()
        wait_ms = window.wait_ms(now_ms=now_ms, calls_max=row.calls_max, window_ms=row.window_s * 1000)
        if wait_ms > 0:
            return Wait(wait_ms / 1000)
        is_probe = breaker.open_until is not None
        token = uuid.uuid4().hex[:12]
        begun = window.current(now_ms=now_ms, window_ms=row.window_s * 1000).begun(token, now_ms=now_ms)
        Connection.objects.filter(pk=row.pk).update(
            calls=begun.kept(), open_until=breaker.entered(now).open_until
        )
    return Slot(token, is_probe)


def leave(
    *,
    connection_id: int,
    run: SyncRun | None,
    slot: Slot,
    asked: Asked,
    ended: Ended,
    limits: Limits,
    error: ProviderError | None,
) -> None:
    """Give the slot back with what the call taught, and write the call down."""
    with transaction.atomic():
        row = _locked(connection_id)
        now, now_ms = clock.now(), clock.now_ms()
        window_ms = row.window_s * 1000
        window = _window(row).ended(slot.token, now_ms=now_ms)
        if limits.window_ms in (None, window_ms):
            left = limits.window_left
            window = window.told(left, calls_max=row.calls_max, now_ms=now_ms, window_ms=window_ms)
        if (pause_ms := _pause_ms(error, limits, window_ms)) > 0:
            window = window.paused(until_ms=now_ms + pause_ms)
        breaker = breakers.after(breakers.of(row), error=error, is_probe=slot.is_probe, now=now)
        learned = {
            "calls": window.kept(),
            "not_before": clock.from_ms(window.not_before_ms) if window.not_before_ms else None,
            "failures": breaker.failures,
            "open_until": breaker.open_until,
            **_daily(limits),
            **said(error, now),
            **(faults.mended_by(row, asked) if ended.is_success else {}),
        }
        Connection.objects.filter(pk=row.pk).update(**learned)
        if run is not None:
            SyncRun.objects.filter(pk=run.pk).update(calls=F("calls") + 1)
        exchanges.record(
            connection_id=connection_id, run_id=run.pk if run is not None else None, asked=asked, ended=ended
        )


def may_ask(*, connection_id: int) -> None:
    """
    Let a call to the token endpoint through; the limit of calls does not count there.

    :raises BreakerOpen: the connection is left alone.
    :raises Held: the provider asked to wait.
    """
    row = Connection.objects.only("failures", "open_until", "not_before").get(pk=connection_id)
    now = clock.now()
    if pause := breakers.of(row).wait(now):
        raise BreakerOpen("The provider is left alone for a while.", retry_after_s=pause.total_seconds())
    if row.not_before is not None and row.not_before > now:
        wait_s = (row.not_before - now).total_seconds()
        raise Held("The provider asked to wait.", retry_after_s=wait_s)


def asked_in_vain(*, connection_id: int, error: ProviderError) -> None:
    """Note that the token endpoint gave no token: a failure like that of any call."""
    with transaction.atomic():
        row, now = _locked(connection_id), clock.now()
        breaker = breakers.after(breakers.of(row), error=error, is_probe=True, now=now)
        learned = {"failures": breaker.failures, "open_until": breaker.open_until, **said(error, now)}
        if error.retry_after_s:  # nobody asks again before
            learned["not_before"] = now + timedelta(seconds=error.retry_after_s)
        Connection.objects.filter(pk=row.pk).update(**learned)


def said(error: ProviderError | None, now: datetime) -> dict[str, object]:
    """Return the columns that tell staff how the last call went."""
    if error is None:
        return {"last_ok_at": now}
    return {
        "last_error_code": error.code[:40],
        "last_error": str(error)[:ERROR_MAX],
        "last_error_at": now,
    }


def _locked(connection_id: int) -> Connection:
    return Connection.objects.select_for_update(no_key=True).only(*LOCKED).get(pk=connection_id)


def _window(row: Connection) -> Window:
    until = int(row.not_before.timestamp() * 1000) if row.not_before else 0
    return Window.read(row.calls, not_before_ms=until)


def _pause_ms(error: ProviderError | None, limits: Limits, window_ms: int) -> int:
    """Return how long the provider wants no call at all."""
    if isinstance(error, LimitReached):
        if error.retry_after_s is not None:
            return int(min(error.retry_after_s, timedelta(days=1).total_seconds()) * 1000)
        return DAY_PAUSE_MS if error.code == "daily_limit" else limits.window_ms or window_ms
    if isinstance(error, Unavailable) and error.retry_after_s is not None:
        return int(min(error.retry_after_s, 3600.0) * 1000)
    if limits.daily_left == 0:
        return DAY_PAUSE_MS
    if limits.window_left == 0 and limits.window_ms not in (None, window_ms):
        return limits.window_ms or 0
    return 0


def _daily(limits: Limits) -> dict[str, int]:
    learned = {"daily_max": limits.daily_max, "daily_left": limits.daily_left}
    return {name: max(0, value) for name, value in learned.items() if value is not None}
