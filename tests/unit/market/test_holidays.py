"""What exchange calendars say about closed days, and when symbols of each kind are open by them."""

from datetime import UTC, date, datetime, time
from functools import cache

import pytest

from apps.market.domain.sessions import Calendar, ClosedDay, Hours
from apps.market.services.holidays import Exchange, ExchangeDay, ExchangeUnknown, is_known
from apps.market.services.symbols import CRYPTO, FOREX, FRANKFURT, METALS, NEW_YORK, SessionPlan

WEEK = frozenset(range(5))
SINCE, UNTIL = date(2026, 11, 1), date(2027, 10, 31)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@cache
def days_of(code: str, timezone: str) -> list[ExchangeDay]:
    return Exchange.open(code, since=SINCE, until=UNTIL).special_days(timezone=timezone, weekdays=WEEK)


def calendar_of(plan: SessionPlan) -> Calendar:
    holidays = days_of(plan.exchange, plan.timezone) if plan.exchange else []
    return Calendar(
        timezone=plan.timezone,
        hours=tuple(Hours(*row) for row in plan.hours),
        holidays=tuple(ClosedDay(day.date, day.closes_at) for day in holidays),
        always_open=plan.always_open,
    )


def test_new_york_closes_and_half_days():
    days = {day.date: (day.name, day.closes_at) for day in days_of("XNYS", "America/New_York")}

    assert days[date(2026, 11, 26)] == ("Thanksgiving", None)
    assert days[date(2026, 11, 27)][1] == time(13)
    assert days[date(2026, 12, 24)][1] == time(13)
    assert days[date(2026, 12, 25)] == ("Christmas", None)
    assert days[date(2027, 7, 5)] == ("July 4th", None)  # the fourth is a Sunday
    assert len([day for day in days if days[day][1] is None]) == 10


def test_early_close_is_told_by_the_sessions_own_clock():
    days = {day.date: day.closes_at for day in days_of("CMES", "America/New_York")}

    assert days[date(2026, 11, 26)] == time(13)  # noon in Chicago
    assert days[date(2026, 12, 25)] is None


@pytest.mark.parametrize("code", ["XETR", "XFRA"])
def test_frankfurt_closes_on_german_exchange_holidays(code):
    closed = [day.date for day in days_of(code, "Europe/Berlin") if day.closes_at is None]

    assert date(2026, 12, 25) in closed
    assert date(2027, 3, 29) in closed  # Easter Monday
    assert date(2026, 11, 26) not in closed


def test_forex_week_has_no_exchange_holidays():
    assert days_of("24/5", "America/New_York") == []


def test_unknown_exchange_is_named():
    assert not is_known("NOWHERE")
    with pytest.raises(ExchangeUnknown, match="NOWHERE"):
        Exchange.open("NOWHERE", since=SINCE, until=UNTIL)


def test_calendar_that_runs_out_says_until_when():
    exchange = Exchange.open("XHKG", since=SINCE, until=date(2060, 1, 1))

    assert exchange.until == date(2049, 12, 31)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-25T20:59:59", True),  # Wednesday 15:59:59 in New York
        ("2026-11-25T21:00:00", False),
        ("2026-11-26T16:00:00", False),  # Thanksgiving
        ("2026-11-27T14:30:00", True),  # half day: 9:30 to 13:00
        ("2026-11-27T17:59:59", True),
        ("2026-11-27T18:00:00", False),
        ("2027-03-12T14:30:00", True),  # the Friday before New York's change of clocks: 14:30 UTC
        ("2027-03-15T13:29:59", False),  # the Monday after it: 13:30 UTC, while Europe still waits
        ("2027-03-15T13:30:00", True),
        ("2027-03-15T20:00:00", False),
    ],
)
def test_new_york_stocks(now, expected):
    assert calendar_of(NEW_YORK).is_open(at(now)) is expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2027-03-14T20:59:59", False),  # Sunday of New York's change: opens 17:00 there, 21:00 UTC
        ("2027-03-14T21:00:00", True),
        ("2027-03-19T20:59:59", True),  # Friday between both changes
        ("2027-03-19T21:00:00", False),
        ("2027-03-28T21:00:00", True),  # Sunday of Europe's change: the same instant as the week before
        ("2026-11-01T21:59:59", False),  # New York has changed back: 22:00 UTC
        ("2026-11-01T22:00:00", True),
        ("2026-12-25T12:00:00", True),  # no exchange closes forex
    ],
)
def test_forex_follows_new_york_in_weeks_of_different_clocks(now, expected):
    assert calendar_of(FOREX).is_open(at(now)) is expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-24T21:59:59", True),
        ("2026-11-24T22:00:00", False),  # the daily pause, 17:00 to 18:00 in New York
        ("2026-11-24T22:59:59", False),
        ("2026-11-24T23:00:00", True),
        ("2026-11-26T17:59:59", True),  # Thanksgiving closes at 13:00
        ("2026-11-26T18:00:00", False),
        ("2026-11-26T23:00:00", True),  # and opens for Friday in the evening
        ("2026-11-27T18:00:00", False),
        ("2026-12-24T23:30:00", False),  # the evening that begins Christmas
        ("2026-12-25T12:00:00", False),
        ("2026-12-27T23:00:00", True),  # Sunday evening
        ("2027-03-15T21:59:59", False),  # summer time: the pause ends an hour earlier by UTC
        ("2027-03-15T22:00:00", True),
    ],
)
def test_metals_and_oil_follow_the_futures_exchange(now, expected):
    assert calendar_of(METALS).is_open(at(now)) is expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2027-03-26T12:00:00", False),  # Good Friday
        ("2027-03-25T20:59:59", True),  # Berlin in winter: until 22:00, 21:00 UTC
        ("2027-03-25T21:00:00", False),
        ("2027-03-30T19:59:59", True),  # in summer: 20:00 UTC
        ("2027-03-30T20:00:00", False),
    ],
)
def test_frankfurt_index_follows_berlin(now, expected):
    assert calendar_of(FRANKFURT).is_open(at(now)) is expected


def test_crypto_is_always_open():
    assert calendar_of(CRYPTO).is_open(at("2026-12-25T12:00:00"))
