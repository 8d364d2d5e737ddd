"""Who needs money for a fill: whatever adds exposure or turns it round; never what only reduces it."""

from decimal import Decimal

import pytest

from apps.groups.domain.terms import PositionMode
from apps.trading.domain.orders import OrderStatus, RejectReason, Side
from tests.factories.books import NOON, buy, order, sell

D = Decimal


@pytest.mark.parametrize(
    ("bid", "status"),
    [("1.09400", OrderStatus.REJECTED), ("1.08000", OrderStatus.REJECTED), ("1.09917", OrderStatus.FILLED)],
)
def test_a_flip_of_the_same_size_needs_the_money_of_a_new_position(make_book, make_market, bid, status):
    book = make_book(balance="1200", mode=PositionMode.NETTING)
    flat = ("1.10017", "1.10017")
    book.apply(buy("EURUSD", lots="1"), market=make_market(quotes={"EURUSD": flat}), now=NOON)

    outcome = book.apply(
        sell("EURUSD", lots="2"), market=make_market(quotes={"EURUSD": (bid, bid)}), now=NOON
    )

    assert outcome.order.status is status  # equity 583, -817; 1,100 against a margin of 1,099.17
    assert (outcome.refusal is RejectReason.NO_MONEY) is (status is OrderStatus.REJECTED)
    assert [p.side for p in book.positions.values()] == [
        Side.SELL if status is OrderStatus.FILLED else Side.BUY
    ]


def test_closing_without_any_equity_is_never_refused(make_book, make_market):
    book = make_book(balance="1200", mode=PositionMode.NETTING)
    book.apply(buy("EURUSD", lots="1"), market=make_market(), now=NOON)
    crashed = make_market(quotes={"EURUSD": ("1.05000", "1.05000")})

    outcome = book.apply(sell("EURUSD", lots="1"), market=crashed, now=NOON)

    assert outcome.order.status is OrderStatus.FILLED
    assert not book.positions


def test_an_opposite_position_beyond_the_first_needs_money_even_where_covered_volume_needs_none(
    make_book, make_market
):
    free = {"EURUSD": {"hedged_contract_size": D(0)}}
    book = make_book(balance="1200")
    book.apply(buy("EURUSD", lots="1"), market=make_market(symbols=free), now=NOON)
    crashed = make_market(symbols=free, quotes={"EURUSD": ("1.08000", "1.08000")})

    beyond = book.apply(order(Side.SELL, "EURUSD", lots="2"), market=crashed, now=NOON)
    cover = book.apply(order(Side.SELL, "EURUSD", lots="1"), market=crashed, now=NOON)

    assert beyond.refusal is RejectReason.NO_MONEY
    assert cover.refusal is None
