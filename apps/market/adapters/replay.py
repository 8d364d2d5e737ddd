"""
The replay feed: recorded quotes played again, their times moved to now.

A recording plays at the time of day at which it was made, so several symbols stay together; after its last
day it starts again. Where it has nothing (a night, a weekend, a recording of half an hour) its most recent
stretch is played once more, so that the demo has moving prices at every hour: by whole days if the stretch
is that long, else as a short loop. Every such jump is a session break for the filters. Between two ticks of
a stretch the last quote is confirmed every few seconds, as a live provider's heartbeat does.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

import structlog

from apps.market.adapters.feed import NEVER_MS, RawTick
from apps.market.adapters.library import Tape
from apps.market.adapters.recordings import RecordingError

DAY_MS = 86_400_000
SILENCE_MS = 600_000  # a longer one ends a stretch
STRETCH_TICKS_MIN = 20  # a stretch with fewer is not worth a loop
SEAM_MS = 1_000  # the pause between two laps of a short loop
REPEAT_MS = 5_000
SLEEP_MS = 2_000  # a feed that was not asked for so long does not catch up, it goes on from now

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Ticks `first..last` of the tape without a long silence; times count from the tape's first tick."""

    first: int
    last: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lap:
    """What plays now: ticks `index..last`, each at its own time plus `shift`, and no longer than `until`."""

    index: int
    last: int
    shift: int
    until: int


class Timeline:
    """
    Finds what of a tape plays at a moment. Pure arithmetic on milliseconds.

    The tape repeats every `period_ms`, whole days, so that its time of day is kept.
    """

    def __init__(self, times_ms: list[int]) -> None:
        if not times_ms:
            raise RecordingError("the recording holds no quote")
        self.origin = times_ms[0]
        self.offsets: list[int] = []
        latest = 0
        for time_ms in times_ms:  # a tick out of order keeps its place in the line
            latest = max(latest, time_ms - self.origin)
            self.offsets.append(latest)
        self.period_ms = (latest // DAY_MS + 1) * DAY_MS
        self.stretches = self._stretches()

    def _stretches(self) -> list[Stretch]:
        offsets, found, first = self.offsets, [], 0
        for index in range(1, len(offsets) + 1):
            if index == len(offsets) or offsets[index] - offsets[index - 1] > SILENCE_MS:
                found.append(Stretch(first, index - 1, offsets[first], offsets[index - 1]))
                first = index
        longest = max(found, key=lambda one: one.last - one.first)
        return [one for one in found if one.last - one.first + 1 >= STRETCH_TICKS_MIN] or [longest]

    def lap(self, moment: int) -> Lap:
        """Return what plays from `moment` (milliseconds since the epoch) on."""
        phase = (moment - self.origin) % self.period_ms
        number = bisect_right(self.stretches, phase, key=lambda one: one.start) - 1
        stretch = self.stretches[
            number
        ]  # number -1, before the first stretch: the last one of the lap before
        following = self.stretches[(number + 1) % len(self.stretches)]
        place = phase
        until = moment + (following.start - phase - 1) % self.period_ms + 1
        if not stretch.start <= place <= stretch.end:
            length = stretch.end - stretch.start
            step = (length // DAY_MS) * DAY_MS or length + SEAM_MS
            since = (phase - stretch.start) % self.period_ms
            place = stretch.start + self._fold(since, length, step)
        index = bisect_left(self.offsets, place, stretch.first, stretch.last + 1)
        return Lap(index, stretch.last, moment - place - self.origin, until)

    @staticmethod
    def _fold(since: int, length: int, step: int) -> int:
        """Return where in a stretch the time `since` its start falls, going back by whole steps."""
        if since <= length:
            return since
        return since - -(-(since - length) // step) * step


class ReplayFeed:
    """One symbol's recording, played at any speed. The tape is read in the background."""

    is_simulated = False
    _readers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tape")

    def __init__(
        self,
        *,
        load: Callable[[], Tape],
        provider: str,
        digits: int,
        start_ms: int,
        speed: float = 1.0,
        waits: bool = False,
    ) -> None:
        """Begin to read the tape; with `waits` return when it is read."""
        if speed <= 0:
            raise ValueError("a replay's speed is positive")
        self.provider = f"replay:{provider}"
        self._point = Decimal(1).scaleb(-digits)
        self._speed = speed
        self._start_ms = start_ms
        self._last_ms = start_ms
        self._reading: Future[tuple[Tape, Timeline]] = self._readers.submit(_read, load)
        if waits:
            self._reading.exception()
        self._tape = Tape()
        self._timeline: Timeline | None = None
        self._lap = Lap(0, -1, 0, 0)
        self._after_break = True
        self._is_broken = False

    def next_due_ms(self) -> int:
        """Return when the next tick or repeat is due; while the tape is being read: soon."""
        if self._is_broken:
            return NEVER_MS
        if self._timeline is None:
            return self._last_ms if self._reading.done() else self._last_ms + REPEAT_MS
        return min(self._next_ms(), self._last_ms + REPEAT_MS)

    def take(self, now_ms: int) -> list[RawTick]:
        """Return the ticks that fell due up to now."""
        ticks: list[RawTick] = []
        if self._timeline is None and not self._begin(now_ms, ticks):
            return ticks
        if now_ms - self._next_ms() > SLEEP_MS:
            self._seek(self._moment(now_ms))
        while (due_ms := self._next_ms()) <= now_ms:
            lap = self._lap
            if lap.index > lap.last or self._at(lap.index) >= lap.until:
                self._seek(self._end(lap))
                continue
            ticks.append(self._tick(lap.index, self._stamp_ms(lap)))
            self._lap = Lap(lap.index + 1, lap.last, lap.shift, lap.until)
            self._last_ms = due_ms
        if now_ms - self._last_ms >= REPEAT_MS:
            ticks.append(RawTick(now_ms, None, None, is_repeat=True))
            self._last_ms = now_ms
        return ticks

    def _begin(self, now_ms: int, ticks: list[RawTick]) -> bool:
        """Take the tape over when it was read, with the quote that stands at this moment."""
        if not self._reading.done():
            self._last_ms = now_ms
            return False
        try:
            self._tape, self._timeline = self._reading.result()
        except RecordingError as error:
            log.error("replay_refused", provider=self.provider, error=str(error))
            self._is_broken = True
            return False
        self._seek(self._moment(now_ms))
        standing = max(0, self._lap.index - 1)
        ticks.append(self._tick(standing, now_ms))
        self._last_ms = now_ms
        return True

    def _seek(self, moment: int) -> None:
        assert self._timeline is not None  # only called with a tape
        self._lap = self._timeline.lap(moment)
        self._after_break = True

    def _tick(self, index: int, stamp_ms: int) -> RawTick:
        bid, ask = self._tape.bids[index], self._tape.asks[index]
        tick = RawTick(
            stamp_ms,
            bid.quantize(self._point) if bid is not None else None,
            ask.quantize(self._point) if ask is not None else None,
            after_break=self._after_break,
        )
        self._after_break = False
        return tick

    def _moment(self, now_ms: int) -> int:
        """Return the replay's own time at a wall time: they run apart with any speed but 1."""
        return self._start_ms + round((now_ms - self._start_ms) * self._speed)

    def _wall_ms(self, moment: int) -> int:
        return self._start_ms + math.ceil((moment - self._start_ms) / self._speed)

    def _at(self, index: int) -> int:
        """Return the replay's time of a tick of the present lap."""
        assert self._timeline is not None
        return self._timeline.origin + self._timeline.offsets[index] + self._lap.shift

    def _end(self, lap: Lap) -> int:
        """Return when a finished lap gives way: at the next stretch, or after a seam's pause."""
        return min(lap.until, self._at(lap.last) + SEAM_MS)

    def _next_ms(self) -> int:
        lap = self._lap
        if lap.index > lap.last:
            return self._wall_ms(self._end(lap))
        return self._wall_ms(min(self._at(lap.index), lap.until))

    def _stamp_ms(self, lap: Lap) -> int:
        """Return the wall time of a tick by its own recorded time: one that was out of order stays so."""
        return self._wall_ms(self._tape.times_ms[lap.index] + lap.shift)


def _read(load: Callable[[], Tape]) -> tuple[Tape, Timeline]:
    tape = load()
    return tape, Timeline(list(tape.times_ms))
