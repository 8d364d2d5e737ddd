"""Reads and moves the circuit breaker of a connection's row; the rule itself is `domain.breaker`."""

from datetime import datetime

from apps.crm.adapters.provider import CallRefused, Forbidden, LimitReached, ProviderError, Unavailable
from apps.crm.domain.breaker import Breaker
from apps.crm.models import Connection


def of(row: Connection) -> Breaker:
    """Return a connection's breaker."""
    return Breaker(failures=row.failures, open_until=row.open_until)


def after(breaker: Breaker, *, error: ProviderError | None, is_probe: bool, now: datetime) -> Breaker:
    """
    Return what becomes of the breaker after a call: no answer and the provider's own faults count against it,
    any answer that was understood closes it. A limit says nothing, but that a probe was answered; a fault of
    the whole connection is dealt with by whoever ends their work for it (`faults`).
    """
    if isinstance(error, Unavailable):
        return breaker.failed(now, is_probe=is_probe)
    if isinstance(error, LimitReached) and not is_probe:
        return breaker
    if error is None or isinstance(error, CallRefused | Forbidden | LimitReached):
        return breaker.succeeded()
    return breaker
