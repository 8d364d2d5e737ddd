"""The published numbers: margin, hedged margin, floating profit, markup and commission come out exactly."""

from dataclasses import replace
from decimal import Decimal

import pytest

from apps.groups.domain.terms import (
    Commission,
    CommissionCharge,
    CommissionMode,
    PositionMode,
    client_quote,
    resolve,
)
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import MarginMode
from apps.trading.domain import margin
from apps.trading.domain.orders import ContractTerms, Position, Side
from apps.trading.domain.pricing import ConversionTable, MarketView
from tests.factories.books import GROUP, NOON, NOON_MS, SYMBOLS, buy, close, sell, spec

D = Decimal


def _terms(*, leverage: int = 100, **symbol) -> ContractTerms:
    found = resolve(symbol=replace(SYMBOLS["EURUSD"], **symbol), group=GROUP, override=None, version=1)
    return ContractTerms.of(found, account_leverage=leverage)


def _position(terms: ContractTerms, side: Side, *, lots: str, price: str, rate: str = "1", number: int = 1):
    return Position(
        id=number,
        symbol="EURUSD",
        side=side,
        volume=D(lots),
        cost=D(lots) * D(price),
        margin_rate=D(rate),
        terms=terms,
        book="b",
        last_deal_id=number,
        opened_at=NOON,
    )


@pytest.mark.parametrize(
    ("conversion", "margin_rate", "expected"),
    [("1", "1", "1000"), ("1.2790", "1", "1279"), ("1.2790", "1.15", "1470.85")],
    ids=["EUR", "USD", "margin rate"],
)
def test_forex_margin(conversion, margin_rate, expected):
    terms = _terms(margin_rate_buy=D(margin_rate))

    assert margin.of_symbol([_position(terms, Side.BUY, lots="1", price="1.3", rate=conversion)]) == D(
        expected
    )


def test_cfd_margin():
    terms = _terms(margin_mode=MarginMode.CFD, contract_size=D(100))

    assert margin.of_symbol([_position(terms, Side.BUY, lots="1", price="80")]) == D(8000)


def test_cfd_leverage_margin_of_two_positions():
    terms = _terms(margin_mode=MarginMode.CFD_LEVERAGE, contract_size=D(5000))
    held = [
        _position(terms, Side.BUY, lots="1", price="15.436", number=1),
        _position(terms, Side.BUY, lots="2", price="15.432", number=2),
    ]

    assert margin.of_symbol(held) == D("2315.00")


def test_hedged_margin():
    terms = _terms(leverage=500, margin_rate_buy=D(2), margin_rate_sell=D(4))
    # EURUSD in USD: the margin rate of each position is its own price
    sold = _position(terms, Side.SELL, lots="3", price="1.11943", rate="1.11943", number=1)
    bought = _position(terms, Side.BUY, lots="2", price="1.11953", rate="1.11953", number=2)

    total = margin.of_symbol([sold, bought])

    covered = D(2) * 100_000 / 500 * D("1.11947") * 3
    uncovered = D(1) * 100_000 / 500 * D("1.11943") * 4
    assert (covered, uncovered) == (D("1343.364"), D("895.544"))
    assert total == covered + uncovered == D("2238.908")
    assert total.quantize(D("0.01")) == D("2238.91")


def test_account_example(make_book, make_market):
    bitcoin = spec("BTCEUR", "BTC", "EUR", digits=0, contract_size=D(1), volume_max=D(1000))
    symbols = {"EURUSD": SYMBOLS["EURUSD"], "BTCEUR": bitcoin}
    book = make_book(balance="50000", leverage=500)

    def at(**quotes: str) -> MarketView:
        shown = {"EURUSD": "1.06000", "BTCEUR": "1120", **quotes}
        return MarketView(
            quotes={name: Quote(name, D(price), D(price), NOON_MS) for name, price in shown.items()},
            terms={
                name: resolve(symbol=one, group=GROUP, override=None, version=1)
                for name, one in symbols.items()
            },
            symbols=symbols,
            conversions=ConversionTable(symbols.values()),
            now=NOON,
            now_ms=NOON_MS,
            version=1,
        )

    def run(command, **quotes: str) -> Decimal:
        before = book.account.balance
        outcome = book.apply(command, market=at(**quotes), now=NOON)
        assert outcome.refusal is None
        return book.account.balance - before

    def last_position() -> int:
        return max(book.positions)

    run(buy("EURUSD", lots="1"), EURUSD="1.05000")
    first = run(close(last_position()), EURUSD="1.06000")
    run(sell("EURUSD", lots="2"), EURUSD="1.04000")
    second = run(close(last_position()), EURUSD="1.06100")
    run(buy("EURUSD", lots="0.5"), EURUSD="1.06100")
    third = run(close(last_position()), EURUSD="1.06000")
    run(buy("BTCEUR", lots="100"), EURUSD="1.06100", BTCEUR="1120")
    value = book.valuation(at(EURUSD="1.06100", BTCEUR="1091"))

    assert (first, second, third) == (D("1000.00"), D("-4200.00"), D("-50.00"))
    assert value.profit == D("-3076.9")  # 100 x -29 EUR at 1.061
    assert first + second + third + value.profit == D("-6326.9")
    assert value.equity == D("43673.1")


def test_one_lot_gains_fifty_pips(make_book, make_market):
    book = make_book()
    book.apply(
        buy("EURUSD", lots="1"), market=make_market(quotes={"EURUSD": ("1.19990", "1.20000")}), now=NOON
    )

    later = make_market(quotes={"EURUSD": ("1.20500", "1.20510")})

    assert book.valuation(later).profit == D(500)


def test_floating_loss_of_the_spread_in_pounds(make_book, make_market):
    book = make_book(balance="100000", currency="GBP", leverage=500)
    market = make_market(quotes={"EURGBP": ("0.8566", "0.8568")})
    book.apply(buy("EURGBP", lots="10"), market=market, now=NOON)

    assert book.valuation(market).profit == D(-200)


def test_markup_widens_by_points():
    terms = resolve(
        symbol=SYMBOLS["EURUSD"],
        group=replace(GROUP, markup_bid_points=D(2), markup_ask_points=D(1)),
        override=None,
        version=1,
    )
    raw = Quote("EURUSD", D("1.10000"), D("1.10017"), NOON_MS)

    shown = client_quote(raw=raw, terms=terms)

    assert (shown.bid, shown.ask) == (D("1.09998"), D("1.10018"))
    assert (shown.ask - shown.bid) - (raw.ask - raw.bid) == D("0.00003")


@pytest.mark.parametrize(
    ("charge", "at_entry", "at_exit"),
    [
        (CommissionCharge.ENTRY, "-2", "0"),
        (CommissionCharge.EXIT, "0", "-2"),
        (CommissionCharge.BOTH, "-2", "-2"),
    ],
)
def test_commission_of_one_dollar_per_deal(make_book, make_market, charge, at_entry, at_exit):
    market = make_market(
        group={"commission": Commission(CommissionMode.PER_DEAL, D(1), charge)},
        quotes={"EURUSD": ("1.10000", "1.10000")},
    )
    book = make_book()
    opened = [
        book.apply(command, market=market, now=NOON)
        for command in (buy("EURUSD", lots="1"), sell("EURUSD", lots="1"))
    ]
    after_entry = book.account.balance

    for outcome in opened:
        book.apply(close(outcome.order.position_id), market=market, now=NOON)

    assert after_entry - 10_000 == D(at_entry)
    assert book.account.balance - after_entry == D(at_exit)


def test_netting_margin_of_the_rest_only(make_book, make_market):
    book = make_book(mode=PositionMode.NETTING)
    market = make_market(quotes={"EURUSD": ("1.10000", "1.10000")})
    book.apply(buy("EURUSD", lots="3"), market=market, now=NOON)

    book.apply(sell("EURUSD", lots="2"), market=market, now=NOON)

    assert book.account.margin == D("1100.00")
