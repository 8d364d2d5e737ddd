"""What the dashboard computes from sums: exposure, the house's side of it, conversion at mid prices."""

from decimal import Decimal

import pytest

from apps.console.selectors import Kept, Rates, exposure
from apps.market.domain.quotes import Quote
from apps.market.domain.sessions import Calendar
from apps.market.domain.symbols import MarginMode, SymbolSpec, TradeMode
from apps.trading.domain.pricing import ConversionTable


def spec(name: str, *, contract_size: str = "100000", digits: int = 5) -> SymbolSpec:
    one = Decimal(1)
    return SymbolSpec(
        id=1,
        name=name,
        base_currency=name[:3],
        profit_currency=name[3:],
        margin_currency=name[:3],
        digits=digits,
        contract_size=Decimal(contract_size),
        volume_min=Decimal("0.01"),
        volume_max=Decimal(100),
        volume_step=Decimal("0.01"),
        margin_mode=MarginMode.FOREX,
        margin_rate_buy=one,
        margin_rate_sell=one,
        margin_initial=Decimal(0),
        hedged_contract_size=Decimal(contract_size),
        tick_size=Decimal(0),
        tick_price=Decimal(0),
        trade_mode=TradeMode.FULL,
        quote_age_max_ms=30_000,
        calendar=Calendar(always_open=True),
    )


SYMBOLS = {name: spec(name) for name in ("EURUSD", "USDJPY", "EURGBP")}


def rates(**mids: str) -> Rates:
    quotes = {name: Quote(name, Decimal(mid), Decimal(mid), 0) for name, mid in mids.items()}
    return Rates(quotes=quotes, table=ConversionTable(SYMBOLS.values()))


def test_the_house_holds_the_opposite_of_the_clients_result() -> None:
    sums = [
        ("EURUSD", "buy", Decimal(3), Decimal("3.30"), 5),  # 3 lots at 1.10
        ("EURUSD", "sell", Decimal(1), Decimal("1.12"), 1),  # 1 lot at 1.12
    ]

    (row,) = exposure(sums, symbols=SYMBOLS, rates=rates(EURUSD="1.11"))

    # clients: 3 x 0.01 x 100,000 + 1 x 0.01 x 100,000 = 4,000
    assert (row["net"], row["positions"], row["notional"], row["house"]) == ("2", 6, "222000.00", "-4000.00")


def test_amounts_in_other_currencies_are_converted_at_mid() -> None:
    sums = [("USDJPY", "sell", Decimal(1), Decimal(150), 1)]

    (row,) = exposure(sums, symbols=SYMBOLS, rates=rates(USDJPY="151"))

    # notional: 1 x 100,000 x 151 JPY = 100,000 USD short; clients lose 1 JPY x 100,000 / 151
    assert (row["net"], row["notional"], row["house"]) == ("-1", "-100000.00", "662.25")


def test_without_a_price_exposure_is_unknown_not_zero() -> None:
    (row,) = exposure([("EURGBP", "buy", Decimal(1), Decimal("0.85"), 1)], symbols=SYMBOLS, rates=rates())

    assert (row["net"], row["notional"], row["house"]) == ("1", None, None)


def test_the_largest_exposure_comes_first() -> None:
    sums = [
        ("EURUSD", "buy", Decimal("0.1"), Decimal("0.11"), 1),
        ("USDJPY", "sell", Decimal(2), Decimal(300), 1),
    ]

    rows = exposure(sums, symbols=SYMBOLS, rates=rates(EURUSD="1.10", USDJPY="150"))

    assert [row["symbol"] for row in rows] == ["USDJPY", "EURUSD"]


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [("5", "USD", "5"), ("10", "EUR", "11.0"), ("300", "JPY", "2"), ("1", "CHF", None)],
)
def test_conversion_takes_the_pair_either_way_round(amount: str, currency: str, expected: str | None) -> None:
    found = rates(EURUSD="1.10", USDJPY="150").convert(Decimal(amount), currency)

    assert found == (None if expected is None else Decimal(expected))


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
