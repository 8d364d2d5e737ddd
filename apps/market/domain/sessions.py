"""
Trading calendars: when a symbol may be traded. Pure: the present comes in as an argument.

Hours are wall-clock times of a named zone, so an opening keeps its local time when daylight saving changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MIDNIGHT = time(0)
DAY = timedelta(days=1)
HORIZON_DAYS = 400  # a calendar without a change within this many days counts as never changing


@dataclass(frozen=True, slots=True)
class Hours:
    """One opening: local weekday (Monday is 0) and times; `closes_at` 00:00 is midnight at the day's end."""

    weekday: int
    opens_at: time
    closes_at: time

    def __post_init__(self) -> None:
        if not 0 <= self.weekday <= 6:
            raise ValueError(f"weekday {self.weekday} is not within 0..6")
        if self.closes_at != MIDNIGHT and self.closes_at <= self.opens_at:
            raise ValueError("a session closes after it opens; split an overnight session at midnight")


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """
    A date without trading, or with an early close.

    An opening that runs on over midnight begins the next date's trading: it follows that date's row.
    """

    date: date
    closes_at: time | None = None


@dataclass(frozen=True, slots=True)
class _Span:
    """The last answer: valid for `start <= now < end`."""

    start: datetime
    end: datetime
    is_open: bool
    changes: bool


@dataclass(frozen=True, slots=True)
class Calendar:
    """Weekly hours in a named time zone with holidays. `always_open` overrides both (crypto, the demo)."""

    timezone: str = "UTC"
    hours: tuple[Hours, ...] = ()
    holidays: tuple[ClosedDay, ...] = ()
    always_open: bool = False
    _memo: list[_Span] = field(default_factory=list, init=False, repr=False, compare=False, hash=False)

    def is_open(self, now: datetime) -> bool:
        """Tell whether trading is open at the aware instant `now`; remembered until the next change."""
        return self.always_open or self._span(now).is_open

    def next_change(self, now: datetime) -> datetime | None:
        """Return the UTC instant after `now` at which the calendar opens or closes; None: it never does."""
        if self.always_open:
            return None
        span = self._span(now)
        return span.end if span.changes else None

    def opened_since(self, now: datetime) -> datetime | None:
        """Return when the opening that holds `now` began, or None while closed or without a break."""
        if self.always_open:
            return None
        span = self._span(now)
        return span.start if span.is_open else None

    def _span(self, now: datetime) -> _Span:
        memo = self._memo
        if memo:
            span = memo[0]
            if span.start <= now < span.end:
                return span
        span = self._span_at(now.astimezone(UTC))
        memo[:] = [span]
        return span

    def _span_at(self, now: datetime) -> _Span:
        closed_since = now
        for start, end, reaches_horizon in self._openings(now):
            if end <= now:
                closed_since = end
                continue
            if start <= now:
                return _Span(start, end, is_open=True, changes=not reaches_horizon)
            return _Span(min(closed_since, now), start, is_open=False, changes=True)
        return _Span(min(closed_since, now), now + HORIZON_DAYS * DAY, is_open=False, changes=False)

    def _openings(self, now: datetime) -> Iterator[tuple[datetime, datetime, bool]]:
        """Yield merged openings in UTC, from a week before `now` to the horizon, oldest first."""
        zone = ZoneInfo(self.timezone)
        first = now.astimezone(zone).date() - 7 * DAY
        early = {closed.date: closed.closes_at for closed in self.holidays}
        start: datetime | None = None
        end = now
        for offset in range(HORIZON_DAYS):
            day = first + offset * DAY
            for opens, closes in self._of_day(day, zone, early):
                if start is None:
                    start, end = opens, closes
                elif opens <= end:
                    end = max(end, closes)
                else:
                    yield start, end, False
                    start, end = opens, closes
        if start is not None:
            last_day = instant(first + (HORIZON_DAYS - 1) * DAY, MIDNIGHT, zone)
            yield start, end, end >= last_day

    def _of_day(
        self, day: date, zone: ZoneInfo, early: dict[date, time | None]
    ) -> Iterator[tuple[datetime, datetime]]:
        weekday = day.weekday()
        for hours in sorted(self.hours, key=lambda entry: entry.opens_at):
            if hours.weekday != weekday:
                continue
            date_traded = day + DAY if self._runs_on(hours) else day
            cut = early.get(date_traded)
            if cut is None and date_traded in early:
                continue
            limit = instant(date_traded, cut, zone, last=True) if cut else None
            opens = instant(day, hours.opens_at, zone)
            if hours.closes_at == MIDNIGHT:
                closes = instant(day + DAY, MIDNIGHT, zone)
            else:
                closes = instant(day, hours.closes_at, zone, last=True)
            if limit is not None:
                closes = min(closes, limit)
            if opens < closes:
                yield opens, closes

    def _runs_on(self, hours: Hours) -> bool:
        """Say whether an opening begins in the evening and goes on at midnight."""
        if hours.opens_at == MIDNIGHT or hours.closes_at != MIDNIGHT:
            return False
        following = (hours.weekday + 1) % 7
        return any(next_.weekday == following and next_.opens_at == MIDNIGHT for next_ in self.hours)


def instant(day: date, wall: time, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """
    Return the UTC instant of a local wall time.

    A time that happens twice (clocks go back) is its first occurrence, or its second with `last`; one that is
    skipped (clocks go forward) is the instant of the jump.
    """
    naive = datetime.combine(day, wall)
    early = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
    late = naive.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if early <= late:
        return late if last else early
    return _jump_between(late, early, zone)


def _jump_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant within (low, high] at which the zone's offset changes, to the second."""
    before = low.astimezone(zone).utcoffset()
    low_s, high_s = int(low.timestamp()), int(high.timestamp())
    while high_s - low_s > 1:
        middle = (low_s + high_s) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low_s = middle
        else:
            high_s = middle
    return datetime.fromtimestamp(high_s, UTC)
