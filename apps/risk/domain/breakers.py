"""
Circuit breakers as one transition table, and what they measure over a window. Pure.

closed -> open when the measure reaches its threshold; open -> half-open once it has cooled down and the
measure is below again; half-open -> closed after enough probe orders, or open again. Staff may close it at
any time; one that is reset by staff alone never leaves open by itself.
"""

from collections import deque
from decimal import Decimal
from enum import StrEnum

HUNDRED = Decimal(100)


class State(StrEnum):
    """How a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Signal(StrEnum):
    """What can change it."""

    TRIPPED = "tripped"
    COOLED = "cooled"
    PROBED = "probed"
    RESET = "reset"


# What is not here changes nothing.
TRANSITIONS: dict[tuple[State, Signal], State] = {
    (State.CLOSED, Signal.TRIPPED): State.OPEN,
    (State.OPEN, Signal.COOLED): State.HALF_OPEN,
    (State.OPEN, Signal.RESET): State.CLOSED,
    (State.HALF_OPEN, Signal.TRIPPED): State.OPEN,
    (State.HALF_OPEN, Signal.PROBED): State.CLOSED,
    (State.HALF_OPEN, Signal.RESET): State.CLOSED,
}


def next_state(state: State, signal: Signal) -> State | None:
    """Return the state after a signal; None: it stays."""
    return TRANSITIONS.get((state, signal))


def signal_of(
    state: State,
    *,
    value: Decimal | None,
    threshold: Decimal,
    has_cooled: bool,
    resets_itself: bool,
    probes_left: int,
) -> Signal | None:
    """Return what a measure (None: nothing is known) and the time say to a breaker in a state."""
    if value is not None and value >= threshold:
        return None if state is State.OPEN else Signal.TRIPPED
    if state is State.OPEN:
        return Signal.COOLED if has_cooled and resets_itself else None
    if state is State.HALF_OPEN and probes_left <= 0:
        return Signal.PROBED
    return None


class PriceWindow:
    """
    The bids of one symbol within the last `window_ms`, with the one that stood when it began: the lowest
    and the highest are known at once.
    """

    __slots__ = ("_highs", "_last", "_lows", "_window_ms")

    def __init__(self, *, window_ms: int) -> None:
        self._window_ms = window_ms
        self._lows: deque[tuple[int, Decimal]] = deque()
        self._highs: deque[tuple[int, Decimal]] = deque()
        self._last: Decimal | None = None

    def add(self, bid: Decimal, *, at_ms: int) -> None:
        """Take one tick; times never go back."""
        while self._lows and self._lows[-1][1] >= bid:
            self._lows.pop()
        while self._highs and self._highs[-1][1] <= bid:
            self._highs.pop()
        self._lows.append((at_ms, bid))
        self._highs.append((at_ms, bid))
        self._last = bid
        self._drop(at_ms)

    def move_pct(self, now_ms: int) -> Decimal | None:
        """
        Return how far the latest price is from the lowest or the highest of the window, in percent of that
        one; the larger of both. None: no tick yet.
        """
        if self._last is None:
            return None
        self._drop(now_ms)
        low, high = self._lows[0][1], self._highs[0][1]
        return max((self._last - low) / low, (high - self._last) / high) * HUNDRED

    def clear(self) -> None:
        """Measure anew from the next tick on."""
        self._lows.clear()
        self._highs.clear()
        self._last = None

    def _drop(self, now_ms: int) -> None:
        """Forget what was over before the window began."""
        since = now_ms - self._window_ms
        for kept in (self._lows, self._highs):
            while len(kept) > 1 and kept[1][0] <= since:
                kept.popleft()


class RateWindow:
    """Orders of one subject within the last `window_ms`, and how many of them were refused."""

    __slots__ = ("_orders", "_refused", "_window_ms")

    def __init__(self, *, window_ms: int) -> None:
        self._window_ms = window_ms
        self._orders: deque[tuple[int, bool]] = deque()
        self._refused = 0

    def add(self, *, at_ms: int, is_refused: bool) -> None:
        """Take one order."""
        self._orders.append((at_ms, is_refused))
        self._refused += is_refused

    def refused_pct(self, now_ms: int, *, observations_min: int) -> Decimal | None:
        """Return the share of refused orders in percent; None: too few orders to say."""
        since = now_ms - self._window_ms
        while self._orders and self._orders[0][0] <= since:
            self._refused -= self._orders.popleft()[1]
        count = len(self._orders)
        if not count or count < observations_min:
            return None
        return Decimal(self._refused) * HUNDRED / count

    @property
    def is_empty(self) -> bool:
        """Whether it holds no order any more, as of when it was read last."""
        return not self._orders

    def clear(self) -> None:
        """Count anew."""
        self._orders.clear()
        self._refused = 0


def silence_s(*, now_ms: int, last_ms: int) -> Decimal:
    """Return for how many seconds there was no tick."""
    return Decimal(max(0, now_ms - last_ms)) / 1000
