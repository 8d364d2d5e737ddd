"""
Rate limits as token buckets, in this process's memory. A limit protects the service; it is no security
boundary.
"""

import math
import threading
import time
from dataclasses import dataclass

BUCKETS_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bucket said: `retry_after_s` is 0 when the request may pass."""

    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int


class TokenBucket:
    """Lets `rate` requests a second through per key, and `burst` at once."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str) -> Verdict:
        """Take one token of a key's bucket, if there is one."""
        now = time.monotonic()
        with self._lock:
            if len(self._levels) >= BUCKETS_KEPT:
                self._levels.clear()
            level, at = self._levels.get(key, (float(self.burst), now))
            level = min(float(self.burst), level + (now - at) * self.rate)
            passes = level >= 1.0
            level -= passes
            self._levels[key] = (level, now)
        missing = 0.0 if passes else 1.0 - level
        return Verdict(
            limit=self.burst,
            remaining=int(level),
            reset_s=int((self.burst - level) / self.rate) + 1,
            retry_after_s=max(1, math.ceil(missing / self.rate)) if missing else 0,
        )
