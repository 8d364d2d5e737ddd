"""Placing orders that wait: which are accepted, which fill at once, which are refused and why."""

from dataclasses import replace
from decimal import Decimal

import pytest

from apps.groups.domain.terms import Override, PositionMode
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.orders import OrderReason, OrderType, RejectReason, Side, TimeInForce
from apps.trading.domain.pending_orders import OrderTypeInvalid, TimeInForceInvalid
from rtx.kernel.actor import Actor
from tests.factories.books import (
    DEALER,
    NEVER,
    NOON,
    buy,
    buy_limit,
    buy_stop,
    cancel,
    modify,
    pending,
    sell_limit,
    sell_stop,
    stop_limit,
)

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
IOC, FOK, GTC = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC

# The market is 1.10000 / 1.10017: buys look at the ask, sells at the bid.


@pytest.mark.parametrize(
    "command",
    [
        buy_limit("1.10016"),
        sell_limit("1.10001"),
        buy_stop("1.10018"),
        sell_stop("1.09999"),
        stop_limit(BUY, "1.10018", "1.10018"),
        stop_limit(BUY, "1.10018", "1.09000"),
        stop_limit(SELL, "1.09999", "1.09999"),
        stop_limit(SELL, "1.09999", "1.20000"),
    ],
    ids=lambda command: f"{command.side}-{command.type}-{command.stop_limit_price}",
)
def test_an_order_short_of_the_market_waits(make_book, market, command):
    book = make_book()

    outcome = book.apply(command, market=market, now=NOON)

    assert (outcome.type, outcome.refusal, outcome.lines) == ("order_placed", None, [])
    assert (outcome.order.status, outcome.order.deals) == ("working", [])
    assert book.orders == {outcome.order.id: outcome.order}
    assert (book.positions, book.account.margin, book.account.balance) == ({}, 0, D(10000))


def test_the_event_of_a_placed_order_tells_all_of_it(make_book, market):
    command = stop_limit(
        BUY,
        "1.10100",
        "1.10050",
        lots="0.3",
        stop_loss="1.09000",
        take_profit="1.12000",
        trailing_points=500,
        comment="breakout",
    )

    payload = make_book().apply(command, market=market, now=NOON).payload

    assert payload["house"] == {"order": {"margin_rate": None, "terms": None}}
    assert payload["order"] == {
        "id": 1,
        "client_order_id": command.client_order_id,
        "symbol": "EURUSD",
        "side": "buy",
        "type": "stop_limit",
        "volume": "0.3",
        "filled_volume": "0",
        "price": "1.10100",
        "average_price": None,
        "stop_limit_price": "1.10050",
        "stop_loss": "1.09000",
        "take_profit": "1.12000",
        "trailing_points": 500,
        "time_in_force": "gtc",
        "expires_at": None,
        "activated_at": None,
        "status": "working",
        "reason": "client",
        "trigger": None,
        "reject_reason": None,
        "position_id": None,
        "comment": "breakout",
        "created_at": "2026-11-18T12:00:00Z",
        "deals": [],
    }


@pytest.mark.parametrize(
    "command",
    [
        buy_stop("1.10017"),
        buy_stop("1.09000"),
        sell_stop("1.10000"),
        sell_stop("1.11000"),
        stop_limit(BUY, "1.10017", "1.10000"),
        stop_limit(SELL, "1.10000", "1.10017"),
        stop_limit(BUY, "1.10100", "1.10101"),
        stop_limit(SELL, "1.09900", "1.09899"),
        buy_limit("1.000001"),
        sell_stop("1.000001"),
        stop_limit(BUY, "1.10100", "1.100001"),
        buy_limit("-1"),
    ],
    ids=lambda command: f"{command.side}-{command.type}-{command.price}-{command.stop_limit_price}",
)
def test_a_price_on_the_wrong_side_or_off_the_grid_is_refused(make_book, market, command):
    book = make_book()

    outcome = book.apply(command, market=market, now=NOON)

    assert (outcome.type, outcome.refusal) == ("order_rejected", "invalid_price")
    assert outcome.payload["order"]["reject_reason"] == "invalid_price"
    assert not book.orders


@pytest.mark.parametrize(
    ("far", "near"),
    [
        (buy_stop("1.10117"), buy_stop("1.10116")),
        (sell_stop("1.09900"), sell_stop("1.09901")),
        (buy_limit("1.09917"), buy_limit("1.09918")),
        (sell_limit("1.10100"), sell_limit("1.10099")),
        (stop_limit(BUY, "1.10117", "1.10117"), stop_limit(BUY, "1.10116", "1.10116")),
    ],
    ids=lambda command: f"{command.side}-{command.type}-{command.price}",
)
def test_a_waiting_price_keeps_the_stop_level_of_100_points(make_book, make_market, far, near):
    market = make_market(symbols={"EURUSD": {"stop_level_points": 100}})
    book = make_book()

    assert book.apply(far, market=market, now=NOON).order.status == "working"
    assert book.apply(near, market=market, now=NOON).refusal == "invalid_price"


def test_a_groups_own_stop_level_replaces_the_symbols(make_book, make_market):
    market = make_market(
        symbols={"EURUSD": {"stop_level_points": 100}}, overrides={"EURUSD": Override(stop_level_points=0)}
    )

    assert make_book().apply(buy_stop("1.10018"), market=market, now=NOON).order.status == "working"


@pytest.mark.parametrize(
    ("stops", "reason"),
    [
        ({"stop_loss": "1.08900", "take_profit": "1.09100"}, None),
        ({"stop_loss": "1.08901"}, "invalid_stops"),
        ({"take_profit": "1.09099"}, "invalid_stops"),
        ({"stop_loss": "1.0800001"}, "invalid_stops"),
        ({"trailing_points": 100}, None),
        ({"trailing_points": 99}, "invalid_stops"),
        ({"trailing_points": 0}, "invalid_stops"),
        ({"trailing_points": -5}, "invalid_stops"),
    ],
)
def test_stops_are_seen_from_the_price_that_the_order_waits_for(make_book, make_market, stops, reason):
    market = make_market(symbols={"EURUSD": {"stop_level_points": 100}})

    outcome = make_book().apply(buy_limit("1.09000", **stops), market=market, now=NOON)

    assert outcome.refusal == reason


def test_stops_of_a_stop_limit_are_seen_from_its_limit(make_book, market):
    book = make_book()

    good = book.apply(stop_limit(SELL, "1.09000", "1.09500", stop_loss="1.09501"), market=market, now=NOON)
    bad = book.apply(stop_limit(SELL, "1.09000", "1.09500", stop_loss="1.09400"), market=market, now=NOON)

    assert (good.order.status, bad.refusal) == ("working", "invalid_stops")


# --- filling at once -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "price"),
    [
        (buy_limit("1.10017"), "1.10017"),
        (buy_limit("1.20000"), "1.10017"),
        (sell_limit("1.10000"), "1.10000"),
        (sell_limit("1.00000"), "1.10000"),
        (buy_limit("1.10017", time_in_force=IOC), "1.10017"),
        (sell_limit("1.00000", time_in_force=FOK), "1.10000"),
    ],
)
def test_a_limit_at_or_through_the_market_fills_at_the_quote(make_book, market, command, price):
    book = make_book()

    outcome = book.apply(command, market=market, now=NOON)

    assert (outcome.type, outcome.order.status) == ("order_filled", "filled")
    assert outcome.order.average_price == D(price)
    assert outcome.order.trigger is None
    assert not book.orders
    assert [position.volume for position in book.positions.values()] == [D(1)]


def test_a_limit_that_fills_at_once_is_inside_the_stop_level_for_nobody(make_book, make_market):
    market = make_market(symbols={"EURUSD": {"stop_level_points": 100}})

    assert make_book().apply(buy_limit("1.10050"), market=market, now=NOON).order.status == "filled"


@pytest.mark.parametrize(
    ("stops", "reason"),
    [
        ({"take_profit": "1.15000"}, None),  # above the fill at 1.10017, though below the limit
        ({"take_profit": "1.10000"}, "invalid_stops"),
        ({"stop_loss": "1.15000"}, "invalid_stops"),  # below the limit, but the position would close at once
        ({"stop_loss": "1.09999"}, None),
        ({"trailing_points": 0}, "invalid_stops"),
    ],
)
def test_stops_of_a_limit_that_fills_at_once_are_seen_from_the_market(make_book, market, stops, reason):
    outcome = make_book().apply(buy_limit("1.20000", **stops), market=market, now=NOON)

    assert outcome.refusal == reason


@pytest.mark.parametrize("time_in_force", [IOC, FOK])
@pytest.mark.parametrize("stop_level", [0, 100])
def test_what_cannot_fill_at_once_is_canceled(make_book, make_market, time_in_force, stop_level):
    # it never waits, so the stop level has no say
    market = make_market(symbols={"EURUSD": {"stop_level_points": stop_level}})
    book = make_book()

    outcome = book.apply(buy_limit("1.10016", time_in_force=time_in_force), market=market, now=NOON)

    assert (outcome.type, outcome.order.status, outcome.refusal) == ("order_canceled", "canceled", None)
    assert (book.orders, book.positions) == ({}, {})


@pytest.mark.parametrize("time_in_force", [IOC, FOK])
@pytest.mark.parametrize(
    "command", [buy_stop("1.20000"), stop_limit(BUY, "1.20000", "1.20000")], ids=["stop", "stop_limit"]
)
def test_ioc_and_fok_are_for_limits(make_book, market, command, time_in_force):
    book = make_book()

    with pytest.raises(TimeInForceInvalid) as refused:
        book.apply(replace(command, time_in_force=time_in_force), market=market, now=NOON)

    assert (int(refused.value.status), refused.value.code) == (400, "invalid_time_in_force")
    assert book.account.seq == 1


@pytest.mark.parametrize(
    ("type_", "limit"),
    [
        (OrderType.MARKET, None),
        (OrderType.STOP_LIMIT, None),
        (OrderType.LIMIT, "1.1"),
        (OrderType.STOP, "1.1"),
    ],
)
def test_prices_that_do_not_fit_the_type_are_the_callers_mistake(make_book, market, type_, limit):
    with pytest.raises(OrderTypeInvalid):
        make_book().apply(pending(BUY, type_, "1.2", stop_limit_price=limit), market=market, now=NOON)


# --- who may, and when -----------------------------------------------------------------------------------


def test_an_order_waits_for_the_open(make_book, make_market):
    closed = make_market(symbols={"EURUSD": {"calendar": NEVER}}, age_ms=90_000_000)
    book = make_book()

    through = book.apply(buy_limit("1.20000"), market=closed, now=NOON)
    at_once = book.apply(buy_limit("1.20000", time_in_force=IOC), market=closed, now=NOON)

    assert (through.order.status, through.type) == ("working", "order_placed")
    assert at_once.refusal == "market_closed"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"age_ms": 30_001}, "off_quotes"),
        ({"group": {"orders_max": 0}}, "limit_positions"),
        ({"symbols": {"EURUSD": {"trade_mode": TradeMode.DISABLED}}}, "trade_disabled"),
        ({"symbols": {"EURUSD": {"trade_mode": TradeMode.SHORT_ONLY}}}, "trade_disabled"),
        ({"symbols": {"EURUSD": {"trade_mode": TradeMode.CLOSE_ONLY}}}, "close_only"),
        ({"symbols": {"EURUSD": {"volume_max": D("0.5")}}}, "invalid_volume"),
    ],
)
def test_refusals_name_their_reason(make_book, make_market, changes, reason):
    book = make_book()

    outcome = book.apply(buy_limit("1.09000"), market=make_market(**changes), now=NOON)

    assert (outcome.type, outcome.refusal, book.orders) == ("order_rejected", reason, {})


@pytest.mark.parametrize(
    ("status", "reason"), [("close_only", "close_only"), ("disabled", "account_disabled")]
)
def test_an_account_that_may_not_open_places_nothing(make_book, market, status, reason):
    book = make_book(status=status)

    assert book.apply(buy_limit("1.09000"), market=market, now=NOON).refusal == reason


def test_in_close_only_an_order_may_wait_to_reduce_a_net_position(make_book, market):
    book = make_book(mode=PositionMode.NETTING)
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    book.account.status = "close_only"

    reducing = book.apply(sell_limit("1.20000", lots="1"), market=market, now=NOON)
    turning = book.apply(sell_limit("1.20000", lots="1.01"), market=market, now=NOON)

    assert (reducing.order.status, turning.refusal) == ("working", "close_only")


@pytest.mark.parametrize(
    ("actor", "reason"), [(DEALER, OrderReason.STAFF), (Actor.system("x"), OrderReason.SYSTEM)]
)
def test_an_order_tells_who_placed_it(make_book, market, actor, reason):
    outcome = make_book().apply(buy_limit("1.09000", actor=actor), market=market, now=NOON)

    assert outcome.order.reason is reason


def test_the_number_of_working_orders_is_limited(make_book, make_market):
    market = make_market(group={"orders_max": 1})
    book = make_book()
    book.apply(buy_limit("1.09000"), market=market, now=NOON)

    assert book.apply(buy_limit("1.08000"), market=market, now=NOON).refusal == "limit_positions"
    assert book.apply(buy_limit("1.20000"), market=market, now=NOON).order.status == "filled"


def test_a_guard_refuses_a_new_order_in_the_books_name(make_book, market):
    book = make_book()

    outcome = book.refuse(buy_limit("1.09000"), RejectReason.CLOSE_ONLY, market=market, now=NOON)

    assert (outcome.type, outcome.order.status, outcome.refusal) == (
        "order_rejected",
        "rejected",
        "close_only",
    )


def test_only_orders_are_guarded(make_book, market):
    book = make_book()

    assert not book.grows_risk(cancel(1))
    with pytest.raises(TypeError):
        book.refuse(cancel(1), RejectReason.NO_MONEY, market=market, now=NOON)


@pytest.mark.parametrize(("volume", "grows"), [("2", True), ("1", False), ("0.5", False)])
def test_a_working_order_is_guarded_when_its_volume_grows(make_book, market, volume, grows):
    book = make_book()
    order_id = book.apply(buy_limit("1.09000", lots="1"), market=market, now=NOON).order.id

    assert book.grows_risk(modify(order_id, volume=volume)) is grows
    refused = book.refuse(modify(order_id, volume="2"), RejectReason.KILL_SWITCH, market=market, now=NOON)

    assert (refused.type, refused.refusal) == ("order_change_rejected", RejectReason.KILL_SWITCH)
    assert book.orders[order_id].volume == D(1)
