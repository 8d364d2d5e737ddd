"""Gauges of circuit breakers: whom they are about, and the largest value since the last look."""

from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.market.domain.quotes import Quote
from apps.market.domain.sessions import Calendar, Hours
from apps.risk.selectors.breakers import OrderSeen, Rule
from apps.risk.services.breaker_gauges import GAUGES, Gauge, World
from apps.risk.services.breakers import Subject
from tests.factories.books import NOON, NOON_MS, SYMBOLS

D = Decimal
RULE = Rule(
    id=1,
    name="rule",
    scope="symbol",
    kind="spread",
    threshold=D(50),
    currency="USD",
    symbol=None,
    account_id=None,
    lp="",
    window_ms=60_000,
    observations_min=2,
    cooldown_s=60,
    probe_orders=5,
    resets_itself=True,
)


def gauge(kind: str, **changes: Any) -> Any:
    world = World(
        specs=SYMBOLS,
        providers={"EURUSD": "alpha", "GBPUSD": "alpha", "USDJPY": "beta"},
        logins={7: "100007"},
    )
    rule = replace(RULE, kind=kind, **changes)
    return GAUGES[kind](rule, world)


def tick(one: Gauge, bid: str, ask: str, symbol: str = "EURUSD", *, at_ms: int = 0) -> None:
    one.tick(Quote(symbol, D(bid), D(ask), NOON_MS + at_ms))


def order(number: int, refusal: str = "") -> OrderSeen:
    """Return an order of account 7, so many seconds after noon."""
    return OrderSeen(number, 7, "EURUSD", NOON + timedelta(seconds=number), refusal)


def shown(one: Gauge, at_ms: int = 0) -> dict[str, tuple[Decimal | None, Decimal | None]]:
    return {r.subject.text: (r.peak, r.present) for r in one.read(NOON_MS + at_ms)}


def test_a_spread_between_two_looks_is_not_missed():
    one = gauge("spread")
    for ask in ("1.10010", "1.10090", "1.10020"):
        tick(one, "1.10000", ask)

    assert shown(one) == {"EURUSD": (D(90), D(20))}
    assert shown(one) == {"EURUSD": (D(20), D(20))}


def test_an_lp_is_as_bad_as_its_worst_symbol():
    one = gauge("spread", scope="lp")
    tick(one, "1.10000", "1.10010")
    tick(one, "1.25000", "1.25040", "GBPUSD")
    tick(one, "150.000", "150.005", "USDJPY")

    assert shown(one) == {"alpha": (D(40), D(40)), "beta": (D(5), D(5))}


def test_a_rule_of_one_symbol_sees_no_other():
    one = gauge("price_move", symbol="GBPUSD")
    tick(one, "1.10000", "1.10010")
    tick(one, "1.25000", "1.25040", "GBPUSD")

    assert shown(one) == {"GBPUSD": (D(0), D(0))}


def test_a_price_move_keeps_its_peak_and_follows_the_window():
    one = gauge("price_move", scope="platform", window_ms=1_000)
    tick(one, "100.00", "100.01", at_ms=0)
    tick(one, "102.00", "102.01", at_ms=500)
    tick(one, "100.98", "100.99", at_ms=900)

    assert shown(one, 900) == {"": (D(2), D(1))}  # 1.02 of 102 down, after 2 % up
    assert shown(one, 1_900) == {"": (D(0), D(0))}


def test_a_break_of_the_session_begins_a_new_price():
    one = gauge("price_move")
    tick(one, "1.10000", "1.10010")
    one.close("EURUSD")
    tick(one, "1.20000", "1.20010", at_ms=5)

    assert shown(one, 5) == {"EURUSD": (D(0), D(0))}


def test_silence_counts_from_the_last_tick_or_from_the_opening():
    one = gauge("tick_silence")
    one.open_since_ms = {"EURUSD": NOON_MS, "GBPUSD": NOON_MS}
    tick(one, "1.10000", "1.10010", at_ms=10_000)

    assert shown(one, 40_000) == {"EURUSD": (D(30), D(30)), "GBPUSD": (D(40), D(40))}
    one.open_since_ms = {"EURUSD": NOON_MS}  # closed: nobody expects ticks
    assert shown(one, 41_000) == {"EURUSD": (D(31), D(31))}


def test_an_lp_is_silent_when_all_its_symbols_are():
    one = gauge("tick_silence", scope="lp")
    one.open_since_ms = dict.fromkeys(("EURUSD", "GBPUSD", "USDJPY"), NOON_MS)
    tick(one, "1.25000", "1.25010", "GBPUSD", at_ms=9_000)

    assert shown(one, 10_000) == {"alpha": (D(1), D(1)), "beta": (D(10), D(10))}


@pytest.mark.parametrize(
    ("scope", "subject"), [("account", "100007"), ("symbol", "EURUSD"), ("lp", "alpha"), ("platform", "")]
)
def test_refusals_are_counted_for_whom_the_rule_is_about(scope, subject):
    one = gauge("reject_rate", scope=scope)
    for number in range(4):
        one.order(order(number, "requote" if number else ""))

    assert shown(one, 4_000) == {subject: (D(75), D(75))}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("account", {"100007": (D(100), D(100))}), ("symbol", {}), ("lp", {}), ("platform", {})],
)
def test_what_a_client_does_wrong_counts_for_the_account_alone(scope, expected):
    one = gauge("reject_rate", scope=scope)
    for number in range(6):
        one.order(order(number, "no_money"))

    assert shown(one, 6_000) == expected


def test_a_share_rises_when_good_orders_leave_the_window():
    one = gauge("reject_rate")
    for number, refusal in ((0, ""), (30, "off_quotes"), (31, "off_quotes")):
        one.order(order(number, refusal))

    assert shown(one, 59_999)["EURUSD"][1] == D(200) / 3
    assert shown(one, 60_000) == {"EURUSD": (D(100), D(100))}
    assert shown(one, 60_001) == {"EURUSD": (D(100), D(100))}  # still there while it is too high


def test_who_is_quiet_costs_nothing():
    one = gauge("reject_rate", scope="account")
    for number in range(1, 1_001):
        one.order(OrderSeen(number, number, "EURUSD", NOON))
        one.order(OrderSeen(number, number, "EURUSD", NOON))

    assert len(shown(one, 1)) == 1_000
    assert shown(one, 2) == {}
    assert len(one._windows) == 1_000
    one.read(NOON_MS + 60_000)
    assert (len(one._windows), len(one._counted)) == (0, 0)


def test_silence_is_none_once_the_session_is_over():
    calendar = Calendar(timezone="UTC", hours=(Hours(NOON.weekday(), time(0), time(12, 0, 5)),))
    one = gauge("tick_silence", threshold=D(2))
    one.world.specs = {"EURUSD": replace(SYMBOLS["EURUSD"], calendar=calendar)}
    one.open_since_ms = {"EURUSD": NOON_MS}  # as read while it was in session
    tick(one, "1.10000", "1.10010", at_ms=4_000)

    assert shown(one, 4_999) == {"EURUSD": (D("0.999"), D("0.999"))}
    assert shown(one, 6_000) == {}


def test_a_reset_measures_anew():
    one = gauge("reject_rate")
    for number in range(4):
        one.order(OrderSeen(number, 7, "EURUSD", NOON, "requote"))
    one.clear(Subject("EURUSD", "EURUSD"))

    assert shown(one) == {}
