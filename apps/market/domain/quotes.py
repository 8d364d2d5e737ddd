"""Quotes and the filters that refuse bad ticks. Pure: the present comes in as an argument."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

AHEAD_MAX_MS = 5_000  # so far ahead of the clock a time may lie before it is a wrong clock's
SPIKE_CONFIRMATIONS = 5  # so many ticks in a row at a new level make it real
HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Quote:
    """One bid/ask update of a symbol; `time_ms` is milliseconds since the epoch, UTC."""

    symbol: str
    bid: Decimal
    ask: Decimal
    time_ms: int


class Refusal(StrEnum):
    """Why a tick was refused."""

    EMPTY = "empty"
    NON_POSITIVE = "non_positive"
    CROSSED = "crossed"
    OUT_OF_ORDER = "out_of_order"
    SPIKE = "spike"


class TickFilter:
    """
    Refuses the bad ticks of one symbol and counts them by reason.

    Hard filters look at the tick alone (empty, non-positive, crossed) or at its time (older than the last
    accepted one). The spike filter is soft: a bid further than `spike_max_pct` from the last accepted one is
    refused until `SPIKE_CONFIRMATIONS` ticks in a row, each within the limit of the one before it, confirmed
    the new level: a real gap costs a few ticks, a wild print never gets through. 0 turns it off.
    """

    __slots__ = (
        "_ceiling",
        "_confirming",
        "_floor",
        "_last_bid",
        "_last_ms",
        "_limit",
        "_suspect_bid",
        "accepted",
        "refused",
    )

    def __init__(self, *, spike_max_pct: Decimal) -> None:
        self.accepted = 0
        self.refused: Counter[Refusal] = Counter()
        self._limit = spike_max_pct / HUNDRED
        self._last_ms = 0
        self._last_bid: Decimal | None = None
        self._floor = self._ceiling = Decimal(0)
        self._suspect_bid: Decimal | None = None
        self._confirming = 0

    def refusal(
        self, *, bid: Decimal | None, ask: Decimal | None, time_ms: int, now_ms: int | None = None
    ) -> Refusal | None:
        """
        Judge one tick and count it; None: it is accepted and the next is held to its level.

        With `now_ms`, a last tick that lies ahead of it (the clock was set back) holds up none after it.
        """
        if now_ms is not None and self._last_ms > now_ms + AHEAD_MAX_MS:
            self._last_ms = 0
        reason = self._judge(bid, ask, time_ms)
        if reason is None:
            self.accepted += 1
        else:
            self.refused[reason] += 1
        return reason

    def break_session(self) -> None:
        """Forget the price level, not the time: after a break or a loop's seam any first price is fair."""
        self._last_bid = self._suspect_bid = None
        self._confirming = 0

    def limit_spikes(self, spike_max_pct: Decimal) -> None:
        """Take a changed limit over, from the present level on."""
        self._limit = spike_max_pct / HUNDRED
        if self._last_bid is not None:
            self._set_level(self._last_bid)

    def start_from(self, *, bid: Decimal, time_ms: int) -> None:
        """Take a restored quote as the last accepted one without counting it."""
        self._last_ms = time_ms
        self._set_level(bid)

    def _judge(self, bid: Decimal | None, ask: Decimal | None, time_ms: int) -> Refusal | None:
        if bid is None or ask is None or not bid.is_finite() or not ask.is_finite():
            return Refusal.EMPTY
        if bid <= 0 or ask <= 0:
            return Refusal.NON_POSITIVE
        if ask < bid:
            return Refusal.CROSSED
        if time_ms < self._last_ms:
            return Refusal.OUT_OF_ORDER
        if bid != self._last_bid:
            if self._last_bid is not None and self._limit and self._is_spike(bid):
                return Refusal.SPIKE
            self._set_level(bid)
        elif self._confirming:
            self._suspect_bid, self._confirming = None, 0
        self._last_ms = time_ms
        return None

    def _is_spike(self, bid: Decimal) -> bool:
        if self._floor <= bid <= self._ceiling:
            return False
        suspect = self._suspect_bid
        near = suspect is not None and abs(bid - suspect) <= suspect * self._limit
        self._confirming = self._confirming + 1 if near else 1
        self._suspect_bid = bid
        return self._confirming <= SPIKE_CONFIRMATIONS

    def _set_level(self, bid: Decimal) -> None:
        width = bid * self._limit
        self._last_bid = bid
        self._floor, self._ceiling = bid - width, bid + width
        self._suspect_bid, self._confirming = None, 0
