"""How long orders wait: DAY and GTD, daylight saving, expiry, and that nothing expired ever fills."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest

from apps.groups.domain.terms import Rollover
from apps.trading.domain.filling import OrderNotWorking
from apps.trading.domain.orders import OrderType, Side, TimeInForce
from apps.trading.domain.pending_orders import TimeInForceInvalid
from apps.trading.domain.triggers import TriggerVoid
from tests.factories.books import (
    NOON,
    at,
    buy_limit,
    buy_stop,
    cancel,
    expire,
    modify,
    pending,
    stop_limit,
    trigger,
)

D = Decimal
DAY, GTC, GTD = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD
SECOND = timedelta(seconds=1)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("placed_at", "ends_at"),
    [
        (utc(2026, 11, 18, 12), utc(2026, 11, 18, 22)),  # 17:00 in New York in winter
        (utc(2026, 7, 15, 12), utc(2026, 7, 15, 21)),  # and in summer
        (utc(2026, 3, 8, 6, 59), utc(2026, 3, 8, 21)),  # the day the clocks go forward (at 07:00 UTC)
        (utc(2026, 11, 1, 5, 59), utc(2026, 11, 1, 22)),  # the day they go back (at 06:00 UTC)
        (utc(2026, 11, 18, 22), utc(2026, 11, 19, 22)),  # at the very rollover the next one counts
        (utc(2026, 11, 18, 21, 59, 59), utc(2026, 11, 18, 22)),
    ],
)
def test_a_day_order_ends_at_the_next_rollover(make_book, make_market, placed_at, ends_at):
    outcome = make_book().apply(
        buy_limit("1.05000", time_in_force=DAY), market=make_market(now=placed_at), now=placed_at
    )

    assert outcome.order.expires_at == ends_at
    assert outcome.payload["order"]["expires_at"] == ends_at.isoformat().replace("+00:00", "Z")


def test_a_day_ends_by_the_groups_own_clock(make_book, make_market):
    market = make_market(group={"rollover": Rollover(time(0), "Europe/Athens")})

    outcome = make_book().apply(buy_stop("1.20000", time_in_force=DAY), market=market, now=NOON)

    assert outcome.order.expires_at == utc(2026, 11, 18, 22)


@pytest.mark.parametrize("type_", [OrderType.LIMIT, OrderType.STOP])
def test_gtd_ends_at_the_time_given(make_book, market, type_):
    price = "1.05000" if type_ is OrderType.LIMIT else "1.20000"
    command = pending(Side.BUY, type_, price, time_in_force=GTD, expires_at=NOON + SECOND)

    assert make_book().apply(command, market=market, now=NOON).order.expires_at == NOON + SECOND


@pytest.mark.parametrize(
    ("time_in_force", "expires_at"),
    [
        (GTD, None),
        (GTD, NOON),
        (GTD, NOON - SECOND),
        (GTC, NOON + SECOND),
        (DAY, NOON + SECOND),
        (TimeInForce.IOC, NOON + SECOND),
    ],
)
def test_an_expiry_that_does_not_fit_is_the_callers_mistake(make_book, market, time_in_force, expires_at):
    book = make_book()

    with pytest.raises(TimeInForceInvalid) as refused:
        book.apply(
            buy_limit("1.05000", time_in_force=time_in_force, expires_at=expires_at), market=market, now=NOON
        )

    assert (int(refused.value.status), refused.value.code) == (400, "invalid_time_in_force")
    assert (book.account.seq, book.orders) == (1, {})


@pytest.fixture
def until_one_o_clock(make_book, market):
    """A book with one order until 13:00."""
    book = make_book()
    book.apply(
        buy_stop("1.20000", time_in_force=GTD, expires_at=NOON + timedelta(hours=1)), market=market, now=NOON
    )
    return book


def test_an_order_expires_when_its_time_is_over(until_one_o_clock, make_market):
    one = NOON + timedelta(hours=1)

    outcome = until_one_o_clock.apply(expire(1), market=make_market(now=one), now=one)

    assert (outcome.type, outcome.order.status, outcome.refusal) == ("order_expired", "expired", None)
    assert outcome.payload["order"]["status"] == "expired"
    assert (until_one_o_clock.orders, until_one_o_clock.account.seq) == ({}, 3)


def test_an_order_does_not_expire_before_its_time(until_one_o_clock, make_market):
    before = NOON + timedelta(minutes=59, seconds=59)

    with pytest.raises(TriggerVoid):
        until_one_o_clock.apply(expire(1), market=make_market(now=before), now=before)

    assert until_one_o_clock.orders[1].status == "working"
    assert until_one_o_clock.account.seq == 2


def test_an_order_without_an_end_never_expires(make_book, market, make_market):
    book = make_book()
    book.apply(buy_stop("1.20000"), market=market, now=NOON)
    later = NOON + timedelta(days=3650)

    with pytest.raises(TriggerVoid):
        book.apply(expire(1), market=make_market(now=later), now=later)


def test_an_order_expires_once(until_one_o_clock, make_market):
    one = NOON + timedelta(hours=1)
    until_one_o_clock.apply(expire(1), market=make_market(now=one), now=one)

    with pytest.raises(TriggerVoid):
        until_one_o_clock.apply(expire(1), market=make_market(now=one), now=one)


def test_an_expired_order_never_fills(until_one_o_clock, make_market):
    """The quote reached it before its time was over, but nobody came to fill it in time."""
    one = NOON + timedelta(hours=1)
    reached = at("1.20000", "1.20017", age_ms=-3_599_000)

    outcome = until_one_o_clock.apply(trigger(1, "1.20000", reached), market=make_market(now=one), now=one)

    assert (outcome.type, outcome.order.status) == ("order_expired", "expired")
    assert not until_one_o_clock.positions


def test_an_order_whose_time_is_over_cannot_be_prolonged(until_one_o_clock, make_market):
    one = NOON + timedelta(hours=1)

    with pytest.raises(OrderNotWorking):
        until_one_o_clock.apply(modify(1, time_in_force=GTC), market=make_market(now=one), now=one)

    assert until_one_o_clock.orders[1].expires_at == one


def test_an_order_whose_time_is_over_may_still_be_canceled(until_one_o_clock, make_market):
    one = NOON + timedelta(hours=1)

    assert until_one_o_clock.apply(cancel(1), market=make_market(now=one), now=one).type == "order_canceled"


@pytest.mark.parametrize(
    ("changes", "time_in_force", "expires_at"),
    [
        ({"volume": "2"}, GTD, NOON + timedelta(hours=1)),
        ({"expires_at": NOON + timedelta(hours=2)}, GTD, NOON + timedelta(hours=2)),
        ({"time_in_force": GTC}, GTC, None),
        ({"time_in_force": DAY}, DAY, utc(2026, 11, 18, 22)),
        ({"time_in_force": GTD}, GTD, NOON + timedelta(hours=1)),
    ],
)
def test_how_long_an_order_waits_can_change(until_one_o_clock, market, changes, time_in_force, expires_at):
    outcome = until_one_o_clock.apply(modify(1, **changes), market=market, now=NOON)

    assert outcome.type == "order_modified"
    assert (outcome.order.time_in_force, outcome.order.expires_at) == (time_in_force, expires_at)


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": NOON},
        {"time_in_force": GTC, "expires_at": NOON + SECOND},
        {"time_in_force": TimeInForce.IOC},
        {"time_in_force": TimeInForce.FOK},
    ],
)
def test_a_changed_expiry_must_fit_as_well(until_one_o_clock, market, changes):
    with pytest.raises(TimeInForceInvalid):
        until_one_o_clock.apply(modify(1, **changes), market=market, now=NOON)

    assert until_one_o_clock.orders[1].expires_at == NOON + timedelta(hours=1)
    assert until_one_o_clock.account.seq == 2


def test_activation_does_not_prolong_a_day(make_book, market):
    book = make_book()
    book.apply(stop_limit(Side.BUY, "1.10100", "1.10050", time_in_force=DAY), market=market, now=NOON)

    outcome = book.apply(trigger(1, "1.10100", at("1.10090", "1.10107")), market=market, now=NOON)

    assert (outcome.type, outcome.order.expires_at) == ("order_activated", utc(2026, 11, 18, 22))
