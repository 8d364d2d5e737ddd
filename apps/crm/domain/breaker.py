"""
The circuit breaker of a connection: after so many failures in a row nobody calls for a while, then one call
tries. Pure: instants are given.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

OPENS_AFTER = 5
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)
PROBE_LEASE = timedelta(seconds=45)  # a probe whose worker died leaves the way to the next one after that
State = Literal["closed", "open", "half-open"]


def pause_after(times: int) -> timedelta:
    """Return how long to leave alone what failed so many times in a row: each time doubles the pause."""
    longer: int = 2 ** min(max(times - 1, 0), 10)
    return min(LONGEST_PAUSE, FIRST_PAUSE * longer)


@dataclass(frozen=True, slots=True)
class Breaker:
    """Failures in a row, and until when nobody calls."""

    failures: int = 0
    open_until: datetime | None = None

    def state(self, now: datetime) -> State:
        """Return closed (calls go through), open (none does) or half-open (the next one is the probe)."""
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half-open"

    def wait(self, now: datetime) -> timedelta:
        """Return how long no call may be made; 0: one may."""
        if self.open_until is None:
            return timedelta(0)
        return max(timedelta(0), self.open_until - now)

    def entered(self, now: datetime) -> "Breaker":
        """Let a call through: the probe keeps all others out until it is back."""
        if self.state(now) == "half-open":
            return Breaker(self.failures, now + PROBE_LEASE)
        return self

    def failed(self, now: datetime, *, is_probe: bool = False) -> "Breaker":
        """
        Count a failure; the fifth in a row opens, each failed probe doubles the pause. Calls that were on
        their way when it opened change nothing.
        """
        if self.state(now) == "open" and not is_probe:
            return self
        failures = self.failures + 1
        if failures < OPENS_AFTER:
            return Breaker(failures, self.open_until)
        return Breaker(failures, now + pause_after(failures - OPENS_AFTER + 1))

    def tripped(self, now: datetime) -> "Breaker":
        """Open at once, whatever went before: more calls would end alike. Each time doubles the pause."""
        return Breaker(max(self.failures, OPENS_AFTER - 1), self.open_until).failed(now, is_probe=True)

    def succeeded(self) -> "Breaker":
        """Close: the provider answers."""
        return Breaker()
