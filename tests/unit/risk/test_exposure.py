"""Exposure from sums of positions: every cut of it, conversion at mid prices, and what is not known."""

from decimal import Decimal

import pytest

from apps.market.domain.quotes import Quote
from apps.market.domain.sessions import Calendar
from apps.market.domain.symbols import MarginMode, SymbolSpec, TradeMode
from apps.risk.domain.exposure import Held, exposure
from apps.risk.domain.rates import Rates
from apps.risk.selectors.exposure import symbol_rows
from apps.risk.selectors.kept import Kept
from apps.trading.domain.orders import ContractTerms
from apps.trading.domain.pricing import ConversionTable

D = Decimal
ONE = D(1)


def spec(name: str, *, base: str = "", profit: str = "", contract_size: str = "100000") -> SymbolSpec:
    return SymbolSpec(
        id=1,
        name=name,
        base_currency=base or name[:3],
        profit_currency=profit or name[3:],
        margin_currency=base or name[:3],
        digits=5,
        contract_size=D(contract_size),
        volume_min=D("0.01"),
        volume_max=D(100),
        volume_step=D("0.01"),
        margin_mode=MarginMode.FOREX,
        margin_rate_buy=ONE,
        margin_rate_sell=ONE,
        margin_initial=D(0),
        hedged_contract_size=D(contract_size),
        tick_size=D(0),
        tick_price=D(0),
        trade_mode=TradeMode.FULL,
        quote_age_max_ms=30_000,
        calendar=Calendar(always_open=True),
    )


SYMBOLS = {name: spec(name) for name in ("EURUSD", "USDJPY", "EURGBP", "GBPUSD")}
SYMBOLS["US500"] = spec("US500", base="USD", profit="USD", contract_size="1")


def held(
    symbol: str,
    side: str,
    lots: str,
    price: str,
    *,
    group: int = 1,
    book: str = "b",
    positions: int = 1,
    tick_factor: str = "1",
) -> Held:
    known = SYMBOLS[symbol]
    terms = ContractTerms(
        mode=known.margin_mode,
        contract_size=known.contract_size,
        hedged_contract_size=known.contract_size,
        leverage=100,
        rate_buy=ONE,
        rate_sell=ONE,
        initial=D(0),
        tick_factor=D(tick_factor),
        digits=5,
        margin_currency=known.margin_currency,
        profit_currency=known.profit_currency,
    )
    return Held(
        group_id=group,
        symbol=symbol,
        is_buy=side == "buy",
        book=book,
        terms=terms,
        positions=positions,
        lots=D(lots),
        cost=D(lots) * D(price),
    )


def rates(**mids: str) -> Rates:
    quotes = {name: Quote(name, D(mid), D(mid), 0) for name, mid in mids.items()}
    return Rates(quotes=quotes, table=ConversionTable(SYMBOLS.values()))


def test_the_house_holds_the_opposite_of_the_clients_result() -> None:
    sums = [held("EURUSD", "buy", "3", "1.10", positions=5), held("EURUSD", "sell", "1", "1.12")]

    (row,) = symbol_rows(sums, symbols=SYMBOLS, rates=rates(EURUSD="1.11"))

    # clients: 3 x 0.01 x 100,000 + 1 x 0.01 x 100,000 = 4,000
    assert (row["net"], row["positions"], row["notional"], row["house"]) == ("2", 6, "222000.00", "-4000.00")


def test_a_hedge_has_no_net_and_all_of_its_gross() -> None:
    found = exposure(
        [held("EURUSD", "buy", "2", "1.10"), held("EURUSD", "sell", "2", "1.12")],
        symbols=SYMBOLS,
        rates=rates(EURUSD="1.11"),
    )

    line = found.symbols["EURUSD"]
    assert (line.net_lots, line.net, line.gross, line.floating) == (0, 0, D(444_000), D(4_000))
    # what is left of the currencies: 2 x (1.12 - 1.10) x 100,000 earned, and no euro
    assert (found.currencies["EUR"].net, found.currencies["EUR"].gross) == (0, D(400_000))
    assert found.currencies["USD"].net == D(4_000)


def test_amounts_in_other_currencies_are_converted_at_mid() -> None:
    (row,) = symbol_rows([held("USDJPY", "sell", "1", "150")], symbols=SYMBOLS, rates=rates(USDJPY="151"))

    # notional: 1 x 100,000 x 151 JPY = 100,000 USD short; clients lose 1 JPY x 100,000 / 151
    assert (row["net"], row["notional"], row["house"]) == ("-1", "-100000.00", "662.25")


def test_a_cross_exposes_both_of_its_currencies() -> None:
    found = exposure(
        [held("EURGBP", "buy", "1", "0.85")],
        symbols=SYMBOLS,
        rates=rates(EURGBP="0.88", EURUSD="1.10", GBPUSD="1.25"),
    )

    assert found.currencies["EUR"].net == D(100_000)
    assert found.currencies["EUR"].net_shown == D(110_000)
    assert found.currencies["GBP"].net == D(-85_000)  # what was paid for it, whatever it costs now
    assert found.currencies["GBP"].net_shown == D(-106_250)
    assert found.symbols["EURGBP"].net == D(110_000)  # 100,000 x 0.88 x 1.25
    assert found.symbols["EURGBP"].floating == D(3_750)  # 100,000 x 0.03 x 1.25


def test_a_symbol_that_is_no_pair_exposes_its_currency_by_its_result_alone() -> None:
    found = exposure([held("US500", "buy", "10", "5000")], symbols=SYMBOLS, rates=rates(US500="5100"))

    assert found.symbols["US500"].net == D(51_000)
    assert found.currencies["USD"].net == D(1_000)


def test_a_point_of_an_index_counts_at_its_tick_price() -> None:
    found = exposure(
        [held("US500", "buy", "2", "5000", tick_factor="12.5")], symbols=SYMBOLS, rates=rates(US500="5001")
    )

    assert (found.total.net, found.total.floating) == (D("125025"), D("25"))


def test_groups_and_books_are_told_apart() -> None:
    found = exposure(
        [
            held("EURUSD", "buy", "1", "1.10", group=1, book="b"),
            held("EURUSD", "sell", "0.4", "1.10", group=2, book="a"),
        ],
        symbols=SYMBOLS,
        rates=rates(EURUSD="1.10"),
    )

    assert {group: line.net for group, line in found.groups.items()} == {1: D(110_000), 2: D(-44_000)}
    assert {book: line.gross for book, line in found.books.items()} == {"b": D(110_000), "a": D(44_000)}
    assert (found.total.net, found.total.gross, found.total.positions) == (D(66_000), D(154_000), 2)


def test_another_currency_may_be_asked_for() -> None:
    found = exposure(
        [held("EURUSD", "buy", "1", "1.00")], symbols=SYMBOLS, rates=rates(EURUSD="1.25"), currency="EUR"
    )

    assert (found.total.net, found.total.floating) == (D(100_000), D(20_000))


def test_without_a_price_exposure_is_unknown_not_zero() -> None:
    found = exposure([held("EURGBP", "buy", "1", "0.85")], symbols=SYMBOLS, rates=rates())
    (row,) = symbol_rows([held("EURGBP", "buy", "1", "0.85")], symbols=SYMBOLS, rates=rates())

    assert (row["net"], row["notional"], row["house"]) == ("1", None, None)
    assert found.unpriced == {"EURGBP"}
    assert found.total.net is None


def test_the_largest_exposure_comes_first() -> None:
    sums = [held("EURUSD", "buy", "0.1", "1.10"), held("USDJPY", "sell", "2", "150")]

    rows = symbol_rows(sums, symbols=SYMBOLS, rates=rates(EURUSD="1.10", USDJPY="150"))

    assert [row["symbol"] for row in rows] == ["USDJPY", "EURUSD"]


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [("5", "USD", "5"), ("10", "EUR", "11.0"), ("300", "JPY", "2"), ("1", "CHF", None)],
)
def test_conversion_takes_the_pair_either_way_round(amount: str, currency: str, expected: str | None) -> None:
    found = rates(EURUSD="1.10", USDJPY="150").convert(D(amount), currency)

    assert found == (None if expected is None else D(expected))


def test_a_kept_result_is_computed_once() -> None:
    kept, calls = Kept(), []

    for _ in range(3):
        kept.get("key", 60, lambda: calls.append(1))

    assert len(calls) == 1


def test_a_result_is_computed_again_when_forgotten() -> None:
    kept, calls = Kept(), []
    kept.get("key", 60, lambda: calls.append(1))

    kept.forget()
    kept.get("key", 60, lambda: calls.append(1))

    assert len(calls) == 2
