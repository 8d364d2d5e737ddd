"""
Opens a connection's provider for calls. All that every call needs sits here: the token (refreshed once by
whoever comes first), the limits, the circuit breaker, repeating, the log of calls. Knows no field and no
customer; writes no content and no secret anywhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from apps.crm.adapters.provider import CallRefused, LimitReached, Provider, Unavailable
from apps.crm.models import Connection, SyncRun

SLEEP_MAX_S = 12.0  # who must wait longer gives the worker back


class NotConnected(CallRefused):
    """The connection has no access, or is paused: nothing is called."""

    code = "not_connected"


class Held(LimitReached):
    """The limiter would have to wait longer than `SLEEP_MAX_S`: come back after `retry_after_s`."""

    code = "rate_limited"


class BreakerOpen(Unavailable):
    """The provider failed so often that it is left alone: come back after `retry_after_s`."""

    code = "breaker_open"


def quiet(connection: Connection) -> Provider:
    """Return the provider for what needs no session: `batch_max`, `scopes`, `verify`, authorization."""
    raise NotImplementedError


@contextmanager
def opened(
    connection: Connection, run: SyncRun | None = None, *, is_test: bool = False
) -> Iterator[Provider]:
    """
    Give the connection's provider, ready to call; close its HTTP connections afterwards.

    Call it outside of any transaction: every call commits on its own (limits, token, log of calls). `run`
    gets its `calls` counted and its log marked. `is_test`: a connection that is paused may
    be called too. Use one `opened` per thread; parallel workers share the limits through the database.

    :raises NotConnected: not connected or paused.
    :raises Held: (from a call) wait `retry_after_s`; nothing was sent.
    :raises BreakerOpen: (from a call) wait `retry_after_s`; nothing was sent.
    :raises AccessRevoked: (from a call) the connection is now REVOKED and shown so; give up.
    :raises ProviderError: (from a call) whatever else went wrong, after repeating what may be repeated.
    """
    raise NotImplementedError
    yield
