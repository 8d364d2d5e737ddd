"""Correlations and value at risk from stored candles: what counts, what is left out, what is kept."""

import math
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.market.models import Candle, Symbol
from apps.risk import tasks
from apps.risk.models import Correlation, ValueAtRisk
from apps.risk.selectors.correlations import between, correlations
from apps.risk.services import correlations as service
from apps.risk.services import value_at_risk
from apps.risk.services.correlations import CorrelationInvalid
from apps.trading.domain.orders import Side
from apps.trading.services import executor
from rtx.kernel import clock
from tests.factories.rows import D, make_group, make_holder, market_order, show

pytestmark = pytest.mark.django_db
DAYS = 40


def history(symbol: Symbol, moves: list[float], *, start: float = 1.0, interval: str = "1d") -> None:
    """Store finished candles whose closes make these log returns, the last of them yesterday's."""
    step = timedelta(days=1) if interval == "1d" else timedelta(hours=1)
    last = clock.now().replace(minute=0, second=0, microsecond=0) - 2 * step
    closes = [start]
    for move in moves:
        closes.append(closes[-1] * math.exp(move))
    Candle.objects.bulk_create(
        Candle(
            symbol=symbol,
            interval=interval,
            opened_at=last - step * (len(closes) - 1 - place),
            **dict.fromkeys(("open", "high", "low", "close"), D(repr(close))),
        )
        for place, close in enumerate(closes)
    )


UP = [0.01 if place % 2 else -0.01 for place in range(DAYS)]


def test_pairs_with_enough_common_history_are_estimated(symbols: dict[str, Symbol]) -> None:
    history(symbols["EURUSD"], UP)
    history(symbols["GBPUSD"], [2 * move for move in UP])
    history(symbols["USDJPY"], [-move for move in UP], start=150)
    history(symbols["EURGBP"], UP[:10])

    done = service.estimate_all(now=clock.now())
    found = correlations()

    assert (done.pairs, done.too_short, done.without_history) == (3, 3, [])
    assert found["EURUSD", "GBPUSD"] == found["GBPUSD", "EURUSD"] == 1
    assert found["EURUSD", "USDJPY"] == -1
    assert between(found, "EURUSD", "EURGBP") is None
    assert between(found, "EURUSD", "EURUSD") == 1
    assert {row.observations for row in Correlation.objects.all()} == {DAYS}


def test_an_override_survives_the_next_estimate_and_wins(symbols: dict[str, Symbol]) -> None:
    history(symbols["EURUSD"], UP)
    history(symbols["GBPUSD"], UP)
    service.estimate_all(now=clock.now())
    row = Correlation.objects.get()

    service.override(correlation_id=row.pk, value=D("0.25"), reason="one event")
    tasks.estimate_correlations()
    overridden = correlations()
    service.clear(correlation_id=row.pk)

    assert overridden["EURUSD", "GBPUSD"] == D("0.25")
    assert correlations()["EURUSD", "GBPUSD"] == 1


@pytest.mark.parametrize(("value", "reason"), [("1.01", "why"), ("-2", "why"), ("NaN", "why"), ("0.5", "  ")])
def test_an_override_is_a_correlation_with_a_reason(
    symbols: dict[str, Symbol], value: str, reason: str
) -> None:
    row = service.pair(first="EURUSD", second="GBPUSD")

    with pytest.raises(CorrelationInvalid):
        service.override(correlation_id=row.pk, value=D(value), reason=reason)


def test_hourly_candles_stand_in_where_daily_ones_are_few(symbols: dict[str, Symbol]) -> None:
    for name in ("EURUSD", "GBPUSD"):
        history(symbols[name], UP, interval="1h")

    service.estimate_all(now=clock.now())

    assert Correlation.objects.get().interval == "1h"


def test_an_unfinished_candle_does_not_count(symbols: dict[str, Symbol]) -> None:
    for name in ("EURUSD", "GBPUSD"):
        history(symbols[name], UP)
        Candle.objects.create(
            symbol=symbols[name], interval="1d", opened_at=clock.now(), open=1, high=1, low=1, close=9
        )

    service.estimate_all(now=clock.now())

    assert Correlation.objects.get().observations == DAYS


def held(side: Side, symbol: str, lots: str) -> None:
    holder = make_holder(group=make_group(f"g{symbol}{side}".lower()), balance="1000000")
    assert executor.run(market_order(holder, side, symbol, lots=lots)).order.status == "filled"


def test_value_at_risk_of_one_symbol_is_its_worst_day(symbols: dict[str, Symbol]) -> None:
    history(symbols["EURUSD"], [*UP[:-2], 0.03, -0.05])
    held(Side.SELL, "EURUSD", "2.00")  # the house is long 2 lots
    show({"EURUSD": ("1.10000", "1.10000")})
    found = {}
    for method in ("historical", "parametric"):
        row = value_at_risk.run(
            method=method, confidence_pct=D(99), horizon_days=4, interval="1d", now=clock.now()
        )
        found[method] = row

    # 220,000 x (1 - e^-0.05) x sqrt(4)
    assert found["historical"].amount == D("21459.05")
    assert found["historical"].detail["exposures"] == {"EURUSD": "220000.00"}
    moves = [*UP[:-2], 0.03, -0.05]
    mean = sum(moves) / DAYS
    sigma = math.sqrt(sum((move - mean) ** 2 for move in moves) / (DAYS - 1))
    assert float(found["parametric"].amount) == pytest.approx(
        2.3263478740408408 * sigma * 220_000 * 2, abs=0.01
    )


def test_opposite_positions_in_symbols_that_move_together_cancel(symbols: dict[str, Symbol]) -> None:
    history(symbols["EURUSD"], UP)
    history(symbols["GBPUSD"], UP)
    show({"EURUSD": ("1.25000", "1.25000"), "GBPUSD": ("1.25000", "1.25000")})
    held(Side.BUY, "EURUSD", "1.00")
    held(Side.SELL, "GBPUSD", "1.00")

    row = value_at_risk.run(
        method="historical", confidence_pct=D(95), horizon_days=1, interval="1d", now=clock.now()
    )

    assert row.amount == 0
    # alone: 125,000 x (1 - e^-0.01) long, 125,000 x (e^0.01 - 1) short
    assert row.detail["alone"] == {"EURUSD": "1256.27", "GBPUSD": "1243.77"}


def test_symbols_without_history_or_price_are_named(symbols: dict[str, Symbol]) -> None:
    history(symbols["EURUSD"], UP)
    history(symbols["GBPUSD"], UP[:5])
    for symbol in ("EURUSD", "GBPUSD", "USDJPY"):
        held(Side.BUY, symbol, "1.00")

    tasks.estimate_value_at_risk()

    rows = list(ValueAtRisk.objects.all())
    assert len(rows) == 6
    assert {row.observations for row in rows} == {DAYS}
    assert rows[0].detail["left_out"] == {
        "GBPUSD": "6 candles of 1d, 31 needed",
        "USDJPY": "0 candles of 1d, 31 needed",
    }
    assert all(row.amount > 0 for row in rows)


def test_a_house_without_positions_risks_nothing(symbols: dict[str, Symbol]) -> None:
    row = value_at_risk.run(
        method="parametric", confidence_pct=D(99), horizon_days=1, interval="1d", now=clock.now()
    )

    assert (row.amount, row.observations, row.detail["left_out"]) == (Decimal(0), 0, {})
