"""Margin that working orders reserve: when they are placed, changed, set off, and when terms move."""

from decimal import Decimal

import pytest

from apps.market.domain.symbols import MarginMode
from apps.trading.domain.commands import ChangeAccount
from apps.trading.domain.orders import Side
from apps.trading.domain.triggers import TriggerVoid
from tests.factories.books import (
    DEALER,
    NOON,
    at,
    buy,
    buy_limit,
    cancel,
    leverage,
    modify,
    sell_limit,
    stop_limit,
    trigger,
)

D = Decimal
RESERVING = {"EURUSD": {"margin_rate_pending": D(1)}}


@pytest.mark.parametrize(("balance", "status"), [("1100.17", "working"), ("1100.16", "rejected")])
def test_a_reserve_decides_to_the_cent(make_book, make_market, balance, status):
    # 1 lot, 1:100: 1,000 EUR bought at the ask of 1.10017; a working order has no spread to pay yet
    book = make_book(balance=balance)

    outcome = book.apply(buy_limit("1.05000"), market=make_market(symbols=RESERVING), now=NOON)

    assert (outcome.order.status, outcome.refusal) == (status, "no_money" if status == "rejected" else None)
    assert book.account.margin == (D("1100.17") if status == "working" else 0)


def test_a_share_of_the_margin_is_reserved_at_the_waiting_price(make_book, make_market):
    half = {
        "EURUSD": {
            "margin_rate_pending": D("0.5"),
            "margin_mode": MarginMode.CFD_LEVERAGE,
            "margin_currency": "USD",
        }
    }
    book = make_book()

    book.apply(buy_limit("1.05000"), market=make_market(symbols=half), now=NOON)

    assert book.account.margin == D("525.00")  # 100,000 x 1.05 / 100 x 0.5


def test_no_conversion_rate_for_the_reserve_is_off_quotes(make_book, make_market):
    market = make_market(
        symbols={"EURGBP": {"margin_rate_pending": D(1)}, "EURUSD": {"quote_age_max_ms": 0}}, age_ms=10
    )

    outcome = make_book().apply(buy_limit("0.80000", symbol="EURGBP"), market=market, now=NOON)

    assert outcome.refusal == "off_quotes"


@pytest.fixture
def reserving(make_market):
    """A market whose waiting orders reserve all of their margin, priced by what they wait for."""

    def make(*, share="1", **more):
        changes = {"margin_rate_pending": D(share), "margin_mode": MarginMode.CFD_LEVERAGE}
        return make_market(symbols={"EURUSD": {**changes, "margin_currency": "USD"}}, **more)

    return make


def test_the_reserve_comes_on_top_of_what_is_held(make_book, reserving):
    book = make_book()
    book.apply(buy("EURUSD", lots="1"), market=reserving(), now=NOON)

    book.apply(buy_limit("1.05000"), market=reserving(), now=NOON)
    book.apply(sell_limit("1.20000", lots="0.5"), market=reserving(), now=NOON)

    assert book.account.margin == D("2750.17")  # 1,100.17 + 1,050 + 600


@pytest.mark.parametrize("command", [cancel(1), trigger(1, "1.05000", at("1.04983", "1.05000"))])
def test_the_reserve_is_free_again_when_the_order_ends(make_book, reserving, command):
    book = make_book(balance="1067.00")  # after the fill: 1,050 of margin and 17 of spread
    book.apply(buy_limit("1.05000"), market=reserving(), now=NOON)

    outcome = book.apply(command, market=reserving(), now=NOON)

    assert outcome.refusal is None
    assert book.account.margin == (D("1050.00") if outcome.type == "order_filled" else 0)


@pytest.mark.parametrize(
    ("changes", "margin"),
    [
        ({"volume": "2"}, "2100.00"),
        ({"price": "1.09000"}, "1090.00"),
        ({"volume": "0.01", "price": "1.00000"}, "10.00"),
        ({"stop_loss": "1.00000"}, "1050.00"),
    ],
)
def test_a_changed_order_reserves_what_it_now_asks_for(make_book, reserving, changes, margin):
    book = make_book()
    book.apply(buy_limit("1.05000"), market=reserving(), now=NOON)

    outcome = book.apply(modify(1, **changes), market=reserving(), now=NOON)

    assert (outcome.type, outcome.payload["margin"]) == ("order_modified", margin)
    assert book.account.margin == D(margin)


@pytest.mark.parametrize(("balance", "refusal"), [("2100.00", None), ("2099.99", "no_money")])
def test_a_change_that_asks_for_too_much_leaves_the_order_as_it_was(make_book, reserving, balance, refusal):
    book = make_book(balance=balance)
    book.apply(buy_limit("1.05000"), market=reserving(), now=NOON)

    outcome = book.apply(modify(1, volume="2"), market=reserving(), now=NOON)

    assert outcome.refusal == refusal
    assert (book.orders[1].volume, book.account.margin) == (
        (D(1), D("1050.00")) if refusal else (D(2), D("2100.00"))
    )


def test_an_order_may_be_made_smaller_without_any_money(make_book, reserving):
    book = make_book(balance="1050")
    book.apply(buy_limit("1.05000"), market=reserving(), now=NOON)
    book.account.balance = D(-500)

    assert book.apply(modify(1, volume="0.5"), market=reserving(), now=NOON).type == "order_modified"


def test_an_activated_order_reserves_at_its_limit_and_todays_terms(make_book, reserving):
    book = make_book()
    book.apply(stop_limit(Side.SELL, "1.09000", "1.15000"), market=reserving(), now=NOON)
    before = book.account.margin

    outcome = book.apply(
        trigger(1, "1.09000", at("1.09000", "1.09017")), market=reserving(share="0.5"), now=NOON
    )

    assert (before, outcome.type, book.account.margin) == (D("1090.00"), "order_activated", D("575.00"))
    assert outcome.payload["house"]["order"]["terms"] == book.orders[1].terms.encoded()


@pytest.mark.parametrize(
    ("balance", "type_", "margin"),
    [("1150.00", "order_activated", "1150.00"), ("1149.99", "order_rejected", "0")],
)
def test_without_money_an_activation_rejects_the_order(make_book, reserving, balance, type_, margin):
    book = make_book(balance=balance)
    book.apply(stop_limit(Side.SELL, "1.09000", "1.15000"), market=reserving(), now=NOON)

    outcome = book.apply(trigger(1, "1.09000", at("1.09000", "1.09017")), market=reserving(), now=NOON)

    assert (outcome.type, book.account.margin) == (type_, D(margin))
    assert outcome.refusal == ("no_money" if type_ == "order_rejected" else None)


def test_an_activation_without_a_conversion_rate_waits(make_book, make_market):
    reserving = {"EURGBP": {"margin_rate_pending": D(1)}}
    book = make_book()
    command = stop_limit(Side.SELL, "0.85000", "0.86000", symbol="EURGBP")
    book.apply(command, market=make_market(symbols=reserving), now=NOON)
    stale = make_market(symbols={**reserving, "EURUSD": {"quote_age_max_ms": 0}}, age_ms=10)

    with pytest.raises(TriggerVoid):
        book.apply(trigger(1, "0.85000", at("0.85000", "0.85020", symbol="EURGBP")), market=stale, now=NOON)

    assert book.orders[1].activated_at is None


def test_another_leverage_margins_waiting_orders_again(make_book, reserving):
    book = make_book()
    book.apply(buy_limit("1.05000"), market=reserving(), now=NOON)

    outcome = book.apply(leverage(200), market=reserving(), now=NOON)

    assert (outcome.type, book.account.margin) == ("account_changed", D("525.00"))
    assert [order.terms.leverage for order in outcome.orders] == [200]
    assert outcome.payload["house"]["order_terms"] == {"1": book.orders[1].terms.encoded()}


def test_an_order_that_no_longer_reserves_is_forgotten_and_found_again(make_book, reserving):
    """Terms were edited to no reserve and back; each change of leverage takes them over."""
    book = make_book()
    book.apply(buy_limit("1.05000"), market=reserving(), now=NOON)

    margins = []
    for value, share in ((200, "0"), (100, "0"), (200, "1")):
        book.apply(leverage(value), market=reserving(share=share), now=NOON)
        margins.append(book.account.margin)

    assert margins == [D(0), D(0), D("525.00")]


def test_a_change_of_status_moves_no_margin(make_book, reserving):
    book = make_book()
    book.apply(buy_limit("1.05000"), market=reserving(), now=NOON)

    outcome = book.apply(
        ChangeAccount(account_id=1, command_id=None, actor=DEALER, status="close_only"),
        market=reserving(share="0"),
        now=NOON,
    )

    assert (outcome.orders, book.account.margin, book.account.status) == ([], D("1050.00"), "close_only")
