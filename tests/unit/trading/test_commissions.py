"""Commission: per lot, per deal, per million, on entries and exits, with tiers and a minimum."""

from decimal import Decimal

import pytest

from apps.groups.domain.terms import Commission, CommissionCharge, CommissionMode, Override, PositionMode
from apps.market.domain.symbols import MarginMode
from apps.trading.domain import deals
from tests.factories.books import NOON, at, buy, buy_stop, close, sell, trigger

D = Decimal
PER_LOT, PER_DEAL, PER_MILLION = CommissionMode.PER_LOT, CommissionMode.PER_DEAL, CommissionMode.PER_MILLION
ENTRY, EXIT, BOTH = CommissionCharge.ENTRY, CommissionCharge.EXIT, CommissionCharge.BOTH
BY_LOTS = ((D(10), D(6)), (D(50), D(5)))  # 7 below 10 lots, 6 from 10, 5 from 50
BY_NOTIONAL = ((D(1_000_000), D(25)), (D(5_000_000), D(20)))


def due(rule, *, entering="0", leaving="0", notional="110000", **more):
    amount, applied = deals.commission_due(
        rule,
        entering=D(entering),
        leaving=D(leaving),
        notional_per_lot=D(notional),
        currency="USD",
        **more,
    )
    return str(amount), applied


@pytest.mark.parametrize(
    ("mode", "value", "lots", "expected"),
    [
        (PER_LOT, "3.50", "2", "7.00"),
        (PER_LOT, "3.50", "0.01", "0.04"),  # 0.035, half away from zero
        (PER_DEAL, "1.25", "100", "1.25"),
        (PER_MILLION, "30", "1", "3.30"),
        (PER_MILLION, "30", "0.05", "0.17"),  # 0.165
        (CommissionMode.NONE, "99", "1", "0.00"),
    ],
)
def test_modes(mode, value, lots, expected):
    assert due(Commission(mode, D(value)), entering=lots)[0] == expected


@pytest.mark.parametrize(
    ("charge", "entering", "leaving", "expected"),
    [
        (ENTRY, "2", "0", "14.00"),
        (ENTRY, "0", "2", "0.00"),
        (EXIT, "2", "0", "0.00"),
        (EXIT, "0", "2", "14.00"),
        (BOTH, "0", "2", "14.00"),
        (ENTRY, "2", "3", "14.00"),  # a flip opens 2 and closes 3
        (EXIT, "2", "3", "21.00"),
        (BOTH, "2", "3", "35.00"),
    ],
)
def test_entries_and_exits(charge, entering, leaving, expected):
    assert due(Commission(PER_LOT, D(7), charge), entering=entering, leaving=leaving)[0] == expected


@pytest.mark.parametrize(
    ("lots", "expected", "applied"),
    [
        ("9.99", "69.93", "per_lot:7:both"),
        ("10", "60.00", "per_lot:6:both"),
        ("49.99", "299.94", "per_lot:6:both"),
        ("50", "250.00", "per_lot:5:both"),
    ],
)
def test_a_tier_begins_at_its_size_and_holds_for_the_whole_deal(lots, expected, applied):
    assert due(Commission(PER_LOT, D(7), tiers=BY_LOTS), entering=lots) == (expected, applied)


@pytest.mark.parametrize(
    ("notional", "expected"), [("999999.99", "30.00"), ("1000000", "25.00"), ("5000000", "100.00")]
)
def test_tiers_of_a_rule_per_million_are_notional(notional, expected):
    rule = Commission(PER_MILLION, D(30), tiers=BY_NOTIONAL)

    assert due(rule, entering="1", notional=notional)[0] == expected


def test_a_flip_finds_its_tier_by_all_the_lots_it_pays_for():
    rule = Commission(PER_LOT, D(7), tiers=BY_LOTS)

    assert due(rule, entering="4", leaving="6") == ("60.00", "per_lot:6:both")


@pytest.mark.parametrize(
    ("lots", "expected", "applied"),
    [
        ("0.5", "5.00", "per_lot:7:both:min 5"),
        ("0.71", "5.00", "per_lot:7:both:min 5"),
        ("0.72", "5.04", "per_lot:7:both"),
    ],
)
def test_a_deal_pays_at_least_the_minimum(lots, expected, applied):
    assert due(Commission(PER_LOT, D(7), minimum=D(5)), entering=lots) == (expected, applied)


def test_the_minimum_is_paid_once_by_a_flip_and_not_by_what_pays_nothing():
    rule = Commission(PER_LOT, D(1), EXIT, minimum=D(5))

    assert due(rule, entering="1", leaving="1")[0] == "5.00"
    assert due(rule, entering="1") == ("0.00", "per_lot:1:exit")


@pytest.mark.parametrize(
    ("exits_paid", "expected"), [(1, ("3.33", "per_lot:3.333:both")), (2, ("6.66", "per_lot:3.333:both:x2"))]
)
def test_two_exits_pay_twice_what_one_would(exits_paid, expected):
    assert due(Commission(PER_LOT, D("3.333")), leaving="1", exits_paid=exits_paid) == expected


# --- in deals --------------------------------------------------------------------------------------------


def test_the_size_of_a_deal_is_what_it_is_worth_in_the_groups_currency(make_book, make_market):
    """1 lot of EURGBP at 0.85680, its pounds sold at the bid of GBPUSD: 107,100 USD."""
    market = make_market(group={"commission": Commission(PER_MILLION, D(100))})
    book = make_book(balance="100000")

    outcome = book.apply(buy("EURGBP", lots="1"), market=market, now=NOON)

    assert outcome.order.deals[0].commission == D("-10.71")


def test_an_index_is_worth_its_ticks(make_book, make_market):
    """1 contract at 1.10017 with a tick of 0.5 worth 12.5: 100,000 x 1.10017 x 25."""
    index = {"margin_mode": MarginMode.INDEX, "tick_size": D("0.5"), "tick_price": D("12.5")}
    market = make_market(group={"commission": Commission(PER_MILLION, D(30))}, symbols={"EURUSD": index})

    outcome = make_book(balance="10000000").apply(buy("EURUSD", lots="1"), market=market, now=NOON)

    assert outcome.order.deals[0].commission == D("-82.51")


def test_a_netting_flip_pays_for_both_its_parts(make_book, make_market):
    market = make_market(group={"commission": Commission(PER_LOT, D(4), BOTH)})
    book = make_book(mode=PositionMode.NETTING)
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)

    outcome = book.apply(sell("EURUSD", lots="1.5"), market=market, now=NOON)

    (position,) = book.positions.values()
    assert (outcome.order.deals[0].commission, position.commission) == (D("-6.00"), D("-6.00"))


def test_a_triggered_order_pays_as_any_other(make_book, make_market):
    market = make_market(group={"commission": Commission(PER_LOT, D("3.50"))})
    book = make_book()
    book.apply(buy_stop("1.10500", lots="2"), market=market, now=NOON)

    outcome = book.apply(trigger(1, "1.10500", at("1.10483", "1.10500")), market=market, now=NOON)

    assert (outcome.order.deals[0].commission, outcome.payload["balance"]) == (D("-7.00"), "9993.00")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (None, "-60.00"),
        (Override(commission_value=D(9)), "-90.00"),  # the group's tiers were made for the group's rule
        (Override(commission_mode="per_deal"), "-7.00"),
        (Override(commission_tiers=((D(5), D(2)),)), "-20.00"),
        (Override(commission_charge="exit"), "0.00"),
        (Override(commission_minimum=D(77)), "-77.00"),
    ],
)
def test_a_symbol_may_have_a_rule_of_its_own(make_book, make_market, override, expected):
    market = make_market(
        group={"commission": Commission(PER_LOT, D(7), tiers=BY_LOTS)},
        overrides={"EURUSD": override} if override else None,
    )

    outcome = make_book(balance="100000").apply(buy("EURUSD", lots="10"), market=market, now=NOON)

    assert outcome.order.deals[0].commission == D(expected)


def test_commission_counts_when_money_decides(make_book, make_market):
    # margin 1,100.17 and spread 17.00; the commission of 5.00 is paid from the same money
    market = make_market(group={"commission": Commission(PER_DEAL, D(5))})

    enough = make_book(balance="1122.17").apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    short = make_book(balance="1122.16").apply(buy("EURUSD", lots="1"), market=market, now=NOON)

    assert (enough.order.status, short.refusal) == ("filled", "no_money")


def test_a_position_adds_its_commissions_up(make_book, make_market):
    market = make_market(group={"commission": Commission(PER_LOT, D(2))})
    book = make_book()
    position_id = book.apply(buy("EURUSD", lots="1"), market=market, now=NOON).order.position_id

    book.apply(close(position_id, lots="0.5"), market=market, now=NOON)

    assert book.positions[position_id].commission == D("-3.00")
