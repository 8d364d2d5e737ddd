"""Margin that working orders reserve: when they are placed, changed, set off, and when terms move."""

from decimal import Decimal

import pytest

from apps.market.domain.symbols import MarginMode
from tests.factories.books import (
    NOON,
    buy_limit,
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
