"""Setting off orders that wait: by which quote, at which price, and when nothing happens at all."""

from copy import deepcopy
from decimal import Decimal

import pytest

from apps.groups.domain.terms import PositionMode
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.orders import Entry, RejectReason, Side
from apps.trading.domain.triggers import TriggerHeld, TriggerVoid
from tests.factories.books import (
    NEVER,
    NOON,
    NOON_MS,
    at,
    buy,
    buy_limit,
    buy_stop,
    cancel,
    modify,
    sell,
    sell_limit,
    sell_stop,
    stop_limit,
    trigger,
)

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def place(make_book, market):
    """Return a function that makes a book with one working order, number 1."""

    def placed(command, **facts):
        book = make_book(**facts)
        assert book.apply(command, market=market, now=NOON).order.status == "working"
        return book

    return placed


@pytest.mark.parametrize(
    ("command", "quote", "kind", "fill", "slippage"),
    [
        (buy_stop("1.10500"), at("1.10490", "1.10500"), "stop", "1.10500", 0),
        (buy_stop("1.10500"), at("1.11000", "1.11017"), "stop", "1.11017", 517),
        (sell_stop("1.09500"), at("1.09500", "1.09517"), "stop", "1.09500", 0),
        (sell_stop("1.09500"), at("1.09000", "1.09017"), "stop", "1.09000", 500),
        (buy_limit("1.09500"), at("1.09483", "1.09500"), "limit", "1.09500", 0),
        (buy_limit("1.09500"), at("1.09000", "1.09017"), "limit", "1.09017", -483),
        (sell_limit("1.10500"), at("1.11000", "1.11017"), "limit", "1.11000", -500),
    ],
    ids=lambda value: f"{value.side}-{value.type}" if hasattr(value, "client_order_id") else None,
)
def test_an_order_fills_at_the_quote_that_reached_it(place, market, command, quote, kind, fill, slippage):
    book = place(command)

    outcome = book.apply(trigger(1, str(command.price), quote, unwatched_ms=4711), market=market, now=NOON)

    assert (outcome.type, outcome.order.status, outcome.order.average_price) == (
        "order_filled",
        "filled",
        D(fill),
    )
    assert outcome.payload["order"]["trigger"] == {
        "kind": kind,
        "price": str(command.price),
        "bid": str(quote.bid),
        "ask": str(quote.ask),
        "quote_time": NOON_MS,
        "slippage_points": slippage,
        "unwatched_ms": 4711,
    }
    (deal,) = outcome.order.deals
    assert (deal.entry, deal.price, deal.raw_bid, deal.raw_ask) == (Entry.IN, D(fill), quote.bid, quote.ask)
    assert book.orders == {}
    assert [position.cost for position in book.positions.values()] == [D(fill)]


@pytest.mark.parametrize(
    ("command", "quote"),
    [
        (buy_stop("1.10500"), at("1.10600", "1.10499")),  # the bid is beyond, a buy looks at the ask
        (sell_stop("1.09500"), at("1.09501", "1.09400")),
        (buy_limit("1.09500"), at("1.09400", "1.09501")),
        (sell_limit("1.10500"), at("1.10499", "1.10600")),
        (stop_limit(BUY, "1.10500", "1.10400"), at("1.10490", "1.10499")),
    ],
    ids=lambda value: f"{value.side}-{value.type}" if hasattr(value, "client_order_id") else None,
)
def test_a_quote_short_of_the_price_sets_nothing_off(place, market, command, quote):
    book = place(command)

    with pytest.raises(TriggerVoid):
        book.apply(trigger(1, str(command.price), quote), market=market, now=NOON)

    assert (book.orders[1].status, book.account.seq) == ("working", 2)


def test_the_groups_own_price_decides(make_book, make_market):
    market = make_market(group={"markup_ask_points": D(10)})
    book = make_book()
    book.apply(buy_stop("1.10500"), market=market, now=NOON)

    with pytest.raises(TriggerVoid):
        book.apply(trigger(1, "1.10500", at("1.10480", "1.10489")), market=market, now=NOON)
    outcome = book.apply(trigger(1, "1.10500", at("1.10480", "1.10490")), market=market, now=NOON)

    assert outcome.order.average_price == D("1.10500")
    assert outcome.payload["order"]["trigger"]["ask"] == "1.10500"
    assert outcome.order.deals[0].markup == D("10.00")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbols": {"EURUSD": {"calendar": NEVER}}}, "trigger_held"),
        ({"symbols": {"EURUSD": {"trade_mode": TradeMode.DISABLED}}}, "trigger_held"),
        ({"symbols": {"EURUSD": {"quote_age_max_ms": -1}}}, "trigger_void"),
    ],
    ids=["closed", "disabled", "stale"],
)
def test_what_cannot_be_traded_now_waits_on_untouched(place, make_market, changes, code):
    book = place(buy_stop("1.10500"))
    before = deepcopy((book.account, book.orders))

    with pytest.raises(TriggerVoid) as caught:
        book.apply(trigger(1, "1.10500", at("1.10500", "1.10517")), market=make_market(**changes), now=NOON)

    assert (book.account, book.orders, caught.value.code) == (*before, code)


def test_an_old_quote_sets_nothing_off(place, market):
    book = place(buy_stop("1.10500"))

    with pytest.raises(TriggerVoid):
        book.apply(trigger(1, "1.10500", at("1.10500", "1.10517", age_ms=30_001)), market=market, now=NOON)


def test_a_missing_conversion_rate_sets_nothing_off(make_book, make_market):
    book = make_book()
    book.apply(buy_stop("0.90000", symbol="EURGBP"), market=make_market(), now=NOON)
    stale = make_market(symbols={"GBPUSD": {"quote_age_max_ms": 0}}, age_ms=10)

    with pytest.raises(TriggerVoid):
        book.apply(trigger(1, "0.90000", at("0.90000", "0.90020", symbol="EURGBP")), market=stale, now=NOON)

    assert (book.orders[1].status, book.orders[1].trigger, book.account.seq) == ("working", None, 2)


def test_an_order_that_waits_for_another_price_by_now_is_left_alone(place, market):
    book = place(buy_stop("1.10500"))
    book.apply(modify(1, price="1.10400"), market=market, now=NOON)

    with pytest.raises(TriggerVoid):
        book.apply(trigger(1, "1.10500", at("1.10600", "1.10617")), market=market, now=NOON)
    filled = book.apply(trigger(1, "1.10400", at("1.10600", "1.10617")), market=market, now=NOON)

    assert filled.order.status == "filled"


def test_an_order_that_has_gone_is_left_alone(place, market):
    book = place(buy_stop("1.10500"))
    book.apply(cancel(1), market=market, now=NOON)

    with pytest.raises(TriggerVoid):
        book.apply(trigger(1, "1.10500", at("1.10500", "1.10517")), market=market, now=NOON)


def test_an_order_fires_once(place, market):
    book = place(buy_stop("1.10500"))
    book.apply(trigger(1, "1.10500", at("1.10500", "1.10517")), market=market, now=NOON)

    with pytest.raises(TriggerVoid):
        book.apply(trigger(1, "1.10500", at("1.10500", "1.10517")), market=market, now=NOON)

    assert len(book.positions) == 1


# --- what the account may not do -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "changes", "reason"),
    [
        ({"balance": "1104.99"}, {}, "no_money"),
        ({"status": "close_only"}, {}, "close_only"),
        ({"status": "disabled"}, {}, "account_disabled"),
        ({}, {"group": {"positions_max": 0}}, "limit_positions"),
        ({}, {"group": {"is_active": False}}, "close_only"),
        ({}, {"symbols": {"EURUSD": {"trade_mode": TradeMode.SHORT_ONLY}}}, "trade_disabled"),
    ],
)
def test_what_the_account_may_not_do_rejects_the_order_for_good(place, make_market, facts, changes, reason):
    status = facts.pop("status", "active")
    book = place(buy_stop("1.10500"), **facts)
    book.account.status = status

    outcome = book.apply(
        trigger(1, "1.10500", at("1.10500", "1.10500")), market=make_market(**changes), now=NOON
    )

    assert (outcome.type, outcome.order.status, outcome.refusal) == ("order_rejected", "rejected", reason)
    assert outcome.payload["order"]["trigger"]["kind"] == "stop"
    assert (book.orders, book.positions) == ({}, {})


def test_a_refused_trigger_shows_the_stop_that_was_asked_for(place, market):
    book = place(buy_stop("1.10500", stop_loss="1.09000", trailing_points=100), balance="100")

    outcome = book.apply(trigger(1, "1.10500", at("1.10500", "1.10500")), market=market, now=NOON)

    assert (outcome.refusal, outcome.payload["order"]["stop_loss"]) == ("no_money", "1.09000")


@pytest.mark.parametrize(("balance", "status"), [("1105.00", "filled"), ("1104.99", "rejected")])
def test_money_decides_at_the_price_of_the_fill(place, market, balance, status):
    book = place(buy_stop("1.10500"), balance=balance)

    outcome = book.apply(trigger(1, "1.10500", at("1.10500", "1.10500")), market=market, now=NOON)

    assert outcome.order.status == status


def test_an_opposite_order_is_rejected_where_hedging_is_prohibited(make_book, make_market):
    market = make_market(group={"allows_hedging": False})
    book = make_book(balance="100000")
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    stop = book.apply(sell_stop("1.09500"), market=market, now=NOON).order

    outcome = book.apply(trigger(stop.id, "1.09500", at("1.09500", "1.09517")), market=market, now=NOON)
    straight = book.apply(sell("EURUSD", lots="1"), market=market, now=NOON)

    assert (outcome.refusal, straight.refusal) == ("hedging_prohibited", "hedging_prohibited")
    assert len(book.positions) == 1


def test_what_reduces_a_net_position_fills_without_money(make_book, make_market):
    market = make_market()
    book = make_book(mode=PositionMode.NETTING, balance="1200")
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    stop = book.apply(sell_stop("1.00000"), market=market, now=NOON).order
    book.account.status = "close_only"

    outcome = book.apply(trigger(stop.id, "1.00000", at("1.00000", "1.00017")), market=market, now=NOON)

    assert (outcome.order.status, outcome.order.deals[0].entry) == ("filled", Entry.OUT)
    assert (book.account.balance, book.positions) == (D("-8817.00"), {})


# --- guards ----------------------------------------------------------------------------------------------


def test_a_guard_rejects_what_would_have_filled(place, market):
    book = place(buy_stop("1.10500"))
    command = trigger(1, "1.10500", at("1.10500", "1.10517"))
    assert book.grows_risk(command)

    outcome = book.refuse(command, RejectReason.CLOSE_ONLY, market=market, now=NOON)

    assert (outcome.type, outcome.order.status, outcome.refusal) == (
        "order_rejected",
        "rejected",
        "close_only",
    )
    assert outcome.payload["order"]["trigger"]["ask"] == "1.10517"
    assert book.orders == {}


@pytest.mark.parametrize(
    ("armed", "quote"),
    [("1.10500", at("1.10400", "1.10417")), ("1.10400", at("1.10500", "1.10517"))],
    ids=["not reached", "another price"],
)
def test_a_guard_has_no_say_where_nothing_would_happen(place, market, armed, quote):
    book = place(buy_stop("1.10500"))

    with pytest.raises(TriggerVoid):
        book.refuse(trigger(1, armed, quote), RejectReason.CLOSE_ONLY, market=market, now=NOON)

    assert book.orders[1].status == "working"


@pytest.mark.parametrize("word", [RejectReason.MARKET_CLOSED, RejectReason.CIRCUIT_BREAKER])
def test_a_guards_word_that_passes_with_time_holds_the_order(place, market, word):
    book = place(buy_stop("1.10500"))

    with pytest.raises(TriggerHeld) as caught:
        book.refuse(trigger(1, "1.10500", at("1.10500", "1.10517")), word, market=market, now=NOON)

    assert (caught.value.code, book.orders[1].status, book.account.seq) == ("trigger_held", "working", 2)


def test_a_guard_does_not_stand_in_the_way_of_an_activation(place, market):
    book = place(stop_limit(BUY, "1.10500", "1.10400"))
    command = trigger(1, "1.10500", at("1.10500", "1.10517"))

    outcome = book.refuse(command, RejectReason.CLOSE_ONLY, market=market, now=NOON)

    assert outcome.type == "order_activated"


def test_setting_off_an_order_that_reduces_is_not_guarded(make_book, market):
    book = make_book(mode=PositionMode.NETTING)
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    stop = book.apply(sell_stop("1.09500"), market=market, now=NOON).order

    assert not book.grows_risk(trigger(stop.id, "1.09500", at("1.09500", "1.09517")))
    assert not book.grows_risk(trigger(99, "1.09500", at("1.09500", "1.09517")))


# --- stop limits -----------------------------------------------------------------------------------------


def test_a_stop_limit_activates_and_then_fills_as_a_limit(place, market):
    book = place(stop_limit(BUY, "1.10500", "1.10400"))

    activated = book.apply(trigger(1, "1.10500", at("1.10500", "1.10517")), market=market, now=NOON)
    waiting = book.orders[1]
    filled = book.apply(trigger(1, "1.10400", at("1.10380", "1.10397")), market=market, now=NOON)

    assert (activated.type, activated.order.status) == ("order_activated", "working")
    assert activated.payload["order"]["activated_at"] == "2026-11-18T12:00:00Z"
    assert (waiting.waits_as, waiting.waits_for) == ("limit", D("1.10400"))
    assert (filled.type, filled.order.average_price) == ("order_filled", D("1.10397"))
    assert filled.order.trigger["kind"] == "limit"
    assert filled.order.trigger["slippage_points"] == -3


def test_an_activated_order_no_longer_listens_to_its_stop(place, market):
    book = place(stop_limit(BUY, "1.10500", "1.10400"))
    book.apply(trigger(1, "1.10500", at("1.10500", "1.10517")), market=market, now=NOON)

    with pytest.raises(TriggerVoid):
        book.apply(trigger(1, "1.10500", at("1.10500", "1.10517")), market=market, now=NOON)


@pytest.mark.parametrize(
    ("command", "quote", "fill"),
    [
        (stop_limit(BUY, "1.10500", "1.10500"), at("1.10483", "1.10500"), "1.10500"),
        (stop_limit(SELL, "1.09500", "1.09500"), at("1.09500", "1.09517"), "1.09500"),
    ],
    ids=["buy", "sell"],
)
def test_one_quote_may_reach_stop_and_limit(place, market, command, quote, fill):
    book = place(command)

    outcome = book.apply(trigger(1, str(command.price), quote), market=market, now=NOON)

    assert (outcome.type, outcome.order.average_price) == ("order_filled", D(fill))
    assert (outcome.order.activated_at, outcome.order.trigger["kind"]) == (NOON, "limit")


def test_a_gap_over_both_prices_leaves_a_limit_behind(place, market):
    book = place(stop_limit(BUY, "1.10500", "1.10500"))

    outcome = book.apply(trigger(1, "1.10500", at("1.10600", "1.10617")), market=market, now=NOON)

    assert (outcome.type, book.positions) == ("order_activated", {})
