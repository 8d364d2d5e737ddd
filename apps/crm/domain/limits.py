"""
How many calls may be made when: at most so many in any window, counted from the END of each call, so that the
provider, whatever its clock says, never sees more. Instants are milliseconds that callers give.

A call that is on its way holds a slot until it ends; when its worker dies, until it must have ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

CALL_MAX_MS = 45_000  # a call has ended by then, whatever became of its worker
DAY_PAUSE_MS = 900_000  # when the day's calls are used up: look again after a quarter of an hour


@dataclass(frozen=True, slots=True)
class Call:
    """A call that ended (`token` is empty) at `at_ms`, or one on its way that ends by then."""

    at_ms: int
    token: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """The calls that count, oldest end first, and the instant before which the provider wants none."""

    calls: tuple[Call, ...] = ()
    not_before_ms: int = 0

    @classmethod
    def read(cls, kept: Any, *, not_before_ms: int = 0) -> "Window":
        """Read what `kept` wrote; what cannot be read does not count."""
        rows = kept if isinstance(kept, Sequence) and not isinstance(kept, str) else ()
        calls = tuple(
            Call(row[0], row[1])
            for row in rows
            if isinstance(row, Sequence)
            and len(row) == 2
            and isinstance(row[0], int)
            and isinstance(row[1], str)
        )
        return cls(calls, not_before_ms)

    def kept(self) -> list[list[Any]]:
        """Return the calls as JSON."""
        return [[call.at_ms, call.token] for call in self.calls]

    def current(self, *, now_ms: int, window_ms: int) -> "Window":
        """Forget calls that are out of the window."""
        kept = tuple(call for call in self.calls if call.at_ms > now_ms - window_ms)
        return replace(self, calls=kept)

    def wait_ms(self, *, now_ms: int, calls_max: int, window_ms: int) -> int:
        """Return how long the next call must wait; 0: it may be made now."""
        counted = self.current(now_ms=now_ms, window_ms=window_ms).calls
        ends = sorted(min(call.at_ms, now_ms) for call in counted)  # one on its way ends now at the earliest
        wait = self.not_before_ms - now_ms
        surplus = len(ends) - max(1, calls_max)
        if surplus >= 0:
            wait = max(wait, ends[surplus] + window_ms - now_ms)
        return max(0, wait)

    def begun(self, token: str, *, now_ms: int) -> "Window":
        """Take a slot for a call that begins now."""
        return replace(self, calls=(*self.calls, Call(now_ms + CALL_MAX_MS, token)))

    def ended(self, token: str, *, now_ms: int) -> "Window":
        """Note that a call ended now."""
        others = tuple(call for call in self.calls if call.token != token)
        return replace(self, calls=tuple(sorted((*others, Call(now_ms)), key=lambda call: call.at_ms)))

    def paused(self, *, until_ms: int) -> "Window":
        """Make no call before an instant that the provider named; a later one stays."""
        return replace(self, not_before_ms=max(self.not_before_ms, until_ms))

    def told(self, left: int | None, *, calls_max: int, now_ms: int, window_ms: int) -> "Window":
        """
        Heed how many calls the provider says are left: fewer than this side counted means that somebody else
        shares the limit, so theirs count as well.
        """
        if left is None:
            return self
        here = self.current(now_ms=now_ms, window_ms=window_ms)
        others = min(calls_max, calls_max - len(here.calls) - max(0, left))
        if others <= 0:
            return self
        return replace(here, calls=(*here.calls, *(Call(now_ms) for _ in range(others))))
