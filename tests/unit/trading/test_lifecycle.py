"""The order lifecycle is one table: each pair of statuses is a step of it or an error."""

from decimal import Decimal
from itertools import product

import pytest

from apps.trading.domain.orders import TRANSITIONS, Order, OrderStatus, OrderType, Side
from tests.factories.books import NOON

S = OrderStatus
FINAL = {S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED}
STEPS = {
    (S.NEW, S.WORKING),
    (S.NEW, S.PARTIALLY_FILLED),
    (S.NEW, S.FILLED),
    (S.NEW, S.CANCELED),
    (S.NEW, S.REJECTED),
    (S.WORKING, S.WORKING),
    (S.WORKING, S.PARTIALLY_FILLED),
    (S.WORKING, S.FILLED),
    (S.WORKING, S.CANCELED),
    (S.WORKING, S.REJECTED),
    (S.WORKING, S.EXPIRED),
    (S.PARTIALLY_FILLED, S.PARTIALLY_FILLED),
    (S.PARTIALLY_FILLED, S.FILLED),
    (S.PARTIALLY_FILLED, S.CANCELED),
    (S.PARTIALLY_FILLED, S.EXPIRED),
}


def order(status: OrderStatus) -> Order:
    return Order(
        id=1,
        client_order_id="1",
        symbol="EURUSD",
        side=Side.BUY,
        type=OrderType.LIMIT,
        volume=Decimal(1),
        status=status,
        created_at=NOON,
    )


@pytest.mark.parametrize(("before", "after"), list(product(S, S)), ids=lambda status: status.value)
def test_each_pair_of_statuses_is_a_step_or_an_error(before, after):
    moved = order(before)

    if (before, after) in STEPS:
        moved.move(after)
        assert moved.status is after
    else:
        with pytest.raises(ValueError, match=f"cannot go from {before} to {after}"):
            moved.move(after)
        assert moved.status is before


def test_what_is_final_stays_so():
    assert set(S) - set(TRANSITIONS) == FINAL


def test_every_status_but_the_first_can_be_reached():
    reached, grown = {S.NEW}, True
    while grown:
        following = {after for before in reached for after in TRANSITIONS.get(before, ())}
        grown = not following <= reached
        reached |= following

    assert reached == set(S)
