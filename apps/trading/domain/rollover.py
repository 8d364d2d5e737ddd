"""
Rollover instants: when a group's trading days end. Pure: the present comes in as an argument.

A rollover is a wall-clock time of a named zone, so each local date has exactly one, whatever daylight saving
does that day: a time that is skipped rolls at the jump, one that happens twice at its first occurrence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from apps.groups.domain.terms import Rollover
from apps.market.domain.sessions import instant

DAY = timedelta(days=1)
NOON = time(12)


@dataclass(frozen=True, slots=True)
class TradingDay:
    """One trading day of a group: its date, and the UTC instant of the rollover that ends it."""

    date: date
    rolled_at: datetime


def day_ending(rollover: Rollover, *, on: date) -> TradingDay:
    """
    Return the trading day whose rollover happens on a local date.

    A rollover in the first half of a day (midnight in Athens) ends the day before, one in the second half
    (17:00 in New York) ends its own.
    """
    ended = on - DAY if rollover.time < NOON else on
    return TradingDay(date=ended, rolled_at=_instant_on(rollover, on))


def rolled_at(rollover: Rollover, day: date) -> datetime:
    """Return the rollover that ends a trading day, in UTC."""
    return _instant_on(rollover, day + DAY if rollover.time < NOON else day)


def next_day(rollover: Rollover, *, after: datetime) -> TradingDay:
    """Return the first trading day that ends after the aware instant `after`."""
    local = after.astimezone(ZoneInfo(rollover.timezone)).date() - DAY
    while _instant_on(rollover, local) <= after:
        local += DAY
    return day_ending(rollover, on=local)


def next_instant(rollover: Rollover, *, after: datetime) -> datetime:
    """Return the first rollover after the aware instant `after`, in UTC."""
    return next_day(rollover, after=after).rolled_at


def days_within(rollover: Rollover, *, after: datetime, until: datetime) -> Iterator[TradingDay]:
    """Yield every trading day that ends within (after, until], oldest first."""
    day = next_day(rollover, after=after)
    while day.rolled_at <= until:
        yield day
        day = next_day(rollover, after=day.rolled_at)


@lru_cache(maxsize=4096)
def _instant_on(rollover: Rollover, on: date) -> datetime:
    return instant(on, rollover.time, ZoneInfo(rollover.timezone))
