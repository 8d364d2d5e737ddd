"""When trading days end: named zones, both kinds of daylight saving, midnight rollovers, longer downtimes."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.groups.domain.terms import Rollover
from apps.trading.domain.rollover import TradingDay, days_within, next_day, next_instant

NEW_YORK = Rollover(time(17), "America/New_York")
ATHENS = Rollover(time(0), "Europe/Athens")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-01-14T21:59:59.999999", "2026-01-14T22:00"),  # winter: 17:00 is 22:00 UTC
        ("2026-01-14T22:00", "2026-01-15T22:00"),  # the rollover itself is over
        ("2026-07-15T12:00", "2026-07-15T21:00"),  # summer: 21:00 UTC
        ("2026-03-07T22:00", "2026-03-08T21:00"),  # clocks go forward: a day of 23 hours
        ("2026-10-31T21:00", "2026-11-01T22:00"),  # clocks go back: a day of 25 hours
        ("2026-03-20T12:00", "2026-03-20T21:00"),  # New York has changed, Europe not yet
        ("2026-10-28T12:00", "2026-10-28T21:00"),  # Europe has changed back, New York not yet
    ],
)
def test_rollover_keeps_its_wall_time_in_new_york(after, expected):
    assert next_instant(NEW_YORK, after=at(after)) == at(expected)


def test_rollover_in_the_evening_ends_its_own_day():
    assert next_day(NEW_YORK, after=at("2026-01-14T12:00")) == TradingDay(
        date(2026, 1, 14), at("2026-01-14T22:00")
    )


def test_rollover_at_midnight_ends_the_day_before():
    assert next_day(ATHENS, after=at("2026-01-14T12:00")) == TradingDay(
        date(2026, 1, 14), at("2026-01-14T22:00")
    )


@pytest.mark.parametrize(
    ("wall", "after", "expected"),
    [
        (time(2, 30), "2026-03-28T12:00", "2026-03-29T01:00"),  # skipped: at the jump
        (time(2, 30), "2026-10-24T12:00", "2026-10-25T00:30"),  # twice: the first one
        (time(2, 30), "2026-10-25T00:30", "2026-10-26T01:30"),  # and not the second
    ],
)
def test_wall_time_that_clocks_skip_or_repeat_rolls_once(wall, after, expected):
    assert next_instant(Rollover(wall, "Europe/Berlin"), after=at(after)) == at(expected)


def test_days_of_a_downtime_are_all_found_in_order():
    days = list(days_within(NEW_YORK, after=at("2026-10-30T21:00"), until=at("2026-11-02T22:00")))

    assert days == [
        TradingDay(date(2026, 10, 31), at("2026-10-31T21:00")),
        TradingDay(date(2026, 11, 1), at("2026-11-01T22:00")),
        TradingDay(date(2026, 11, 2), at("2026-11-02T22:00")),
    ]


def test_nothing_ends_within_an_hour_after_the_rollover():
    assert not list(days_within(NEW_YORK, after=at("2026-01-14T22:00"), until=at("2026-01-14T23:00")))


@given(
    zone=st.sampled_from(
        ["America/New_York", "Europe/Athens", "Europe/Berlin", "UTC", "Australia/Lord_Howe"]
    ),
    wall=st.times(),
    start=st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2027, 1, 1)),
)
def test_each_date_ends_exactly_once_in_every_zone(zone, wall, start):
    rollover = Rollover(wall.replace(microsecond=0), zone)
    start = start.replace(tzinfo=UTC)

    days = list(days_within(rollover, after=start, until=start + timedelta(days=40)))

    dates = [day.date for day in days]
    assert dates == [dates[0] + timedelta(days=offset) for offset in range(len(dates))]
    assert [day.rolled_at for day in days] == sorted({day.rolled_at for day in days})
    assert len(days) in (39, 40, 41)
