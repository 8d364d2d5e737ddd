"""The only clock. Delivery and services read it and pass instants down; domain code never imports it."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """Return the present instant as milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def from_ms(ms: int) -> datetime:
    """Return the UTC instant of milliseconds since the epoch, exactly."""
    seconds, rest = divmod(ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def rfc3339(instant: datetime) -> str:
    """Return an instant as RFC 3339 text in UTC with a `Z`."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
