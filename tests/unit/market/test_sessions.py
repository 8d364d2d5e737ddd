"""When a calendar is open: named zones, daylight saving, holidays, midnight."""

from datetime import UTC, date, datetime, time

import pytest

from apps.market.domain.sessions import Calendar, ClosedDay, Hours

FIVE_PM, MIDNIGHT = time(17), time(0)
FOREX = Calendar(
    timezone="America/New_York",
    hours=(
        Hours(6, FIVE_PM, MIDNIGHT),
        *(Hours(day, MIDNIGHT, MIDNIGHT) for day in range(4)),
        Hours(4, MIDNIGHT, FIVE_PM),
    ),
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-11T21:59:59.999999", False),  # winter: opens Sunday 22:00 UTC
        ("2026-01-11T22:00:00", True),
        ("2026-01-12T05:00:00", True),  # Monday midnight in New York is no break
        ("2026-01-16T21:59:59.999999", True),
        ("2026-01-16T22:00:00", False),  # Friday close
        ("2026-01-17T12:00:00", False),
        ("2026-07-12T20:59:59", False),  # summer: opens Sunday 21:00 UTC
        ("2026-07-12T21:00:00", True),
        ("2026-07-17T21:00:00", False),
        ("2026-03-08T20:59:59", False),  # the Sunday on which clocks go forward
        ("2026-03-08T21:00:00", True),
        ("2026-11-01T21:59:59", False),  # the Sunday on which clocks go back
        ("2026-11-01T22:00:00", True),
    ],
)
def test_forex_week_follows_new_york_wall_time(now, expected):
    assert FOREX.is_open(at(now)) is expected


def test_next_change_spans_the_whole_week_of_touching_days():
    assert FOREX.next_change(at("2026-01-12T10:00:00")) == at("2026-01-16T22:00:00")
    assert FOREX.next_change(at("2026-01-17T10:00:00")) == at("2026-01-18T22:00:00")
    assert FOREX.opened_since(at("2026-01-12T10:00:00")) == at("2026-01-11T22:00:00")
    assert FOREX.opened_since(at("2026-01-17T10:00:00")) is None


def test_always_open_never_changes():
    crypto = Calendar(always_open=True)

    assert crypto.is_open(at("2026-01-17T10:00:00"))
    assert crypto.next_change(at("2026-01-17T10:00:00")) is None


def test_full_week_of_hours_is_one_opening_without_a_change():
    week = Calendar(hours=tuple(Hours(day, MIDNIGHT, MIDNIGHT) for day in range(7)))

    assert week.is_open(at("2026-01-17T10:00:00"))
    assert week.next_change(at("2026-01-17T10:00:00")) is None


def test_calendar_without_hours_is_closed():
    assert not Calendar().is_open(at("2026-01-14T10:00:00"))
    assert Calendar().next_change(at("2026-01-14T10:00:00")) is None


def test_holiday_closes_the_local_day_and_early_close_cuts_it():
    stocks = Calendar(
        timezone="America/New_York",
        hours=tuple(Hours(day, time(9, 30), time(16)) for day in range(5)),
        holidays=(ClosedDay(date(2026, 11, 26)), ClosedDay(date(2026, 11, 27), time(13))),
    )

    assert stocks.is_open(at("2026-11-25T20:59:59"))
    assert not stocks.is_open(at("2026-11-26T16:00:00"))
    assert stocks.next_change(at("2026-11-25T21:00:00")) == at("2026-11-27T14:30:00")
    assert stocks.is_open(at("2026-11-27T17:59:59"))
    assert not stocks.is_open(at("2026-11-27T18:00:00"))


def test_early_close_before_the_opening_closes_the_day():
    stocks = Calendar(hours=(Hours(2, time(9), time(17)),), holidays=(ClosedDay(date(2026, 1, 14), time(9)),))

    assert not stocks.is_open(at("2026-01-14T10:00:00"))


def test_two_openings_of_one_day_keep_their_break():
    index = Calendar(
        timezone="Europe/Berlin", hours=(Hours(2, time(1, 15), time(12)), Hours(2, time(13), time(22)))
    )

    assert index.is_open(at("2026-01-14T10:59:59"))
    assert not index.is_open(at("2026-01-14T11:30:00"))
    assert index.next_change(at("2026-01-14T11:30:00")) == at("2026-01-14T12:00:00")


def test_hour_that_is_skipped_opens_at_the_jump():
    night = Calendar(timezone="Europe/Berlin", hours=(Hours(6, time(2, 30), time(4)),))

    assert not night.is_open(at("2026-03-29T00:59:59"))
    assert night.is_open(at("2026-03-29T01:00:00"))  # 03:00 summer time, right after the jump
    assert not night.is_open(at("2026-03-29T02:00:00"))


def test_hour_that_happens_twice_is_open_from_the_first_to_the_second():
    night = Calendar(timezone="Europe/Berlin", hours=(Hours(6, time(2, 15), time(2, 45)),))

    assert night.is_open(at("2026-10-25T00:15:00"))
    assert night.is_open(at("2026-10-25T01:10:00"))  # no flicker between the two occurrences
    assert not night.is_open(at("2026-10-25T01:45:00"))


def test_answers_stay_right_when_time_moves_backward():
    assert FOREX.is_open(at("2026-01-14T10:00:00"))
    assert not FOREX.is_open(at("2026-01-10T10:00:00"))
    assert FOREX.is_open(at("2026-01-08T10:00:00"))


def test_equal_calendars_are_equal_and_hashable_whatever_was_asked():
    first, second = (
        Calendar(hours=(Hours(0, MIDNIGHT, MIDNIGHT),)),
        Calendar(hours=(Hours(0, MIDNIGHT, MIDNIGHT),)),
    )
    first.is_open(at("2026-01-12T10:00:00"))

    assert first == second
    assert hash(first) == hash(second)


def test_session_that_closes_before_it_opens_is_refused():
    with pytest.raises(ValueError, match="closes after it opens"):
        Hours(0, time(17), time(9))
