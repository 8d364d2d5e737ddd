"""Closing positions: parts to the lot step, first in first out, all at once, and never a matter of money."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest

from apps.groups.domain.terms import Override, PositionMode
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.book import AccountBook
from apps.trading.domain.filling import SymbolNotOffered
from tests.factories.books import (
    DEALER,
    ENGINE,
    NEVER,
    NOON,
    buy,
    close,
    close_all,
    sell,
    swaps,
)

D = Decimal


@pytest.fixture
def opened(make_book, market):
    """Return a function that makes a book with positions from orders."""

    def made(*commands, **facts):
        book = make_book(**{"balance": "100000", **facts})
        for command in commands:
            assert book.apply(command, market=market, now=NOON).refusal is None
        return book

    return made


# --- parts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lots", "reason"),
    [
        ("0.01", None),
        ("0.99", None),
        ("1.00", None),
        ("0.009", "invalid_volume"),
        ("0.015", "invalid_volume"),
        ("1.01", "invalid_volume"),
        ("0", "invalid_volume"),
        ("-1", "invalid_volume"),
    ],
)
def test_a_part_is_on_the_lot_step_and_no_more_than_is_held(opened, market, lots, reason):
    book = opened(buy("EURUSD", lots="1"))
    (position_id,) = book.positions

    outcome = book.apply(close(position_id, lots=lots), market=market, now=NOON)

    assert outcome.refusal == reason
    left = sum((position.volume for position in book.positions.values()), D(0))
    assert left == (D(1) if reason else D(1) - D(lots))


def test_parts_add_up_to_the_whole(opened, make_market, market):
    """Three parts of a position with swap: what each rounds away, the last one brings."""
    book = opened(buy("EURUSD", lots="1"))
    (position_id,) = book.positions
    book.apply(swaps((position_id, "-10.00")), market=market, now=NOON)

    parts = [
        book.apply(close(position_id, lots=lots), market=market, now=NOON).order.deals[0]
        for lots in ("0.33", "0.33", "0.34")
    ]

    assert [part.swap for part in parts] == [D("-3.30"), D("-3.30"), D("-3.40")]
    assert [part.profit for part in parts] == [D("-5.61"), D("-5.61"), D("-5.78")]
    assert (book.account.balance, book.account.margin) == (D("99973.00"), 0)


@pytest.mark.parametrize("limits", [{"volume_min": D("0.5")}, {"volume_max": D("0.5")}])
def test_a_whole_position_may_always_close_whatever_the_limits_are_now(opened, make_market, limits):
    book = opened(buy("EURUSD", lots="0.3"), sell("GBPUSD", lots="2"))
    market = make_market(symbols={"EURUSD": limits, "GBPUSD": limits})

    for position_id in list(book.positions):
        assert book.apply(close(position_id), market=market, now=NOON).order.status == "filled"


# --- first in, first out ---------------------------------------------------------------------------------


@pytest.fixture
def fifo(make_market):
    """A market of a group that closes first in, first out."""
    return make_market(group={"closes_fifo": True})


def test_only_a_sides_oldest_position_may_close(opened, fifo):
    book = opened(buy("EURUSD", lots="1"), buy("EURUSD", lots="1"), sell("EURUSD", lots="1"))
    oldest, newer, other_side = book.positions

    assert book.apply(close(newer), market=fifo, now=NOON).refusal == "fifo_violation"
    assert book.apply(close(newer, lots="0.1"), market=fifo, now=NOON).refusal == "fifo_violation"
    for position_id in (other_side, oldest, newer):
        assert book.apply(close(position_id), market=fifo, now=NOON).order.status == "filled"


def test_another_symbol_has_a_queue_of_its_own(opened, fifo):
    book = opened(buy("EURUSD", lots="1"), buy("GBPUSD", lots="1"))

    assert book.apply(close(max(book.positions)), market=fifo, now=NOON).order.status == "filled"


@pytest.mark.parametrize(("actor", "refusal"), [(DEALER, "fifo_violation"), (ENGINE, None)])
def test_the_queue_binds_whoever_closes_by_hand(opened, fifo, actor, refusal):
    book = opened(buy("EURUSD", lots="1"), buy("EURUSD", lots="1"))

    assert book.apply(close(max(book.positions), actor=actor), market=fifo, now=NOON).refusal == refusal


@pytest.fixture
def numbered_backwards(make_book, market):
    """A book whose older position has the greater number: two processes took numbers from their blocks."""
    book = make_book(balance="100000")
    numbers = iter([*range(1000, 1003), *range(10, 13), *range(2000, 3000)])
    book = AccountBook(account=book.account, tickets=numbers)
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    (older,) = book.positions
    book.positions[older] = replace(book.positions[older], opened_at=NOON - timedelta(hours=1))
    first = book.positions[older]
    again = AccountBook(account=book.account, positions=[first], tickets=numbers)
    again.apply(buy("EURUSD", lots="2"), market=market, now=NOON)
    return again, older, min(again.positions)


def test_age_is_told_by_time_not_by_number(numbered_backwards, fifo):
    book, older, newer = numbered_backwards

    assert newer < older
    assert book.apply(close(newer), market=fifo, now=NOON).refusal == "fifo_violation"
    assert book.apply(close(older), market=fifo, now=NOON).order.status == "filled"


def test_close_all_begins_with_the_oldest(numbered_backwards, fifo):
    book, older, newer = numbered_backwards

    outcome = book.apply(close_all(), market=fifo, now=NOON)

    assert [order.position_id for order in outcome.orders] == [older, newer]
    assert outcome.payload["failed"] == []


# --- all at once -----------------------------------------------------------------------------------------


def test_close_all_closes_everything_in_one_event(opened, market):
    book = opened(buy("EURUSD", lots="1"), sell("EURUSD", lots="0.5"), buy("USDJPY", lots="0.1"))
    before = list(book.positions)

    outcome = book.apply(close_all(), market=market, now=NOON)

    assert (outcome.type, outcome.refusal, outcome.payload["failed"]) == ("positions_closed", None, [])
    assert [order.position_id for order in outcome.orders] == before
    assert [order.client_order_id for order in outcome.orders] == [f"#{order.id}" for order in outcome.orders]
    assert [order.deals[0].profit for order in outcome.orders] == [D("-17.00"), D("-8.50"), D("-1.33")]
    assert (book.positions, book.account.margin, book.account.balance) == ({}, 0, D("99973.17"))
    assert sum(line.amount for line in outcome.lines) == 0


def test_close_all_of_one_symbol_leaves_the_others(opened, market):
    book = opened(buy("EURUSD", lots="1"), buy("USDJPY", lots="0.1"), sell("EURUSD", lots="1"))

    outcome = book.apply(close_all("EURUSD"), market=market, now=NOON)

    assert len(outcome.orders) == 2
    assert [position.symbol for position in book.positions.values()] == ["USDJPY"]


def test_what_cannot_close_now_is_named_and_stays(opened, make_market):
    book = opened(
        buy("EURUSD", lots="1"), buy("USDJPY", lots="1"), buy("GBPUSD", lots="1"), buy("EURGBP", lots="1")
    )
    eurusd, usdjpy, gbpusd, eurgbp = book.positions
    market = make_market(
        symbols={
            "EURUSD": {"calendar": NEVER},
            "USDJPY": {"trade_mode": TradeMode.DISABLED},
            "GBPUSD": {"quote_age_max_ms": 0},  # EURGBP needs it for its profit
        },
        age_ms=10,
    )

    outcome = book.apply(close_all(), market=market, now=NOON)

    assert outcome.payload["failed"] == [
        {"position_id": eurusd, "reject_reason": "market_closed"},
        {"position_id": usdjpy, "reject_reason": "trade_disabled"},
        {"position_id": gbpusd, "reject_reason": "off_quotes"},
        {"position_id": eurgbp, "reject_reason": "off_quotes"},
    ]
    assert (outcome.type, outcome.orders, outcome.payload["orders"]) == ("positions_closed", [], [])
    assert list(book.positions) == [eurusd, usdjpy, gbpusd, eurgbp]


def test_some_close_and_some_do_not(opened, make_market):
    book = opened(buy("EURUSD", lots="1"), buy("USDJPY", lots="1"), buy("EURUSD", lots="2"))
    first, stays, last = book.positions
    made = set(book.made)

    outcome = book.apply(close_all(), market=make_market(symbols={"USDJPY": {"calendar": NEVER}}), now=NOON)

    assert [order.position_id for order in outcome.orders] == [first, last]
    assert [failed["position_id"] for failed in outcome.payload["failed"]] == [stays]
    assert book.made - made == {order.id for order in outcome.orders}


def test_close_all_of_nothing_says_so(make_book, market):
    outcome = make_book().apply(close_all(), market=market, now=NOON)

    assert (outcome.type, outcome.orders, outcome.lines) == ("positions_closed", [], [])


def test_close_all_of_an_unknown_symbol_is_an_error(opened, market):
    book = opened(buy("EURUSD", lots="1"))

    with pytest.raises(SymbolNotOffered):
        book.apply(close_all("EURUSDX"), market=market, now=NOON)

    assert len(book.positions) == 1


def test_close_all_takes_a_symbol_that_is_no_longer_offered(opened, make_market):
    book = opened(buy("EURUSD", lots="1"))

    withdrawn = make_market(overrides={"EURUSD": Override(is_offered=False)})
    outcome = book.apply(close_all("EURUSD"), market=withdrawn, now=NOON)

    assert len(outcome.orders) == 1


def test_close_all_reserves_two_numbers_for_each_position(opened):
    book = opened(*(buy("EURUSD", lots="0.01") for _ in range(40)))
    numbers = count(10_000)
    book._tickets = numbers

    assert book.tickets_for(close_all()) >= 80


# --- never a matter of money -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", [close, close_all], ids=["close", "close_all"])
@pytest.mark.parametrize(
    "facts", [{"status": "close_only"}, {"balance": D(-50000)}], ids=["close only", "no equity"]
)
def test_what_reduces_risk_is_never_refused(opened, make_market, command, facts):
    book = opened(buy("EURUSD", lots="1"))
    for name, value in facts.items():
        setattr(book.account, name, value)
    crash = make_market(
        quotes={"EURUSD": ("0.90000", "0.90017")}, symbols={"EURUSD": {"trade_mode": TradeMode.CLOSE_ONLY}}
    )

    outcome = book.apply(command(*book.positions) if command is close else command(), market=crash, now=NOON)

    assert (outcome.order.status, book.positions) == ("filled", {})


def test_a_net_position_may_be_sold_down_without_money(make_book, make_market):
    book = make_book(mode=PositionMode.NETTING, balance="1200")
    book.apply(buy("EURUSD", lots="1"), market=make_market(), now=NOON)
    crash = make_market(quotes={"EURUSD": ("0.90000", "0.90017")})

    reduced = book.apply(sell("EURUSD", lots="0.4"), market=crash, now=NOON)
    # at 0.90017 the margin of the whole falls from 660.10 to 549.10, but there is nothing to carry it
    added = book.apply(buy("EURUSD", lots="0.01"), market=crash, now=NOON)
    turned = book.apply(sell("EURUSD", lots="1.2"), market=crash, now=NOON)
    closed = book.apply(sell("EURUSD", lots="0.6"), market=crash, now=NOON)

    assert (reduced.order.status, closed.order.status) == ("filled", "filled")
    assert (added.refusal, turned.refusal) == ("no_money", "no_money")


def test_a_smaller_opposite_position_needs_no_money_but_a_larger_one_does(make_book, make_market):
    free = {"EURUSD": {"hedged_contract_size": D(0)}}
    book = make_book(balance="1200")
    book.apply(buy("EURUSD", lots="1"), market=make_market(symbols=free), now=NOON)
    crash = make_market(symbols=free, quotes={"EURUSD": ("0.90000", "0.90017")})

    larger = book.apply(sell("EURUSD", lots="2.01"), market=crash, now=NOON)
    smaller = book.apply(sell("EURUSD", lots="1"), market=crash, now=NOON)

    assert (larger.refusal, smaller.order.status) == ("no_money", "filled")


# --- nights ----------------------------------------------------------------------------------------------


def test_a_night_is_carried_by_what_is_open_and_paid_by_what_has_closed(opened, market):
    book = opened(buy("EURUSD", lots="1"), buy("EURUSD", lots="1"))
    gone, held = book.positions
    book.apply(close(gone), market=market, now=NOON)
    balance = book.account.balance

    outcome = book.apply(swaps((gone, "-3.00"), (held, "-4.00")), market=market, now=NOON)

    assert [(one.due.position_id, one.is_settled) for one in outcome.swaps] == [(gone, True), (held, False)]
    assert (book.account.balance - balance, book.positions[held].swap) == (D("-3.00"), D("-4.00"))
    assert [(line.ledger.value, line.amount) for line in outcome.lines] == [
        ("client", D("-3.00")),
        ("swap", D("3.00")),
    ]
    assert book.valuation(market).equity == balance - 3 - 4 - 17
