"""The published numbers of floating leverage, CFD leverage with a waiting order, a close-by's commission."""

from dataclasses import replace
from decimal import Decimal
from itertools import count

import pytest

from apps.groups.domain.schedules import MarginSchedule, ScheduleKind
from apps.groups.domain.terms import Commission, CommissionCharge, CommissionMode, resolve
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import MarginMode
from apps.trading.domain.book import AccountBook
from apps.trading.domain.holdings import Account
from apps.trading.domain.pricing import ConversionTable, MarketView
from tests.factories.books import GROUP, NOON, NOON_MS, buy, buy_limit, cancel, close_by, sell, spec

D = Decimal

BY_VOLUME = MarginSchedule.of(
    name="by volume",
    kind=ScheduleKind.VOLUME,
    is_pooled=False,
    bands=[(D(10), D(1)), (D(20), D(2)), (None, D(3))],
)
TIERS = [(D(1_000_000), D(500)), (D(2_000_000), D(200)), (D(3_000_000), D(100)), (None, D(50))]


def tiered(*, is_pooled: bool) -> MarginSchedule | None:
    return MarginSchedule.of(name="tiers", kind=ScheduleKind.NOTIONAL, is_pooled=is_pooled, bands=TIERS)


USDCHF = spec("USDCHF", "USD", "CHF")
USDCAD = spec("USDCAD", "USD", "CAD")


def view(*specs, schedule=None, bid="0.90000", ask="0.90000", **group) -> MarketView:
    """A market of symbols at one price, all under one schedule."""
    rules = replace(GROUP, margin_schedule=schedule, **group)
    symbols = {one.name: one for one in specs}
    return MarketView(
        quotes={name: Quote(name, D(bid), D(ask), NOON_MS) for name in symbols},
        terms={
            name: resolve(symbol=one, group=rules, override=None, version=1) for name, one in symbols.items()
        },
        symbols=symbols,
        conversions=ConversionTable(symbols.values()),
        now=NOON,
        now_ms=NOON_MS,
        version=1,
    )


def a_book(make_book, *, leverage: int) -> AccountBook:
    return make_book(balance="1000000", leverage=leverage)


@pytest.mark.parametrize(
    ("currency", "margin_rate", "expected"),
    [("EUR", "1", "1000.00"), ("USD", "1", "1279.00"), ("USD", "1.15", "1470.85")],
)
def test_one_lot_of_eurusd_at_one_to_a_hundred(make_book, currency, margin_rate, expected):
    eurusd = spec("EURUSD", "EUR", "USD", margin_rate_buy=D(margin_rate))
    book = make_book(balance="1000000", currency=currency)

    book.apply(
        buy("EURUSD", lots="1"),
        market=view(eurusd, bid="1.27900", ask="1.27900", currency=currency),
        now=NOON,
    )

    assert book.account.margin == D(expected)


def test_a_hedge_is_booked_to_the_cent(make_book):
    """Sell 3 @ 1.11943, buy 2 @ 1.11953, margin rates buy 2 and sell 4, 1:500: 2,238.908."""
    eurusd = spec("EURUSD", "EUR", "USD", margin_rate_buy=D(2), margin_rate_sell=D(4))
    book = a_book(make_book, leverage=500)

    book.apply(sell("EURUSD", lots="3"), market=view(eurusd, bid="1.11943", ask="1.11943"), now=NOON)
    book.apply(buy("EURUSD", lots="2"), market=view(eurusd, bid="1.11953", ask="1.11953"), now=NOON)

    assert book.account.margin == D("2238.91")


def test_cfd_leverage_with_a_waiting_order(make_book):
    """Buy 1 @ 15.436 and 2 @ 15.432, contract 5,000, 1:100; then a buy limit of 1 @ 15.412."""
    silver = spec(
        "XAGUSD",
        "XAG",
        "USD",
        digits=3,
        contract_size=D(5000),
        margin_mode=MarginMode.CFD_LEVERAGE,
        margin_currency="USD",
        margin_rate_pending=D(1),
    )
    book = a_book(make_book, leverage=100)
    margins = []
    for command, price in (
        (buy("XAGUSD", lots="1"), "15.436"),
        (buy("XAGUSD", lots="2"), "15.432"),
        (buy_limit("15.412", symbol="XAGUSD"), "15.432"),
    ):
        book.apply(command, market=view(silver, bid=price, ask=price), now=NOON)
        margins.append(book.account.margin)

    assert margins == [D("771.80"), D("2315.00"), D("3085.60")]
    assert margins[2] - margins[1] == D("770.60")


def test_floating_leverage_by_volume(make_book):
    """Buy 12 USDCHF, then a buy limit of 10, 1:100: 14,000, the order adds 22,000."""
    franc = replace(USDCHF, margin_rate_pending=D(1))
    market = view(franc, schedule=BY_VOLUME)
    book = a_book(make_book, leverage=100)

    book.apply(buy("USDCHF", lots="12"), market=market, now=NOON)
    held = book.account.margin
    placed = book.apply(buy_limit("0.80000", symbol="USDCHF", lots="10"), market=market, now=NOON)
    both = book.account.margin
    book.apply(cancel(placed.order.id), market=market, now=NOON)

    assert (held, both, both - held) == (D("14000.00"), D("36000.00"), D("22000.00"))
    assert book.account.margin == held


@pytest.mark.parametrize(("is_pooled", "margin"), [(False, "27000.00"), (True, "27000.00")])
def test_tiered_leverage_of_one_symbol(make_book, is_pooled, margin):
    """3.5 million USD: 2,000 + 5,000 + 10,000 + 10,000."""
    book = a_book(make_book, leverage=500)

    book.apply(buy("USDCHF", lots="35"), market=view(USDCHF, schedule=tiered(is_pooled=is_pooled)), now=NOON)

    assert book.account.margin == D(margin)


@pytest.mark.parametrize(
    ("is_pooled", "margin"),
    [
        (True, "27000.00"),
        (False, "11500.00"),  # 2 million: 2,000 + 5,000; 1.5 million: 2,000 + 2,500
    ],
)
def test_tiers_of_two_symbols_are_filled_together_when_pooled(make_book, is_pooled, margin):
    market = view(USDCHF, USDCAD, schedule=tiered(is_pooled=is_pooled))
    book = a_book(make_book, leverage=500)

    book.apply(buy("USDCHF", lots="20"), market=market, now=NOON)
    book.apply(sell("USDCAD", lots="15"), market=market, now=NOON)

    assert book.account.margin == D(margin)


@pytest.mark.parametrize(
    ("charge", "at_entry", "at_close_by"),
    [(CommissionCharge.ENTRY, "-2", ["0", "0"]), (CommissionCharge.EXIT, "0", ["-2", "0"])],
)
def test_one_dollar_per_deal_and_a_close_by(make_book, charge, at_entry, at_close_by):
    market = view(USDCHF, commission=Commission(CommissionMode.PER_DEAL, D(1), charge))
    book = a_book(make_book, leverage=500)
    for command in (buy("USDCHF", lots="1"), sell("USDCHF", lots="1")):
        book.apply(command, market=market, now=NOON)
    entered = book.account.balance - 1_000_000

    outcome = book.apply(close_by(*book.positions), market=market, now=NOON)

    assert entered == D(at_entry)
    assert [deal.commission for deal in outcome.order.deals] == [D(amount) for amount in at_close_by]


def test_a_book_that_is_read_again_has_the_same_margin(make_book):
    """Pools do not depend on the order in which symbols are met."""
    market = view(USDCHF, USDCAD, schedule=tiered(is_pooled=True))
    book = a_book(make_book, leverage=500)
    for symbol, lots in (("USDCHF", "20"), ("USDCAD", "15"), ("USDCHF", "0.01")):
        book.apply(buy(symbol, lots=lots), market=market, now=NOON)
    told = book.account.margin
    account = Account(**{name: getattr(book.account, name) for name in Account.__slots__})

    again = AccountBook(
        account=account, positions=reversed(list(book.positions.values())), tickets=count(100)
    )
    again.apply(buy("USDCAD", lots="0.01"), market=market, now=NOON)
    book.apply(buy("USDCAD", lots="0.01"), market=market, now=NOON)

    assert again.account.margin == book.account.margin == told + D("20.00")  # 1,000 USD at 1:50
