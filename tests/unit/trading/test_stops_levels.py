"""Stop loss and take profit of positions: setting them, and closing at the quote that reaches them."""

from copy import deepcopy
from decimal import Decimal

import pytest

from apps.groups.domain.terms import PositionMode
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.filling import PositionNotFound
from apps.trading.domain.orders import Entry, OrderReason
from apps.trading.domain.triggers import TriggerVoid
from tests.factories.books import (
    DEALER,
    ENGINE,
    NEVER,
    NOON,
    TRADER,
    at,
    buy,
    close,
    modify_position,
    sell,
    trigger_stop,
)

D = Decimal
SL, TP = OrderReason.STOP_LOSS, OrderReason.TAKE_PROFIT

# The market is 1.10000 / 1.10017: a buy closes at the bid, a sell at the ask.


@pytest.fixture
def hold(make_book, market):
    """Return a function that makes a book with one open position and tells its id."""

    def held(command, **facts):
        book = make_book(**facts)
        return book, book.apply(command, market=market, now=NOON).order.position_id

    return held


# --- setting ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opened", "changes", "refusal"),
    [
        (buy, {"stop_loss": "1.09999", "take_profit": "1.10001"}, None),
        (buy, {"stop_loss": "1.10000"}, "invalid_stops"),
        (buy, {"take_profit": "1.10000"}, "invalid_stops"),
        (sell, {"stop_loss": "1.10018", "take_profit": "1.10016"}, None),
        (sell, {"stop_loss": "1.10017"}, "invalid_stops"),
        (sell, {"take_profit": "1.10017"}, "invalid_stops"),
        (buy, {"stop_loss": "1.090001"}, "invalid_stops"),
        (buy, {"trailing_points": 0}, "invalid_stops"),
        (buy, {"trailing_points": -1}, "invalid_stops"),
    ],
)
def test_stops_lie_on_their_sides_of_what_would_close(hold, market, opened, changes, refusal):
    book, position_id = hold(opened("EURUSD", lots="1"))
    before = deepcopy(book.positions)

    outcome = book.apply(modify_position(position_id, **changes), market=market, now=NOON)

    assert outcome.refusal == refusal
    if refusal:
        assert outcome.type == "position_change_rejected"
        assert (outcome.payload["position_id"], outcome.payload["reject_reason"]) == (position_id, refusal)
        assert book.positions == before
    else:
        assert outcome.type == "position_modified"
        assert {name: str(getattr(book.positions[position_id], name)) for name in changes} == changes


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"stop_loss": "1.09900"}, None),
        ({"stop_loss": "1.09901"}, "invalid_stops"),
        ({"take_profit": "1.10100"}, None),
        ({"take_profit": "1.10099"}, "invalid_stops"),
        ({"trailing_points": 100}, None),
        ({"trailing_points": 99}, "invalid_stops"),
    ],
)
def test_stops_keep_the_stop_level_of_100_points(hold, make_market, changes, refusal):
    book, position_id = hold(buy("EURUSD", lots="1"))
    market = make_market(symbols={"EURUSD": {"stop_level_points": 100}})

    assert book.apply(modify_position(position_id, **changes), market=market, now=NOON).refusal == refusal


@pytest.mark.parametrize(("actor", "cause"), [(TRADER, "client"), (DEALER, "staff"), (ENGINE, "system")])
def test_the_event_tells_who_moved_the_stop(hold, market, actor, cause):
    book, position_id = hold(buy("EURUSD", lots="1"))

    outcome = book.apply(
        modify_position(position_id, stop_loss="1.09000", actor=actor), market=market, now=NOON
    )

    assert outcome.payload["cause"] == cause
    assert outcome.payload["position"]["stop_loss"] == "1.09000"
    assert (outcome.orders, outcome.lines, outcome.payload["margin"]) == ([], [], "1100.17")


def test_one_stop_changes_and_the_other_stays(hold, market):
    book, position_id = hold(buy("EURUSD", lots="1", stop_loss=D("1.09000"), take_profit=D("1.12000")))

    book.apply(modify_position(position_id, stop_loss=None), market=market, now=NOON)

    position = book.positions[position_id]
    assert (position.stop_loss, position.take_profit) == (None, D("1.12000"))


@pytest.mark.parametrize(("actor", "refusal"), [(TRADER, "frozen"), (DEALER, None), (ENGINE, None)])
@pytest.mark.parametrize("near", [{"stop_loss": D("1.09950")}, {"take_profit": D("1.10050")}])
def test_near_the_market_a_client_cannot_move_a_stop_away(hold, make_market, near, actor, refusal):
    book, position_id = hold(buy("EURUSD", lots="1", **near))
    market = make_market(symbols={"EURUSD": {"freeze_level_points": 50}})

    outcome = book.apply(
        modify_position(position_id, stop_loss="1.08000", actor=actor), market=market, now=NOON
    )

    assert outcome.refusal == refusal


def test_nothing_is_frozen_while_the_market_is_closed(hold, make_market):
    book, position_id = hold(buy("EURUSD", lots="1", stop_loss=D("1.09950")))
    market = make_market(symbols={"EURUSD": {"freeze_level_points": 50, "calendar": NEVER}})

    assert book.apply(modify_position(position_id, stop_loss=None), market=market, now=NOON).refusal is None


def test_a_stop_51_points_off_is_not_frozen_at_50(hold, make_market):
    book, position_id = hold(buy("EURUSD", lots="1", stop_loss=D("1.09949")))
    market = make_market(symbols={"EURUSD": {"freeze_level_points": 50}})

    assert book.apply(modify_position(position_id, stop_loss=None), market=market, now=NOON).refusal is None


def test_a_stop_cannot_move_without_a_fresh_quote(hold, make_market):
    book, position_id = hold(buy("EURUSD", lots="1"))

    outcome = book.apply(
        modify_position(position_id, stop_loss="1.09000"), market=make_market(age_ms=30_001), now=NOON
    )

    assert outcome.refusal == "off_quotes"


def test_a_disabled_account_leaves_its_stops_to_the_house(hold, market):
    book, position_id = hold(buy("EURUSD", lots="1"))
    book.account.status = "disabled"

    by_client = book.apply(modify_position(position_id, stop_loss="1.09000"), market=market, now=NOON)
    by_staff = book.apply(
        modify_position(position_id, stop_loss="1.09000", actor=DEALER), market=market, now=NOON
    )

    assert (by_client.refusal, by_staff.type) == ("account_disabled", "position_modified")


def test_stops_of_an_unknown_position_are_the_callers_mistake(hold, market):
    book, position_id = hold(buy("EURUSD", lots="1"))

    with pytest.raises(PositionNotFound):
        book.apply(modify_position(position_id + 1, stop_loss="1.09000"), market=market, now=NOON)


# --- setting off -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opened", "kind", "level", "quote", "fill", "slippage", "profit"),
    [
        (buy, SL, "1.09000", at("1.09000", "1.09017"), "1.09000", 0, "-1017.00"),
        (buy, SL, "1.09000", at("1.08500", "1.08517"), "1.08500", 500, "-1517.00"),
        (buy, TP, "1.11000", at("1.11000", "1.11017"), "1.11000", 0, "983.00"),
        (buy, TP, "1.11000", at("1.11500", "1.11517"), "1.11500", -500, "1483.00"),
        (sell, SL, "1.11000", at("1.10983", "1.11000"), "1.11000", 0, "-1000.00"),
        (sell, SL, "1.11000", at("1.11500", "1.11517"), "1.11517", 517, "-1517.00"),
        (sell, TP, "1.09000", at("1.08983", "1.09000"), "1.09000", 0, "1000.00"),
        (sell, TP, "1.09000", at("1.08500", "1.08517"), "1.08517", -483, "1483.00"),
    ],
)
def test_a_position_closes_at_the_quote_that_reached_its_stop(
    hold, market, opened, kind, level, quote, fill, slippage, profit
):
    name = "stop_loss" if kind is SL else "take_profit"
    book, position_id = hold(opened("EURUSD", lots="1", **{name: D(level)}))

    outcome = book.apply(
        trigger_stop(position_id, level, quote, kind=kind, unwatched_ms=12), market=market, now=NOON
    )

    order = outcome.order
    assert (outcome.type, order.status, order.reason, order.type) == (
        "order_filled",
        "filled",
        kind,
        "market",
    )
    assert (order.client_order_id, order.price, order.position_id) == (f"#{order.id}", D(level), position_id)
    assert outcome.payload["order"]["trigger"] == {
        "kind": kind.value,
        "price": level,
        "bid": str(quote.bid),
        "ask": str(quote.ask),
        "quote_time": quote.time_ms,
        "slippage_points": slippage,
        "unwatched_ms": 12,
    }
    (deal,) = order.deals
    assert (deal.entry, deal.price, deal.profit) == (Entry.OUT, D(fill), D(profit))
    assert (book.positions, book.account.balance) == ({}, D(10000) + D(profit))


@pytest.mark.parametrize(
    ("opened", "kind", "level", "quote"),
    [
        (buy, SL, "1.09000", at("1.09001", "1.08000")),  # only the ask is beyond: a buy looks at the bid
        (buy, TP, "1.11000", at("1.10999", "1.12000")),
        (sell, SL, "1.11000", at("1.12000", "1.10999")),
        (sell, TP, "1.09000", at("1.08000", "1.09001")),
    ],
)
def test_the_other_side_of_a_quote_sets_nothing_off(hold, market, opened, kind, level, quote):
    name = "stop_loss" if kind is SL else "take_profit"
    book, position_id = hold(opened("EURUSD", lots="1", **{name: D(level)}))

    with pytest.raises(TriggerVoid):
        book.apply(trigger_stop(position_id, level, quote, kind=kind), market=market, now=NOON)

    assert position_id in book.positions


REACHED = at("1.08500", "1.08517")


@pytest.mark.parametrize(
    "changes",
    [
        {"symbols": {"EURUSD": {"calendar": NEVER}}},
        {"symbols": {"EURUSD": {"trade_mode": TradeMode.DISABLED}}},
        {"symbols": {"EURUSD": {"quote_age_max_ms": -1}}},
    ],
    ids=["closed", "disabled", "stale"],
)
def test_a_stop_waits_while_its_symbol_cannot_be_traded(hold, make_market, changes):
    book, position_id = hold(buy("EURUSD", lots="1", stop_loss=D("1.09000")))
    before = deepcopy((book.account, book.positions))

    with pytest.raises(TriggerVoid):
        book.apply(trigger_stop(position_id, "1.09000", REACHED), market=make_market(**changes), now=NOON)

    assert (book.account, book.positions) == before


def test_a_stop_waits_for_a_conversion_rate(make_book, make_market):
    book = make_book()
    opened = book.apply(buy("EURGBP", lots="1", stop_loss=D("0.80000")), market=make_market(), now=NOON).order
    stale = make_market(symbols={"GBPUSD": {"quote_age_max_ms": 0}}, age_ms=10)
    reached = at("0.79000", "0.79020", symbol="EURGBP")

    with pytest.raises(TriggerVoid):
        book.apply(trigger_stop(opened.position_id, "0.80000", reached), market=stale, now=NOON)

    assert (list(book.positions), book.account.seq) == ([opened.position_id], 2)


@pytest.mark.parametrize(
    "meanwhile",
    [{"stop_loss": "1.08000"}, {"stop_loss": None}, {"stop_loss": "1.08999"}],
)
def test_a_stop_that_has_moved_meanwhile_is_left_alone(hold, market, meanwhile):
    book, position_id = hold(buy("EURUSD", lots="1", stop_loss=D("1.09000")))
    book.apply(modify_position(position_id, **meanwhile), market=market, now=NOON)

    with pytest.raises(TriggerVoid):
        book.apply(trigger_stop(position_id, "1.09000", REACHED), market=market, now=NOON)


def test_a_position_that_has_closed_meanwhile_is_left_alone(hold, market):
    book, position_id = hold(buy("EURUSD", lots="1", stop_loss=D("1.09000")))
    book.apply(close(position_id), market=market, now=NOON)

    with pytest.raises(TriggerVoid):
        book.apply(trigger_stop(position_id, "1.09000", REACHED), market=market, now=NOON)


@pytest.mark.parametrize("status", ["close_only", "disabled"])
def test_no_rule_and_no_lack_of_money_keeps_a_stop_from_closing(hold, make_market, status):
    book, first = hold(buy("EURUSD", lots="1"), balance="3000")
    second = book.apply(
        buy("EURUSD", lots="1", stop_loss=D("1.09000")), market=make_market(), now=NOON
    ).order.position_id
    book.account.status = status
    market = make_market(group={"closes_fifo": True, "is_active": False})

    outcome = book.apply(trigger_stop(second, "1.09000", at("1.00000", "1.00017")), market=market, now=NOON)

    assert outcome.order.status == "filled"
    assert (list(book.positions), book.account.balance) == ([first], D("-7017.00"))


# --- netting ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "stops"),
    [
        (buy("EURUSD", lots="1"), ("1.09000", "1.12000")),
        (buy("EURUSD", lots="1", stop_loss=D("1.09500")), ("1.09500", "1.12000")),
        (buy("EURUSD", lots="1", take_profit=D("1.13000")), ("1.09000", "1.13000")),
        (sell("EURUSD", lots="0.5", stop_loss=D("1.11000")), ("1.09000", "1.12000")),  # takes from it
        (sell("EURUSD", lots="1.5"), (None, None)),  # turns it: another position
        (
            sell("EURUSD", lots="1.5", stop_loss=D("1.11000"), take_profit=D("1.08000")),
            ("1.11000", "1.08000"),
        ),
    ],
    ids=["add", "add with SL", "add with TP", "reduce", "flip", "flip with stops"],
)
def test_what_joins_a_net_position_brings_its_stops(make_book, market, command, stops):
    book = make_book(mode=PositionMode.NETTING)
    book.apply(
        buy("EURUSD", lots="1", stop_loss=D("1.09000"), take_profit=D("1.12000")), market=market, now=NOON
    )

    assert book.apply(command, market=market, now=NOON).order.status == "filled"

    (position,) = book.positions.values()
    assert (position.stop_loss, position.take_profit) == tuple(stop and D(stop) for stop in stops)
