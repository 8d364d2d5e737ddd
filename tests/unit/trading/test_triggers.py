"""The ladder of waiting prices: who is reached by which quote, in which order, and that it stays small."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.groups.domain.terms import Terms, client_quote, resolve
from apps.market.domain.quotes import Quote
from apps.trading.domain import triggers
from apps.trading.domain.orders import OrderType, Side
from apps.trading.domain.triggers import (
    Entry,
    GuardedPosition,
    Key,
    Ladder,
    Reach,
    Waiting,
    WaitingOrder,
)
from tests.factories.books import GROUP, NOON, SYMBOLS

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


def terms(bid_points: str = "0", ask_points: str = "0") -> Terms:
    group = replace(GROUP, markup_bid_points=D(bid_points), markup_ask_points=D(ask_points))
    return resolve(symbol=SYMBOLS["EURUSD"], group=group, override=None, version=1)


def quote(bid: str, ask: str) -> Quote:
    return Quote("EURUSD", D(bid), D(ask), 0)


def order(side: Side, waits_as: OrderType, price: str, *, id: int = 1) -> WaitingOrder:
    return WaitingOrder(id=id, account_id=7, side=side, waits_as=waits_as, waits_for=D(price))


@pytest.mark.parametrize(
    ("side", "waits_as", "short_of", "reached"),
    [
        (BUY, OrderType.STOP, ("1.10010", "1.10019"), ("1.10010", "1.10020")),
        (BUY, OrderType.LIMIT, ("1.10010", "1.10021"), ("1.10010", "1.10020")),
        (SELL, OrderType.STOP, ("1.10021", "1.10030"), ("1.10020", "1.10030")),
        (SELL, OrderType.LIMIT, ("1.10019", "1.10030"), ("1.10020", "1.10030")),
    ],
)
def test_buys_wait_on_the_ask_and_sells_on_the_bid(side, waits_as, short_of, reached):
    ladder = Ladder([triggers.of_order(order(side, waits_as, "1.10020"), terms())])

    assert not ladder.is_reached(quote(*short_of))
    assert ladder.is_reached(quote(*reached))
    assert ladder.take(quote(*short_of)) == []
    assert [entry.key for entry in ladder.take(quote(*reached))] == [Key(Waiting.ORDER, 1)]
    assert not ladder.is_reached(quote(*reached))  # taken once


@pytest.mark.parametrize(
    ("side", "stop_loss", "take_profit"),
    [
        (BUY, ("1.09000", "1.30000"), ("1.12000", "1.12001")),  # on the bid
        (SELL, ("0.90000", "1.12000"), ("1.08999", "1.09000")),  # on the ask
    ],
)
def test_stops_of_a_position_are_on_its_closing_side(side, stop_loss, take_profit):
    stop, target = ("1.09", "1.12") if side is BUY else ("1.12", "1.09")
    held = GuardedPosition(id=5, account_id=7, side=side, stop_loss=D(stop), take_profit=D(target))

    for price, waiting in ((stop_loss, Waiting.STOP_LOSS), (take_profit, Waiting.TAKE_PROFIT)):
        ladder = Ladder(triggers.of_position(held, terms()))
        assert [entry.key for entry in ladder.take(quote(*price))] == [Key(waiting, 5)]


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("waits_as", [OrderType.LIMIT, OrderType.STOP])
def test_raw_threshold_is_where_the_clients_price_is_reached(side, waits_as):
    widened = terms("3", "5")
    ladder = Ladder([triggers.of_order(order(side, waits_as, "1.10020"), widened)])

    for points in range(-12, 13):
        raw = quote(str(D("1.10020") + points * D("0.00001")), str(D("1.10021") + points * D("0.00001")))
        shown = client_quote(raw=raw, terms=widened)
        price = shown.ask if side is BUY else shown.bid
        rises = (side is BUY) is (waits_as is OrderType.STOP)
        assert ladder.is_reached(raw) is (price >= D("1.10020") if rises else price <= D("1.10020"))


def test_groups_with_other_markups_share_a_ladder_and_the_wider_one_is_reached_first():
    ladder = Ladder(
        [
            triggers.of_order(order(SELL, OrderType.STOP, "1.10000", id=1), terms()),
            triggers.of_order(order(SELL, OrderType.STOP, "1.10000", id=2), terms(bid_points="4")),
        ]
    )

    assert [entry.key.id for entry in ladder.take(quote("1.10004", "1.10020"))] == [2]
    assert [entry.key.id for entry in ladder.take(quote("1.10000", "1.10020"))] == [1]


@pytest.mark.parametrize(
    ("side", "stop_loss", "short_of", "reached"),
    [
        # the bid less 100 points passes the stop at 1.09900 by one point at 1.10001
        (BUY, "1.09900", ("1.10000", "1.10010"), ("1.10001", "1.10010")),
        (SELL, "1.10100", ("1.09990", "1.10000"), ("1.09990", "1.09999")),
    ],
)
def test_trailing_stop_is_reached_by_the_price_that_pulls_it_one_point(side, stop_loss, short_of, reached):
    held = GuardedPosition(id=5, account_id=7, side=side, stop_loss=D(stop_loss), trailing_points=100)
    ladder = Ladder(entry for entry in triggers.of_position(held, terms()))

    assert not ladder.is_reached(quote(*short_of))
    assert [entry.key for entry in ladder.take(quote(*reached))] == [Key(Waiting.TRAILING, 5)]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_trailing_distance_without_a_stop_is_reached_by_any_quote(side):
    held = GuardedPosition(id=5, account_id=7, side=side, trailing_points=100)

    ladder = Ladder(triggers.of_position(held, terms("2", "2")))

    assert len(ladder.take(quote("1.1", "1.1"))) == 1


def test_hits_come_in_the_order_in_which_the_price_reached_them_then_by_ticket():
    ladder = Ladder()
    for number, price in ((4, "1.09990"), (9, "1.09995"), (2, "1.09995"), (1, "1.09980"), (7, "1.09970")):
        ladder.put(triggers.of_order(order(SELL, OrderType.STOP, price, id=number), terms()))
    ladder.put(triggers.of_order(order(BUY, OrderType.LIMIT, "1.10002", id=3), terms()))  # passed by 0.00021

    taken = ladder.take(quote("1.09980", "1.09981"))

    assert [entry.key.id for entry in taken] == [3, 2, 9, 4, 1]
    assert len(ladder) == 1


def test_at_one_price_who_waits_longest_comes_first_whatever_the_tickets_say():
    ladder = Ladder()
    for number, minute in ((2050, 1), (1030, 2), (5, 3)):  # three processes, each with tickets of its own
        waiting = replace(
            order(SELL, OrderType.STOP, "1.09500", id=number),
            since=datetime(2026, 11, 18, 12, minute, tzinfo=UTC),
        )
        ladder.put(triggers.of_order(waiting, terms()))

    assert [entry.key.id for entry in ladder.take(quote("1.09400", "1.09410"))] == [2050, 1030, 5]


def test_putting_an_entry_again_replaces_it():
    ladder = Ladder()
    for price in ("1.09990", "1.09950"):
        ladder.put(triggers.of_order(order(SELL, OrderType.STOP, price), terms()))

    assert len(ladder) == 1
    assert not ladder.is_reached(quote("1.09990", "1.10000"))
    assert ladder.is_reached(quote("1.09950", "1.10000"))


def test_removing_what_is_not_there_changes_nothing():
    ladder = Ladder()

    ladder.remove(Key(Waiting.ORDER, 1))

    assert len(ladder) == 0


def test_prices_that_are_gone_are_forgotten():
    ladder = Ladder(
        triggers.of_order(order(BUY, OrderType.LIMIT, "1.00000", id=number), terms()) for number in range(10)
    )
    for number in range(5_000):
        price = str(D("1.05") - number * D("0.00001"))
        ladder.put(triggers.of_order(order(BUY, OrderType.LIMIT, price, id=99), terms()))

    assert len(ladder) == 11
    assert ladder.prices_kept < 100


def test_expiry_and_activation_stay_with_the_entry():
    waiting = replace(order(BUY, OrderType.STOP, "1.2"), activates=True, expires_at=NOON)

    entry = triggers.of_order(waiting, terms())

    assert (entry.activates, entry.expires_at, entry.account_id) == (True, NOON, 7)


def test_of_several_quotes_the_first_that_reaches_an_order_sets_it_off():
    entry = triggers.of_order(order(SELL, OrderType.STOP, "1.10000"), terms())
    quotes = [quote("1.10001", "1.2"), quote("1.09990", "1.2"), quote("1.09000", "1.2")]

    assert triggers.first_to_reach(entry, quotes) == quotes[1]
    assert triggers.first_to_reach(entry, quotes[:1]) is None


@pytest.mark.parametrize(
    ("side", "bids", "chosen"),
    [
        (BUY, ["1.10000", "1.10050", "1.10080", "1.10070"], 2),  # the best one
        (BUY, ["1.10050", "1.10000", "1.09950", "1.10200"], 0),  # fell back by 100 points: then it was hit
        (SELL, ["1.10000", "1.09900", "1.09850", "1.09860"], 2),
        (SELL, ["1.09900", "1.09950", "1.10000", "1.09000"], 0),
    ],
)
def test_of_several_quotes_the_best_before_a_fall_pulls_a_trailing_stop(side, bids, chosen):
    stop = "1.09910" if side is BUY else "1.10090"
    held = GuardedPosition(id=5, account_id=7, side=side, stop_loss=D(stop), trailing_points=100)
    entry = next(e for e in triggers.of_position(held, terms()) if e.key.waiting is Waiting.TRAILING)
    quotes = [quote(bid, bid) for bid in bids]

    assert triggers.first_to_reach(entry, iter(quotes)) == quotes[chosen]


PRICES = st.integers(min_value=0, max_value=20).map(lambda points: D("1.10000") + points * D("0.00001"))
STEPS = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 6), st.sampled_from(list(Reach)), PRICES),
    st.tuples(st.just("remove"), st.integers(1, 6)),
    st.tuples(st.just("tick"), PRICES, st.integers(0, 5)),
)


@given(steps=st.lists(STEPS, max_size=60))
def test_ladder_agrees_with_looking_at_every_entry(steps):
    ladder, plain = Ladder(), dict[Key, Entry]()
    for step in steps:
        if step[0] == "put":
            key = Key(Waiting.ORDER, step[1])
            plain[key] = Entry(key, 1, "EURUSD", step[2], step[3], step[3])
            ladder.put(plain[key])
        elif step[0] == "remove":
            plain.pop(Key(Waiting.ORDER, step[1]), None)
            ladder.remove(Key(Waiting.ORDER, step[1]))
        else:
            tick = Quote("EURUSD", step[1], step[1] + step[2] * D("0.00001"), 0)
            reached = [entry for entry in plain.values() if entry.is_reached_by(tick)]
            reached.sort(key=lambda entry: (-triggers.passed_by(entry, tick), entry.key.id))
            assert ladder.is_reached(tick) is bool(reached)
            assert ladder.take(tick) == reached
            for entry in reached:
                del plain[entry.key]
        assert len(ladder) == len(plain)
        assert all(ladder.get(key) is entry for key, entry in plain.items())
