"""How many requests one socket may send: a token bucket. Pure; the present comes in as an argument."""


class RequestBudget:
    """Refills at `per_s`, holds `burst` at most."""

    __slots__ = ("_burst", "_per_s", "_tokens", "_updated_s")

    def __init__(self, *, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._updated_s = now_s

    def take(self, now_s: float) -> bool:
        """Use one request; False when none is left."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._updated_s) * self._per_s)
        self._updated_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
