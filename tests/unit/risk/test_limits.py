"""Limits at their exact boundaries: one step below, at, and above; own holdings as the book has them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.groups.domain.terms import PositionMode
from apps.risk.domain import limit_checks
from apps.risk.domain.limit_cases import Case
from apps.risk.domain.limits import Facts, Limit, LimitKind, Mark, MarksTotal
from apps.risk.domain.minutes import LastMinute
from apps.risk.domain.order_exposure import Lots, asked_of
from apps.risk.domain.totals import Totals
from apps.trading.domain.orders import OrderType, Side
from tests.factories.books import NOON, QUOTES, SYMBOLS, at, buy, buy_limit, modify, pending, sell, trigger
from tests.unit.trading.conftest import make_book as make_book
from tests.unit.trading.conftest import make_market as make_market
from tests.unit.trading.conftest import market as market

D = Decimal


def limit(kind: str, value: str, **more: Any) -> Limit:
    """Return a limit of the account, or as told."""
    values: dict[str, Any] = {"id": 1, "scope": "account", "account_id": 1, **more}
    return Limit(kind=LimitKind(kind), value=D(value), **values)


def total(kind: str, value: str, **more: Any) -> Limit:
    """Return a limit of everything together."""
    return limit(kind, value, **{"scope": "platform", "account_id": None, **more})


def refused(command, book, market, checked: Limit, facts: Facts | None = None) -> str | None:
    """Say with which word a limit refuses a command."""
    asked = asked_of(command, book)
    assert asked is not None
    case = Case(asked=asked, book=book, market=market, facts=facts or Facts(now=NOON))
    return limit_checks.refusal(case, limit_checks.steps([checked]))


def placed(*orders: tuple[int, str]) -> dict[int, LastMinute]:
    """Return the account's orders as (milliseconds ago, symbol)."""
    counted = LastMinute()
    for age_ms, symbol in orders:
        counted.add(NOON - timedelta(milliseconds=age_ms), symbol)
    return {1: counted}


@pytest.fixture
def book(make_book):
    return make_book(balance="1000000")


@pytest.fixture
def do(book, market):
    """Apply a command to the book."""
    return lambda command: book.apply(command, market=market, now=NOON)


# --- volume ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lots", "word"), [("1.99", None), ("2.00", None), ("2.01", "limit_volume")])
def test_the_volume_of_one_order_may_reach_its_limit(book, market, lots, word):
    assert refused(buy("EURUSD", lots=lots), book, market, limit("order_volume", "2")) == word


@pytest.mark.parametrize(("lots", "word"), [("0.49", None), ("0.50", None), ("0.51", "limit_volume")])
def test_open_lots_count_both_directions_and_what_waits(book, market, do, lots, word):
    do(buy("EURUSD", lots="1.00"))
    do(sell("GBPUSD", lots="0.25"))
    do(buy_limit("1.09000", lots="0.25"))

    assert refused(sell("EURUSD", lots=lots), book, market, limit("open_volume", "2")) == word


@pytest.mark.parametrize(("lots", "word"), [("1.00", None), ("1.01", "limit_volume")])
def test_open_lots_of_one_symbol_count_nothing_else(book, market, do, lots, word):
    do(buy("GBPUSD", lots="5.00"))
    do(buy("EURUSD", lots="1.00"))

    checked = limit("open_volume", "2", symbol="EURUSD")
    assert refused(buy("EURUSD", lots=lots), book, market, checked) == word


@pytest.mark.parametrize(("lots", "word"), [("4.00", None), ("4.01", "limit_volume")])
def test_a_netting_account_counts_what_is_left_of_its_net(make_book, market, lots, word):
    book = make_book(balance="1000000", mode=PositionMode.NETTING)
    book.apply(buy("EURUSD", lots="2.00"), market=market, now=NOON)

    assert refused(sell("EURUSD", lots=lots), book, market, limit("open_volume", "2")) == word


def test_a_working_order_that_fills_is_not_counted_twice(book, market, do):
    order = do(buy_limit("1.09000", lots="2.00")).order

    quote = at("1.08990", "1.09000")
    assert refused(trigger(order.id, "1.09000", quote), book, market, limit("open_volume", "2")) is None


@pytest.mark.parametrize(("lots", "word"), [("2.00", None), ("2.01", "limit_volume")])
def test_a_working_order_that_grows_is_counted_as_it_will_be(book, market, do, lots, word):
    order = do(buy_limit("1.09000", lots="1.00")).order

    assert refused(modify(order.id, volume=lots), book, market, limit("open_volume", "2")) == word


def test_what_does_not_add_to_a_limit_that_is_exceeded_passes(make_book, market):
    book = make_book(balance="1000000", mode=PositionMode.NETTING)
    book.apply(buy("EURUSD", lots="3.00"), market=market, now=NOON)

    assert refused(sell("EURUSD", lots="5.00"), book, market, limit("open_volume", "2")) is None


# --- positions and orders --------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "word"), [("3", None), ("2", "limit_positions")])
def test_positions_count_the_one_to_come(book, market, do, value, word):
    do(buy("EURUSD", lots="0.10"))
    do(sell("GBPUSD", lots="0.10"))

    assert refused(buy("EURUSD", lots="0.10"), book, market, limit("positions", value)) == word
    assert refused(buy_limit("1.09000"), book, market, limit("positions", value)) == word


def test_a_netting_position_that_grows_is_no_new_one(make_book, market):
    book = make_book(balance="1000000", mode=PositionMode.NETTING)
    book.apply(buy("EURUSD", lots="1.00"), market=market, now=NOON)

    assert refused(buy("EURUSD", lots="1.00"), book, market, limit("positions", "1")) is None
    assert refused(buy("GBPUSD", lots="1.00"), book, market, limit("positions", "1")) == "limit_positions"


@pytest.mark.parametrize(("age_ms", "word"), [(59_999, "rate_limit"), (60_000, None)])
def test_orders_per_minute_look_back_sixty_seconds(book, market, age_ms, word):
    facts = Facts(now=NOON, placed=placed((age_ms, "EURUSD"), (0, "GBPUSD")))

    assert refused(buy("EURUSD", lots="1"), book, market, limit("orders_per_minute", "2"), facts) == word


def test_orders_per_minute_of_a_symbol_count_no_other(book, market):
    facts = Facts(now=NOON, placed=placed((0, "GBPUSD"), (0, "EURUSD")))
    checked = limit("orders_per_minute", "2", symbol="EURUSD")

    assert refused(buy("EURUSD", lots="1"), book, market, checked, facts) is None


def test_an_order_that_fills_was_counted_when_it_was_placed(book, market, do):
    order = do(buy_limit("1.09000")).order
    facts = Facts(now=NOON, placed=placed(*[(0, "EURUSD")] * 5))
    command = trigger(order.id, "1.09000", at("1.08990", "1.09000"))

    assert refused(command, book, market, limit("orders_per_minute", "1"), facts) is None


# --- exposure --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "word"), [("330051.00", None), ("330050.99", "limit_exposure")])
def test_symbol_exposure_is_the_net_notional_to_the_cent(book, market, do, value, word):
    do(buy("EURUSD", lots="2.00"))  # 3 lots x 100,000 x 1.10017

    checked = limit("symbol_exposure", value, symbol="EURUSD")
    assert refused(buy("EURUSD", lots="1.00"), book, market, checked) == word


def test_symbol_exposure_lets_the_other_side_pass(book, market, do):
    do(buy("EURUSD", lots="2.00"))

    checked = limit("symbol_exposure", "1")
    assert refused(sell("EURUSD", lots="1.00"), book, market, checked) is None
    assert refused(sell("EURUSD", lots="4.01"), book, market, checked) == "limit_exposure"


def test_symbol_exposure_counts_working_orders_in_the_worst_case(book, market, do):
    do(buy_limit("1.09000", lots="2.00"))
    checked = limit("symbol_exposure", "330051.00", symbol="EURUSD")

    assert refused(buy("EURUSD", lots="1.00"), book, market, checked) is None
    assert refused(buy("EURUSD", lots="1.01"), book, market, checked) == "limit_exposure"
    assert refused(sell("EURUSD", lots="3.00"), book, market, checked) is None  # either side may fill


@pytest.mark.parametrize(("value", "word"), [("200000", None), ("199999.99", "limit_exposure")])
def test_currency_exposure_adds_all_symbols_of_the_currency(book, market, do, value, word):
    do(buy("EURUSD", lots="3.00"))
    do(sell("EURGBP", lots="2.00"))  # EUR +300,000 - 200,000, and 100,000 to come

    checked = limit("currency_exposure", value, currency="EUR", exposed_currency="EUR")
    assert refused(buy("EURUSD", lots="1.00"), book, market, checked) == word


def test_currency_exposure_of_each_currency_looks_at_both_legs(book, market):
    own = limit("currency_exposure", "100000", currency="USD")  # 1 lot of EUR is 110,017 USD on both legs

    assert refused(buy("EURUSD", lots="0.90"), book, market, own) is None
    assert refused(buy("EURUSD", lots="1.00"), book, market, own) == "limit_exposure"


@pytest.mark.parametrize(
    ("rho", "value", "word"),
    [
        ("0", "166534.50", "limit_exposure"),
        ("0", "166534.51", None),
        ("1", "235036.99", "limit_exposure"),
        ("1", "235037.00", None),
    ],
)
def test_correlated_exposure_is_the_root_of_the_quadratic_form(book, market, do, rho, value, word):
    do(buy("EURUSD", lots="1.00"))  # 110,017 and 125,020 to come
    facts = Facts(now=NOON, correlations={("EURUSD", "GBPUSD"): D(rho)})

    checked = limit("correlated_exposure", value)
    assert refused(buy("GBPUSD", lots="1.00"), book, market, checked, facts) == word


@pytest.mark.parametrize(("lots", "word"), [("1.75", None), ("1.77", "limit_exposure")])
def test_what_offsets_by_correlation_passes_until_it_outweighs(book, market, do, lots, word):
    do(buy("EURUSD", lots="1.00"))  # 110,017; 1.76 lots of GBPUSD turn it round to 110,018.20
    facts = Facts(now=NOON, correlations={("GBPUSD", "EURUSD"): D(-1)})

    checked = limit("correlated_exposure", "1")
    assert refused(buy("GBPUSD", lots=lots), book, market, checked, facts) == word


def test_unknown_correlation_counts_as_moving_against_the_account(book, market, do):
    do(buy("EURUSD", lots="1.00"))
    checked = limit("correlated_exposure", "235036.99")

    assert refused(sell("GBPUSD", lots="1.00"), book, market, checked) == "limit_exposure"


def test_what_cannot_be_priced_is_refused_for_its_price(book, make_market):
    blind = make_market()
    blind._quotes = {name: quote for name, quote in blind._quotes.items() if name != "USDJPY"}

    for kind in ("symbol_exposure", "currency_exposure", "correlated_exposure"):
        assert refused(buy("USDJPY", lots="0.01"), book, blind, limit(kind, "1000000")) == "off_quotes"


@pytest.mark.parametrize(
    ("kind", "more", "value", "word"),
    [
        (
            "currency_exposure",
            {"exposed_currency": "EUR"},
            "110017",
            None,
        ),  # USDJPY has nothing to do with it
        ("currency_exposure", {"exposed_currency": "EUR"}, "110016.99", "limit_exposure"),
        ("currency_exposure", {"exposed_currency": "USD"}, "210017", None),  # 100,000 of USDJPY need no price
        ("currency_exposure", {"exposed_currency": "USD"}, "210016.99", "limit_exposure"),
        ("correlated_exposure", {}, "210017", None),  # 110,017 and 100,000 as if they moved together
        ("correlated_exposure", {}, "210016.99", "limit_exposure"),
    ],
)
def test_a_symbol_without_a_price_makes_no_total_refuse_everyone(book, make_market, kind, more, value, word):
    blind = make_market()
    blind._quotes = {name: quote for name, quote in blind._quotes.items() if name != "USDJPY"}
    facts = Facts(now=NOON, totals=Totals({(1, "USDJPY"): Lots(D(1))}))

    assert refused(sell("EURUSD", lots="1.00"), book, blind, total(kind, value, **more), facts) == word


def test_an_index_without_a_price_counts_at_cost(book, make_market):
    blind = make_market()
    spec = replace(SYMBOLS["USDJPY"], profit_currency="USD", contract_size=D(10))
    blind._symbols = {**blind._symbols, "US500": spec}
    facts = Facts(now=NOON, totals=Totals({(1, "US500"): Lots(D(1))}), costs={"US500": D(100)})

    order = buy("EURUSD", lots="1.00")
    assert refused(order, book, blind, total("correlated_exposure", "111017"), facts) is None
    assert refused(order, book, blind, total("correlated_exposure", "111016.99"), facts) == "limit_exposure"
    facts.costs = {}
    facts.prices.clear()
    assert refused(order, book, blind, total("correlated_exposure", "111017"), facts) == "off_quotes"


# --- money -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "word"), [("500.01", None), ("500.00", "daily_loss")])
def test_the_loss_of_the_day_refuses_once_it_is_reached(make_book, market, value, word):
    book = make_book(balance="9500")
    facts = Facts(now=NOON, marks={1: Mark(D(10000), D(10000))})

    assert refused(buy("EURUSD", lots="0.01"), book, market, limit("daily_loss", value), facts) == word


def test_the_loss_of_the_day_counts_what_floats(make_book, market):
    book = make_book(balance="10000")
    book.apply(buy("EURUSD", lots="1.00"), market=market, now=NOON)  # 17.00 under water at once
    facts = Facts(now=NOON, marks={1: Mark(D(10000), D(10000))})

    assert refused(buy("EURUSD", lots="0.01"), book, market, limit("daily_loss", "17.01"), facts) is None
    assert refused(buy("EURUSD", lots="0.01"), book, market, limit("daily_loss", "17"), facts) == "daily_loss"


def test_a_day_without_loss_is_never_refused(make_book, market):
    facts = Facts(now=NOON, marks={1: Mark(D(10000), D(10000))})

    assert refused(buy("EURUSD", lots="0.01"), make_book(), market, limit("daily_loss", "0"), facts) is None


@pytest.mark.parametrize(("value", "word"), [("10.01", None), ("10", "drawdown")])
def test_drawdown_is_the_fall_from_the_peak_in_percent(make_book, market, value, word):
    facts = Facts(now=NOON, marks={1: Mark(D(0), D(10000))})

    assert (
        refused(
            buy("EURUSD", lots="0.01"), make_book(balance="9000"), market, limit("drawdown", value), facts
        )
        == word
    )


@pytest.mark.parametrize(("value", "word"), [("100.00", None), ("99.99", "credit_limit")])
def test_credit_in_use_is_what_margin_needs_beyond_own_money(make_book, market, value, word):
    book = make_book(balance="1000.17", credit=D(500))  # margin to come: 100,000 x 1.10017 / 100 = 1,100.17

    assert refused(buy("EURUSD", lots="1.00"), book, market, limit("credit_use", value)) == word


def test_an_account_without_credit_uses_none(make_book, market):
    assert refused(buy("EURUSD", lots="1"), make_book(), market, limit("credit_use", "0")) is None


# --- together --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "word"), [("11.00", None), ("10.99", "limit_volume")])
def test_a_total_counts_what_all_accounts_hold(book, market, value, word):
    facts = Facts(
        now=NOON,
        totals=Totals(
            {
                (1, "EURUSD"): Lots(D(4), D(2), 3),
                (2, "EURUSD"): Lots(waiting_sells=D(4)),
                (1, "GBPUSD"): Lots(D(9)),
            }
        ),
    )
    checked = total("open_volume", value, scope="symbol", symbol="EURUSD")

    assert refused(buy("EURUSD", lots="1.00"), book, market, checked, facts) == word


def test_a_group_total_leaves_other_groups_out(book, market):
    facts = Facts(now=NOON, totals=Totals({(1, "EURUSD"): Lots(D(4)), (2, "EURUSD"): Lots(D(100))}))
    checked = total("open_volume", "5", scope="group", group_id=1)

    assert refused(buy("EURUSD", lots="1.00"), book, market, checked, facts) is None
    assert refused(buy("EURUSD", lots="1.01"), book, market, checked, facts) == "limit_volume"


def test_a_total_of_losses_adds_up_groups_in_their_currencies(book, market):
    facts = Facts(
        now=NOON,
        marks_totals=(
            MarksTotal(1, "USD", D(0), D(1000), D(1000), D(900)),
            MarksTotal(2, "EUR", D(0), D(1000), D(1000), D(900)),  # 110,017 of 1,100.17 at the ask
        ),
    )
    # 1,000 + 1,100.17 against 900 + 990.153
    assert refused(buy("EURUSD", lots="1"), book, market, total("daily_loss", "210.018"), facts) is None
    assert (
        refused(buy("EURUSD", lots="1"), book, market, total("daily_loss", "210.017"), facts) == "daily_loss"
    )


def test_a_limit_concerns_its_own_scope_alone():
    own = limit("open_volume", "1", symbol="EURUSD")
    assert own.concerns(account_id=1, group_id=7, symbol="EURUSD")
    assert not own.concerns(account_id=2, group_id=7, symbol="EURUSD")
    assert not own.concerns(account_id=1, group_id=7, symbol="GBPUSD")
    assert replace(own, scope="group", account_id=None, group_id=7).concerns(
        account_id=9, group_id=7, symbol="EURUSD"
    )


def test_a_stop_limit_is_asked_about_as_any_order_that_waits(book, market):
    command = pending(Side.BUY, OrderType.STOP_LIMIT, "1.12000", stop_limit_price="1.11900", lots="2.01")

    assert refused(command, book, market, limit("open_volume", "2")) == "limit_volume"
    assert QUOTES["EURUSD"][1] == "1.10017"  # the prices that the numbers above come from
