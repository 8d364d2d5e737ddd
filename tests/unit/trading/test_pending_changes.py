"""Changing and canceling orders that wait: what may change, near the market and by whom."""

from copy import deepcopy
from decimal import Decimal

import pytest

from apps.trading.domain.filling import OrderNotWorking
from apps.trading.domain.orders import Side
from apps.trading.domain.pending_orders import OrderTypeInvalid
from tests.factories.books import (
    DEALER,
    ENGINE,
    NEVER,
    NOON,
    TRADER,
    at,
    buy_limit,
    buy_stop,
    cancel,
    modify,
    sell_limit,
    stop_limit,
    trigger,
)

D = Decimal
FREEZING = {"EURUSD": {"freeze_level_points": 50}}


@pytest.fixture
def book(make_book, market):
    """A book with a stop limit: stop 1.10500, limit 1.10400, 1 lot."""
    made = make_book()
    made.apply(stop_limit(Side.BUY, "1.10500", "1.10400", comment="kept"), market=market, now=NOON)
    return made


def as_it_is(book):
    return deepcopy((book.orders, book.positions, book.account.balance, book.account.margin))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("volume", "2.5"),
        ("price", "1.10600"),
        ("stop_limit_price", "1.10300"),
        ("stop_loss", "1.10000"),
        ("take_profit", "1.11000"),
        ("trailing_points", 300),
    ],
)
def test_one_field_changes_and_the_others_stay(book, market, field, value):
    before = book.apply(modify(1), market=market, now=NOON).payload["order"]

    outcome = book.apply(modify(1, **{field: value}), market=market, now=NOON)

    assert (outcome.type, outcome.refusal) == ("order_modified", None)
    assert outcome.payload["order"] == {**before, field: value}
    assert book.orders == {1: outcome.order}


@pytest.mark.parametrize("field", ["stop_loss", "take_profit", "trailing_points"])
def test_what_was_set_can_be_removed(book, market, field):
    values = {"stop_loss": "1.10000", "take_profit": "1.11000", "trailing_points": 300}
    book.apply(modify(1, **values), market=market, now=NOON)

    outcome = book.apply(modify(1, **{field: None}), market=market, now=NOON)

    assert outcome.payload["order"] == {**outcome.payload["order"], **values, field: None}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": "1.10017"}, "invalid_price"),
        ({"price": "1.105001"}, "invalid_price"),
        ({"price": "1.10399"}, "invalid_price"),  # the limit would lie above the stop
        ({"stop_limit_price": "1.10501"}, "invalid_price"),
        ({"stop_loss": "1.10400"}, "invalid_stops"),
        ({"take_profit": "1.10400"}, "invalid_stops"),
        ({"stop_loss": "1.10000", "stop_limit_price": "1.09900"}, "invalid_stops"),
        ({"trailing_points": 0}, "invalid_stops"),
        ({"volume": "0.001"}, "invalid_volume"),
        ({"volume": "100.01"}, "invalid_volume"),
    ],
)
def test_a_refused_change_leaves_the_order_as_it_was(book, market, changes, reason):
    before = as_it_is(book)

    outcome = book.apply(modify(1, **changes), market=market, now=NOON)

    assert (outcome.type, outcome.refusal, outcome.orders) == ("order_change_rejected", reason, [])
    assert outcome.payload == {
        "order_id": 1,
        "reject_reason": reason,
        "balance": "10000",
        "credit": "0",
        "margin": "0",
    }
    assert as_it_is(book) == before


def test_a_change_needs_a_fresh_quote(book, make_market):
    outcome = book.apply(modify(1, volume="2"), market=make_market(age_ms=30_001), now=NOON)

    assert outcome.refusal == "off_quotes"


def test_only_a_stop_limit_has_a_limit_to_change(make_book, market):
    book = make_book()
    book.apply(buy_stop("1.20000"), market=market, now=NOON)

    with pytest.raises(OrderTypeInvalid):
        book.apply(modify(1, stop_limit_price="1.19000"), market=market, now=NOON)


def test_an_unknown_order_is_the_callers_mistake(book, market):
    for command in (modify(2, volume="2"), cancel(2)):
        with pytest.raises(OrderNotWorking) as refused:
            book.apply(command, market=market, now=NOON)
        assert (int(refused.value.status), refused.value.code) == (409, "order_not_working")
    assert book.account.seq == 2


def test_an_activated_order_may_move_its_limit(book, market):
    book.apply(trigger(1, "1.10500", at("1.10500", "1.10517")), market=market, now=NOON)

    outcome = book.apply(modify(1, stop_limit_price="1.09000"), market=market, now=NOON)

    assert (outcome.type, book.orders[1].waits_for) == ("order_modified", D("1.09000"))
    assert book.orders[1].activated_at == NOON


def test_within_the_stop_level_all_but_the_price_may_change(make_book, make_market):
    book = make_book()
    book.apply(buy_limit("1.09900"), market=make_market(), now=NOON)
    near = make_market(symbols={"EURUSD": {"stop_level_points": 200}})

    volume = book.apply(modify(1, volume="2"), market=near, now=NOON)
    nearer = book.apply(modify(1, price="1.09901"), market=near, now=NOON)
    away = book.apply(modify(1, price="1.09817"), market=near, now=NOON)

    assert [outcome.type for outcome in (volume, nearer, away)] == [
        "order_modified",
        "order_change_rejected",
        "order_modified",
    ]


# --- frozen ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "is_frozen"),
    [
        (buy_stop("1.10067"), True),  # 50 points off the ask
        (buy_stop("1.10068"), False),
        (buy_limit("1.09967"), True),
        (buy_limit("1.09966"), False),
        (sell_limit("1.10050"), True),  # 50 points off the bid
        (sell_limit("1.10051"), False),
    ],
    ids=lambda value: f"{value.side}-{value.type}-{value.price}" if hasattr(value, "price") else None,
)
@pytest.mark.parametrize("actor", [TRADER, DEALER, ENGINE], ids=lambda actor: actor.kind.value)
def test_near_the_market_only_the_house_touches_an_order(make_book, make_market, command, is_frozen, actor):
    market = make_market(symbols=FREEZING)
    book = make_book()
    book.apply(command, market=market, now=NOON)
    held_fast = is_frozen and actor is TRADER

    modified = book.apply(modify(1, volume="2", actor=actor), market=market, now=NOON)
    canceled = book.apply(cancel(1, actor=actor), market=market, now=NOON)

    expected = "frozen" if held_fast else None
    assert (modified.refusal, canceled.refusal) == (expected, expected)
    assert len(book.orders) == held_fast


@pytest.mark.parametrize(
    "changes",
    [{"symbols": {"EURUSD": {"freeze_level_points": 50, "calendar": NEVER}}}, {"age_ms": 30_001}],
    ids=["closed", "stale"],
)
def test_nothing_is_frozen_while_nothing_can_fill(make_book, make_market, changes):
    book = make_book()
    book.apply(buy_stop("1.10030"), market=make_market(), now=NOON)

    outcome = book.apply(cancel(1), market=make_market(**{"symbols": FREEZING, **changes}), now=NOON)

    assert outcome.type == "order_canceled"


def test_while_the_market_is_closed_an_order_may_change(make_book, make_market):
    book = make_book()
    book.apply(buy_stop("1.10030"), market=make_market(), now=NOON)
    closed = make_market(symbols={"EURUSD": {"freeze_level_points": 50, "calendar": NEVER}})

    assert book.apply(modify(1, volume="2"), market=closed, now=NOON).type == "order_modified"


# --- canceling -------------------------------------------------------------------------------------------


def test_a_canceled_order_is_gone(book, market):
    outcome = book.apply(cancel(1), market=market, now=NOON)

    assert (outcome.type, outcome.order.status, outcome.refusal) == ("order_canceled", "canceled", None)
    assert outcome.payload["order"]["status"] == "canceled"
    assert book.orders == {}
    with pytest.raises(OrderNotWorking):
        book.apply(cancel(1), market=market, now=NOON)


def test_a_disabled_account_leaves_its_orders_to_the_house(book, market):
    book.account.status = "disabled"

    refused = [book.apply(command, market=market, now=NOON) for command in (modify(1, volume="2"), cancel(1))]
    by_staff = book.apply(cancel(1, actor=DEALER), market=market, now=NOON)

    assert [outcome.refusal for outcome in refused] == ["account_disabled"] * 2
    assert [outcome.type for outcome in refused] == ["order_change_rejected"] * 2
    assert by_staff.type == "order_canceled"


def test_in_close_only_an_order_can_be_taken_back(book, market):
    book.account.status = "close_only"

    assert book.apply(cancel(1), market=market, now=NOON).type == "order_canceled"
