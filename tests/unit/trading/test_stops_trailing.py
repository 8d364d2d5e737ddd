"""Trailing stops: where they begin, how they follow the market, and that they never loosen."""

from decimal import Decimal

import pytest

from apps.groups.domain.terms import PositionMode
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.triggers import TriggerVoid
from tests.factories.books import (
    NEVER,
    NOON,
    at,
    buy,
    buy_limit,
    buy_stop,
    modify_position,
    sell,
    sell_limit,
    trail,
    trigger,
    trigger_stop,
)

D = Decimal

# The market is 1.10000 / 1.10017: the stop of a buy follows the bid, that of a sell the ask.


@pytest.mark.parametrize(
    ("opened", "points", "stop"),
    [(buy, 100, "1.09900"), (sell, 100, "1.10117"), (buy, 200_000, "0.00001"), (sell, 200_000, "3.10017")],
)
def test_a_trailing_distance_sets_the_first_stop(make_book, market, opened, points, stop):
    book = make_book()
    position_id = book.apply(opened("EURUSD", lots="1"), market=market, now=NOON).order.position_id

    outcome = book.apply(modify_position(position_id, trailing_points=points), market=market, now=NOON)

    assert outcome.payload["position"]["stop_loss"] == stop
    assert outcome.payload["position"]["trailing_points"] == points


@pytest.fixture
def trailing(make_book, market):
    """Return a function that makes a book with one position that trails by 100 points."""

    def made(opened):
        book = make_book()
        position_id = book.apply(opened("EURUSD", lots="1"), market=market, now=NOON).order.position_id
        book.apply(modify_position(position_id, trailing_points=100), market=market, now=NOON)
        return book, position_id

    return made


@pytest.mark.parametrize(
    ("opened", "quote", "stop"),
    [
        (buy, at("1.10001", "1.10500"), "1.09901"),
        (buy, at("1.11000", "1.11017"), "1.10900"),
        (sell, at("1.09000", "1.10016"), "1.10116"),
        (sell, at("1.08983", "1.09000"), "1.09100"),
    ],
)
def test_the_stop_follows_the_side_that_would_close(trailing, market, opened, quote, stop):
    book, position_id = trailing(opened)

    outcome = book.apply(trail(position_id, quote), market=market, now=NOON)

    assert (outcome.type, outcome.payload["cause"]) == ("position_modified", "trailing")
    assert outcome.payload["position"]["stop_loss"] == stop
    assert book.positions[position_id].stop_loss == D(stop)


@pytest.mark.parametrize(
    ("opened", "quote"),
    [
        (buy, at("1.10000", "1.12000")),  # the bid has not moved
        (buy, at("1.09950", "1.09967")),
        (sell, at("1.08000", "1.10017")),
        (sell, at("1.10050", "1.10067")),
    ],
)
def test_the_stop_never_loosens(trailing, market, opened, quote):
    book, position_id = trailing(opened)
    before = book.positions[position_id]

    with pytest.raises(TriggerVoid):
        book.apply(trail(position_id, quote), market=market, now=NOON)

    assert (book.positions[position_id], book.account.seq) == (before, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"symbols": {"EURUSD": {"calendar": NEVER}}},
        {"symbols": {"EURUSD": {"trade_mode": TradeMode.DISABLED}}},
        {"symbols": {"EURUSD": {"quote_age_max_ms": -1}}},
    ],
    ids=["closed", "disabled", "stale"],
)
def test_the_stop_does_not_follow_what_cannot_be_traded(trailing, make_market, changes):
    book, position_id = trailing(buy)

    with pytest.raises(TriggerVoid):
        book.apply(trail(position_id, at("1.11000", "1.11017")), market=make_market(**changes), now=NOON)


def test_what_does_not_trail_is_left_alone(make_book, market):
    book = make_book()
    opened = book.apply(buy("EURUSD", lots="1", stop_loss=D("1.09000")), market=market, now=NOON).order

    for position_id in (opened.position_id, 99):
        with pytest.raises(TriggerVoid):
            book.apply(trail(position_id, at("1.11000", "1.11017")), market=market, now=NOON)


def test_a_pulled_stop_closes_at_the_quote_that_falls_back(trailing, market):
    book, position_id = trailing(buy)
    book.apply(trail(position_id, at("1.11000", "1.11017")), market=market, now=NOON)

    outcome = book.apply(
        trigger_stop(position_id, "1.10900", at("1.10895", "1.10912")), market=market, now=NOON
    )

    assert (outcome.order.average_price, outcome.order.deals[0].profit) == (D("1.10895"), D("878.00"))


def test_a_distance_taken_away_leaves_the_stop_where_it_is(trailing, market):
    book, position_id = trailing(buy)

    book.apply(modify_position(position_id, trailing_points=None), market=market, now=NOON)

    position = book.positions[position_id]
    assert (position.trailing_points, position.stop_loss) == (None, D("1.09900"))


@pytest.mark.parametrize(("stop", "kept"), [("1.09950", "1.09950"), ("1.09000", "1.09900")])
def test_a_stop_set_by_hand_is_never_farther_than_the_distance(trailing, market, stop, kept):
    book, position_id = trailing(buy)

    book.apply(modify_position(position_id, stop_loss=stop), market=market, now=NOON)

    assert book.positions[position_id].stop_loss == D(kept)


def test_a_markup_of_half_a_point_leaves_the_stop_on_the_grid(make_book, make_market):
    market = make_market(group={"markup_bid_points": D("0.5")})
    book = make_book()
    opened = book.apply(buy("EURUSD", lots="1"), market=market, now=NOON).order

    outcome = book.apply(modify_position(opened.position_id, trailing_points=100), market=market, now=NOON)

    assert outcome.payload["position"]["stop_loss"] == "1.09900"  # 1.099995 - 0.00100, rounded


# --- on orders, and then on their positions --------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "quote", "stop"),
    [
        (buy_stop("1.10500", trailing_points=100), at("1.10483", "1.10500"), "1.10383"),
        (buy_limit("1.09500", trailing_points=100), at("1.09400", "1.09417"), "1.09300"),
        (sell_limit("1.10500", trailing_points=100), at("1.10500", "1.10517"), "1.10617"),
        (buy_stop("1.10500", trailing_points=100, stop_loss="1.10450"), at("1.10483", "1.10500"), "1.10450"),
        (buy_stop("1.10500", trailing_points=100, stop_loss="1.09000"), at("1.10483", "1.10500"), "1.10383"),
    ],
)
def test_an_order_hands_its_distance_to_its_position(make_book, market, command, quote, stop):
    book = make_book()
    book.apply(command, market=market, now=NOON)

    outcome = book.apply(trigger(1, str(command.price), quote), market=market, now=NOON)

    (position,) = book.positions.values()
    assert (position.trailing_points, position.stop_loss) == (100, D(stop))
    assert outcome.payload["position"]["stop_loss"] == stop
    assert outcome.payload["order"]["stop_loss"] == stop


def test_an_order_that_fills_at_once_trails_from_the_start(make_book, market):
    book = make_book()

    book.apply(buy_limit("1.20000", trailing_points=100), market=market, now=NOON)

    assert [position.stop_loss for position in book.positions.values()] == [D("1.09900")]


@pytest.mark.parametrize(
    ("more", "stop"),
    [
        ({"trailing_points": 500}, "1.09900"),  # what is held keeps its nearer stop
        ({"trailing_points": 50}, "1.09950"),
        ({"stop_loss": "1.09000"}, "1.09000"),  # asked for by name
        ({}, "1.09900"),
    ],
)
def test_what_joins_a_net_position_does_not_loosen_its_trailing_stop(make_book, market, more, stop):
    book = make_book(mode=PositionMode.NETTING)
    book.apply(buy_limit("1.20000", trailing_points=100), market=market, now=NOON)

    outcome = book.apply(buy_limit("1.20000", **more), market=market, now=NOON)

    (position,) = book.positions.values()
    assert (outcome.order.status, position.volume, position.stop_loss) == ("filled", D(2), D(stop))


def test_what_turns_a_net_position_begins_a_trail_of_its_own(make_book, market):
    book = make_book(mode=PositionMode.NETTING)
    book.apply(buy_limit("1.20000", trailing_points=100), market=market, now=NOON)

    book.apply(sell_limit("1.00000", lots="2", trailing_points=300), market=market, now=NOON)

    (position,) = book.positions.values()
    assert (position.side, position.trailing_points, position.stop_loss) == ("sell", 300, D("1.10317"))
