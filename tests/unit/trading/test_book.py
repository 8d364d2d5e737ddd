"""The account book decides market orders, closes and balance operations to the cent."""

from decimal import Decimal

import pytest

from apps.accounts.domain.ledger import BalanceKind
from apps.groups.domain.terms import (
    Commission,
    CommissionCharge,
    CommissionMode,
    Override,
    PositionMode,
)
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.commands import ChangeAccount, ChangeBalance
from apps.trading.domain.filling import PositionNotFound, SymbolNotOffered
from apps.trading.domain.operations import AmountInvalid
from apps.trading.domain.orders import Entry, Side
from rtx.kernel.actor import Actor
from tests.factories.books import NOON, TRADER, buy, close, sell

D = Decimal


def balance_change(kind, amount):
    return ChangeBalance(
        account_id=1, command_id=None, actor=TRADER, kind=kind, amount=D(amount), reference="r"
    )


@pytest.mark.parametrize(("balance", "status"), [("1117.17", "filled"), ("1117.16", "rejected")])
def test_free_margin_decides_to_the_cent(make_book, market, balance, status):
    # 1 lot at ask 1.10017, 1:100: margin 1100.17; the opening spread of 1.7 pips costs 17.00
    book = make_book(balance=balance)

    outcome = book.apply(buy("EURUSD", lots="1.00"), market=market, now=NOON)

    assert outcome.order.status == status
    assert len(book.positions) == (status == "filled")  # a refusal leaves no position
    assert book.account.balance == D(balance)


def test_buy_opens_at_ask_with_margin_in_account_currency(make_book, market):
    book = make_book()

    outcome = book.apply(buy("EURUSD", lots="0.5"), market=market, now=NOON)

    assert outcome.type == "order_filled"
    assert outcome.order.average_price == D("1.10017")
    assert book.account.margin == D("550.09")  # 500 EUR x 1.10017 = 550.085


def test_closing_books_profit_once_rounded(make_book, make_market):
    book = make_book()
    book.apply(buy("EURUSD", lots="1"), market=make_market(), now=NOON)
    position_id = next(iter(book.positions))

    later = make_market(quotes={"EURUSD": ("1.20500", "1.20510")})
    outcome = book.apply(close(position_id), market=later, now=NOON)

    deal = outcome.order.deals[0]
    assert (deal.entry, deal.price, deal.profit) == (Entry.OUT, D("1.20500"), D("10483.00"))
    assert book.account.balance == D("20483.00")
    assert book.account.margin == 0
    assert not book.positions


def test_ledger_lines_balance_and_name_the_house(make_book, make_market):
    market = make_market(
        group={
            "commission": Commission(CommissionMode.PER_LOT, D("3.50"), CommissionCharge.BOTH),
            "markup_ask_points": D(2),
        }
    )
    book = make_book()

    outcome = book.apply(buy("EURUSD", lots="2"), market=market, now=NOON)

    assert [(line.ledger.value, line.amount) for line in outcome.lines] == [
        ("client", D("-7.00")),
        ("bbook", D("-4.00")),  # 2 points x 0.00001 x 200,000
        ("commission", D("7.00")),
        ("markup", D("4.00")),
    ]
    assert outcome.order.average_price == D("1.10019")


def test_loss_in_foreign_currency_is_bought_at_the_worse_side(make_book, make_market):
    # EURGBP 10 lots bought at 0.85680, bid 0.85660: -200 GBP, bought at GBPUSD ask 1.25020
    market = make_market()
    book = make_book(balance="1000000")
    book.apply(buy("EURGBP", lots="10"), market=market, now=NOON)

    assert book.valuation(market).profit == D("-250.04")


def test_profit_in_foreign_currency_is_sold_through_an_inverted_pair(make_book, make_market):
    book = make_book(balance="100000")
    book.apply(sell("USDJPY", lots="1"), market=make_market(), now=NOON)
    position_id = next(iter(book.positions))

    later = make_market(quotes={"USDJPY": ("148.980", "149.000")})
    outcome = book.apply(close(position_id), market=later, now=NOON)

    assert outcome.order.deals[0].profit == D("671.14")  # 100,000 JPY / ask 149.000


@pytest.mark.parametrize(
    ("lots", "entry", "volume", "side"),
    [("0.4", Entry.OUT, "0.6", Side.BUY), ("1.5", Entry.INOUT, "0.5", Side.SELL)],
)
def test_netting_reduces_or_flips_one_position(make_book, market, lots, entry, volume, side):
    book = make_book(mode=PositionMode.NETTING)
    first = book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)

    outcome = book.apply(sell("EURUSD", lots=lots), market=market, now=NOON)

    (position,) = book.positions.values()
    assert outcome.order.deals[0].entry is entry
    assert position.id == first.order.position_id
    assert (position.volume, position.side) == (D(volume), side)


def test_netting_keeps_the_exact_cost(make_book, make_market):
    book = make_book(mode=PositionMode.NETTING, balance="100000")
    book.apply(buy("EURUSD", lots="1"), market=make_market(), now=NOON)
    book.apply(
        buy("EURUSD", lots="2"), market=make_market(quotes={"EURUSD": ("1.10000", "1.10018")}), now=NOON
    )

    (position,) = book.positions.values()
    assert position.cost == D("3.30053")
    assert position.open_price == D("1.10018")  # 1.1001766..., for display


def test_hedging_covers_opposite_positions_once(make_book, market):
    book = make_book(balance="100000")
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    book.apply(sell("EURUSD", lots="1"), market=market, now=NOON)

    assert len(book.positions) == 2
    assert book.account.margin == D("1100.09")  # 1,000 EUR at the mean of 1.10017 and 1.10000


def test_partial_close_keeps_the_rest(make_book, market):
    book = make_book()
    opened = book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)

    outcome = book.apply(close(opened.order.position_id, lots="0.25"), market=market, now=NOON)

    (position,) = book.positions.values()
    assert (outcome.order.deals[0].profit, position.volume) == (D("-4.25"), D("0.75"))
    assert position.cost == D("0.8251275")


def test_closing_is_never_refused_for_lack_of_money(make_book, make_market):
    book = make_book(balance="1200")
    opened = book.apply(buy("EURUSD", lots="1"), market=make_market(), now=NOON)

    crash = make_market(quotes={"EURUSD": ("1.00000", "1.00010")})
    outcome = book.apply(close(opened.order.position_id), market=crash, now=NOON)

    assert outcome.order.status == "filled"
    assert book.account.balance == D("-8817.00")


@pytest.mark.parametrize(
    ("changes", "command", "reason"),
    [
        (
            {"symbols": {"EURUSD": {"trade_mode": TradeMode.DISABLED}}},
            buy("EURUSD", lots="1"),
            "trade_disabled",
        ),
        (
            {"symbols": {"EURUSD": {"trade_mode": TradeMode.CLOSE_ONLY}}},
            buy("EURUSD", lots="1"),
            "close_only",
        ),
        (
            {"symbols": {"EURUSD": {"trade_mode": TradeMode.LONG_ONLY}}},
            sell("EURUSD", lots="1"),
            "trade_disabled",
        ),
        ({}, buy("EURUSD", lots="0.001"), "invalid_volume"),
        ({}, buy("EURUSD", lots="0.015"), "invalid_volume"),
        ({}, buy("EURUSD", lots="100.01"), "invalid_volume"),
        ({"age_ms": 30_001}, buy("EURUSD", lots="1"), "off_quotes"),
        ({}, buy("EURUSD", lots="1", price=D("1.100001")), "invalid_price"),
        ({}, buy("EURUSD", lots="1", stop_loss=D("1.10000")), "invalid_stops"),
        ({}, buy("EURUSD", lots="1", take_profit=D("1.09999")), "invalid_stops"),
        ({}, sell("EURUSD", lots="1", stop_loss=D("1.10017")), "invalid_stops"),
        ({"group": {"positions_max": 0}}, buy("EURUSD", lots="1"), "limit_positions"),
    ],
)
def test_refusals_name_their_reason_and_change_nothing(make_book, make_market, changes, command, reason):
    book = make_book()

    outcome = book.apply(command, market=make_market(**changes), now=NOON)

    assert (outcome.type, outcome.refusal) == ("order_rejected", reason)
    assert (book.account.balance, book.account.margin, book.positions) == (D(10000), 0, {})
    assert outcome.lines == []


def test_a_stale_conversion_pair_is_off_quotes(make_book, make_market):
    market = make_market(symbols={"GBPUSD": {"quote_age_max_ms": 0}}, age_ms=10)

    outcome = make_book().apply(buy("EURGBP", lots="0.1"), market=market, now=NOON)

    assert outcome.refusal == "off_quotes"


@pytest.mark.parametrize(
    ("price", "deviation", "status"),
    [
        ("1.10017", None, "filled"),
        ("1.10016", None, "rejected"),
        ("1.10007", 10, "filled"),
        ("1.10006", 10, "rejected"),
    ],
)
def test_deviation_bounds_slippage_and_a_requote_names_the_price(make_book, market, price, deviation, status):
    outcome = make_book().apply(
        buy("EURUSD", lots="0.1", price=D(price), deviation=deviation), market=market, now=NOON
    )

    assert outcome.order.status == status
    if status == "rejected":
        assert outcome.payload["order"]["requote_price"] == "1.10017"


def test_a_disabled_account_cannot_trade_but_the_house_can_close(make_book, market):
    book = make_book()
    opened = book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    book.account.status = "disabled"

    by_client = book.apply(close(opened.order.position_id), market=market, now=NOON)
    command = close(opened.order.position_id)
    object.__setattr__(command, "actor", Actor.system("test"))
    by_house = book.apply(command, market=market, now=NOON)

    assert by_client.refusal == "account_disabled"
    assert by_house.order.status == "filled"


def test_unknown_positions_and_symbols_are_the_callers_mistake(make_book, market):
    book = make_book()

    with pytest.raises(PositionNotFound):
        book.apply(close(77), market=market, now=NOON)
    with pytest.raises(SymbolNotOffered):
        book.apply(buy("XXXYYY", lots="1"), market=market, now=NOON)
    assert book.account.seq == 1


def test_a_withdrawal_leaves_what_margin_and_losses_need(make_book, market):
    book = make_book(balance="2000")
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)  # margin 1100.17, floating -17.00

    refused = book.apply(balance_change(BalanceKind.WITHDRAWAL, "-882.84"), market=market, now=NOON)
    paid = book.apply(balance_change(BalanceKind.WITHDRAWAL, "-882.83"), market=market, now=NOON)

    assert (refused.type, refused.refusal) == ("balance_rejected", "no_money")
    assert (paid.type, book.account.balance) == ("balance_changed", D("1117.17"))


@pytest.mark.parametrize(
    ("kind", "amount"),
    [
        (BalanceKind.DEPOSIT, "-1"),
        (BalanceKind.WITHDRAWAL, "1"),
        (BalanceKind.DEPOSIT, "0"),
        (BalanceKind.CREDIT, "0.001"),
    ],
)
def test_amounts_that_cannot_be_are_errors(make_book, market, kind, amount):
    with pytest.raises(AmountInvalid):
        make_book().apply(balance_change(kind, amount), market=market, now=NOON)


def test_leverage_change_margins_open_positions_again(make_book, market):
    book = make_book()
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)

    book.apply(
        ChangeAccount(account_id=1, command_id=None, actor=TRADER, leverage=200), market=market, now=NOON
    )

    assert book.account.margin == D("550.09")


@pytest.mark.parametrize("switched_off", ["symbol", "group"])
def test_what_is_open_can_be_closed_when_the_symbol_is_no_longer_offered(
    make_book, make_market, switched_off
):
    book = make_book()
    opened = book.apply(buy("EURUSD", lots="1"), market=make_market(), now=NOON)
    after = (
        make_market(group={"is_active": False})
        if switched_off == "group"
        else make_market(overrides={"EURUSD": Override(is_offered=False)})
    )

    with pytest.raises(SymbolNotOffered):
        book.apply(buy("EURUSD", lots="1"), market=after, now=NOON)
    closed = book.apply(close(opened.order.position_id), market=after, now=NOON)

    assert closed.order.status == "filled"


def test_a_conversion_pair_that_is_not_offered_must_be_fresh_too(make_book, make_market):
    stale = make_market(
        overrides={"GBPUSD": Override(is_offered=False)},
        symbols={"GBPUSD": {"quote_age_max_ms": 0}},
        age_ms=10,
    )

    outcome = make_book().apply(buy("EURGBP", lots="0.1"), market=stale, now=NOON)

    assert outcome.refusal == "off_quotes"


def test_an_edited_contract_cannot_join_an_open_position(make_book, make_market):
    book = make_book(mode=PositionMode.NETTING)
    book.apply(buy("EURUSD", lots="0.1"), market=make_market(), now=NOON)
    edited = make_market(symbols={"EURUSD": {"contract_size": D(10_000)}})

    added = book.apply(buy("EURUSD", lots="0.01"), market=edited, now=NOON)
    closed = book.apply(sell("EURUSD", lots="0.1"), market=edited, now=NOON)

    assert added.refusal == "close_only"
    assert closed.order.deals[0].profit == D("-1.70")  # 10,000 units as bought, not 1,000


def test_a_leg_of_a_hedge_can_always_be_closed(make_book, make_market):
    free = {"EURUSD": {"hedged_contract_size": D(0)}}
    book = make_book(balance="1200")
    opened = book.apply(buy("EURUSD", lots="1"), market=make_market(symbols=free), now=NOON)
    book.apply(sell("EURUSD", lots="1"), market=make_market(symbols=free), now=NOON)
    apart = make_market(symbols=free, quotes={"EURUSD": ("1.00000", "1.05000")})

    outcome = book.apply(close(opened.order.position_id), market=apart, now=NOON)

    assert outcome.order.status == "filled"
