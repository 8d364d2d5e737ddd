"""The monitor's portfolio against the book's own valuation, to well below a cent, whatever happens to it."""

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from apps.market.domain.quotes import Quote
from apps.risk.services import monitor_status
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.orders import Side
from tests.factories.books import NOON_MS
from tests.factories.portfolios import (
    GROUPS,
    House,
    account,
    moved,
    position,
    quote,
    random_holdings,
    terms_of,
)

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
TOLERANCE = 1e-6


def agree(house: House) -> None:
    """Compare every account with its Decimal valuation."""
    for account_id in house.held:
        value = house.value(account_id)
        assert value is not None
        assert house.equity(account_id) == pytest.approx(float(value.equity), abs=TOLERANCE)


@pytest.mark.parametrize("seed", range(12))
def test_values_are_those_of_the_book_after_any_history(seed: int) -> None:
    chance = random.Random(seed)
    house = House()
    for id_ in range(1, 31):
        house.put(random_holdings(chance, id_, id_ * 100))
    agree(house)
    for step in range(60):
        what = chance.random()
        if what < 0.5:
            house.tick(*(moved(chance) for _ in range(chance.randint(1, 3))))
        elif what < 0.95:
            id_ = chance.randint(1, 35)
            changed = random_holdings(chance, id_, id_ * 100 + chance.randint(0, 3))
            house.put(changed)
        else:
            markup = D(chance.randint(0, 30))
            wider = {id_: replace(group, markup_bid_points=markup) for id_, group in GROUPS.items()}
            house.take_terms(terms_of(wider, version=step + 2))
        agree(house)
    assert house.portfolio.recompute() < TOLERANCE


@pytest.mark.parametrize("seed", range(4))
def test_candidates_are_all_that_the_book_would_stop_out(seed: int) -> None:
    chance = random.Random(1000 + seed)
    house = House()
    for id_ in range(1, 201):
        house.put(random_holdings(chance, id_, id_ * 100))
    house.tick(*(moved(chance) for _ in range(6)))

    found = house.portfolio.look(now_ms=NOON_MS)

    below = set()
    for id_, held in house.held.items():
        value, group = house.value(id_), GROUPS[held.account.group_id]
        assert value is not None
        if held.account.margin:
            is_below = value.equity * 100 <= held.account.margin * group.stop_out_pct
        else:
            is_below = bool(held.positions) and value.equity <= 0
        owes = not held.positions and held.account.balance < 0 and group.protects_balance
        if is_below or owes:
            below.add(id_)
    assert below
    assert set(found.stop) == below  # none is near enough to a level to be one cent off


def test_the_worst_comes_first() -> None:
    house = House()
    for id_, balance in ((1, "700"), (2, "200"), (3, "500")):
        held = Holdings(account=account(id_, balance=balance), positions=[long(id_)])
        held.account.margin = D(1100)
        house.put(held)

    found = house.tick(quote("EURUSD", "1.09500", "1.09517"))

    assert found.stop == [2, 3, 1]  # equities -300, 0, 200 on a margin of 1,100


def long(id_: int, lots: str = "1.00", **more: Any) -> Any:
    return position(id_, "EURUSD", BUY, lots, "1.10000", **more)


@pytest.mark.parametrize(
    ("bid", "stop", "call"),
    [("1.09600", [], []), ("1.09599", [], [1]), ("1.09051", [], [1]), ("1.09050", [1], [1])],
)
def test_levels_are_reached_to_the_cent(bid: str, stop: list[int], call: list[int]) -> None:
    house = House()
    held = Holdings(account=account(balance="1499.50"), positions=[long(1)])
    held.account.margin = D(1099)
    house.put(held)

    found = house.tick(quote("EURUSD", bid, "1.10017"))

    # 1.09600: 1,099.50; 1.09599: 1,098.50 (called at 1,099); 1.09051: 550.50; 1.09050: 549.50 (549.50)
    assert (found.stop, found.call) == (stop, call)


@pytest.mark.parametrize(("ask", "stop"), [("1.10016", []), ("1.10017", [1]), ("1.10020", [1])])
def test_a_hedge_without_margin_is_stopped_out_when_its_equity_is_gone(ask: str, stop: list[int]) -> None:
    house = House(quotes={"EURUSD": quote("EURUSD", "1.10000", "1.10000")})
    hedge = [long(1), position(2, "EURUSD", SELL, "1.00", "1.10000")]
    house.put(Holdings(account=account(balance="17"), positions=hedge))

    found = house.tick(quote("EURUSD", "1.10000", ask))  # the short loses what the spread is

    assert found.stop == stop


def test_a_debt_without_positions_is_found_where_the_group_protects() -> None:
    house = House()

    protected = house.put(Holdings(account=account(1, group=GROUPS[4], balance="-300")))
    not_protected = house.put(Holdings(account=account(2, group=GROUPS[1], balance="-300")))

    assert (protected.stop, not_protected.stop) == ([1], [])


def test_what_has_no_price_is_counted_not_judged_and_comes_back() -> None:
    house = House(quotes={"EURUSD": quote("EURUSD", "1.10000", "1.10017")})
    held = Holdings(
        account=account(balance="100"), positions=[long(1), position(2, "USDJPY", BUY, "1", "150.000")]
    )
    held.account.margin = D(2100)
    found = house.put(held)
    assert (found.stop, house.portfolio.blind) == ([], 1)
    assert house.portfolio.blind_symbols() == ["USDJPY"]
    assert monitor_status.figures(house.portfolio).without_price == 1
    assert house.portfolio.look(now_ms=NOON_MS).stop == []

    found = house.tick(quote("USDJPY", "150.000", "150.020"))

    assert (found.stop, house.portfolio.blind) == ([1], 0)
    agree(house)


def test_a_conversion_that_goes_below_zero_by_markup_makes_blind() -> None:
    house = House()
    held = Holdings(account=account(), positions=[position(1, "USDJPY", BUY, "1", "151.000")])
    house.put(held)
    house.tick(quote("USDJPY", "0.001", "0.002"))
    assert house.portfolio.blind == 0

    wide = {id_: replace(group, markup_bid_points=D(500)) for id_, group in GROUPS.items()}
    house.take_terms(terms_of(wide, version=2))

    assert house.portfolio.blind == 1
    house.take_terms(terms_of(version=3))
    assert house.portfolio.blind == 0


def test_money_that_is_not_a_number_is_counted_as_without_value() -> None:
    house = House()
    held = Holdings(account=account(balance="NaN"), positions=[long(1)])

    found = house.put(held)

    assert (found.stop, house.portfolio.blind) == ([], 1)


def test_an_unknown_group_waits_for_its_terms() -> None:
    house = House(book=terms_of({1: GROUPS[1]}))
    held = Holdings(account=account(1, group=GROUPS[2], balance="1"), positions=[long(1)])
    held.account.margin = D(1100)
    assert house.put(held).stop == []
    assert house.portfolio.blind == 1

    house.take_terms(terms_of(version=2))

    assert house.portfolio.blind == 0
    assert house.portfolio.look(now_ms=NOON_MS).stop == [1]


def test_the_house_floating_leaves_the_a_book_out() -> None:
    house = House()
    house.put(
        Holdings(account=account(1), positions=[long(1), long(2, book="a", swap="-5"), long(3, swap="-1.50")])
    )
    house.put(
        Holdings(account=account(2, group=GROUPS[3]), positions=[position(4, "EURUSD", SELL, "1", "1.10000")])
    )
    house.tick(quote("EURUSD", "1.09900", "1.09920"))

    # two longs lose 100 each and paid 1.50; a EUR account gains 80 USD, converted at 1.09920 + 0
    euro = D(80) / D("1.09920") * (D("1.09900") + D("1.09920")) / 2
    assert monitor_status.house_floating(house.portfolio) == round(D("201.50") - euro, 2)


def test_quotes_that_say_the_same_value_nothing_again() -> None:
    house = House()
    house.put(Holdings(account=account(), positions=[long(1)]))
    same = Quote("EURUSD", D("1.10000"), D("1.10017"), NOON_MS + 5)

    assert house.portfolio.prices.take({"EURUSD": same}, ["EURUSD"]) == set()
