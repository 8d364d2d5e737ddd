"""The simulated feed: the same seed gives the same market, and the market looks like one."""

import random
from decimal import Decimal

import pytest

from apps.market.adapters.feed import FeedRefused, refuse_in_production
from apps.market.adapters.simulated import SLEEP_MS, SimulatedFeed
from apps.market.domain.sessions import Calendar
from apps.market.domain.symbols import MarginMode, SymbolSpec, TradeMode

START_MS = 1_768_471_200_000  # 2026-01-15 10:00 UTC
ONE = Decimal(1)


def spec(name: str = "EURUSD", digits: int = 5, asset_class: str = "forex") -> SymbolSpec:
    return SymbolSpec(
        id=1, name=name, base_currency=name[:3], profit_currency=name[3:], margin_currency=name[:3],
        digits=digits, contract_size=ONE, volume_min=ONE, volume_max=ONE, volume_step=ONE,
        margin_mode=MarginMode.FOREX, margin_rate_buy=ONE, margin_rate_sell=ONE, margin_initial=ONE,
        hedged_contract_size=ONE, tick_size=ONE, tick_price=ONE, trade_mode=TradeMode.FULL,
        quote_age_max_ms=30_000, calendar=Calendar(always_open=True), asset_class=asset_class,
    )  # fmt: skip


def feed(seed: int = 7, **values) -> SimulatedFeed:
    return SimulatedFeed(**{"spec": spec(), "generator": random.Random(seed), "start_ms": START_MS, **values})


def run(made: SimulatedFeed, *, seconds: int, step_ms: int = 50) -> list:
    ticks = []
    for now_ms in range(START_MS, START_MS + seconds * 1000 + 1, step_ms):
        ticks += made.take(now_ms)
    return ticks


def test_same_seed_gives_the_same_ticks_however_often_it_is_asked():
    assert run(feed(), seconds=60, step_ms=7) == run(feed(), seconds=60, step_ms=500)
    assert run(feed(), seconds=60) != run(feed(seed=8), seconds=60)


@pytest.mark.parametrize(
    ("name", "digits", "asset_class"),
    [("EURUSD", 5, "forex"), ("USDJPY", 3, "forex"), ("XAUUSD", 3, "metal"), ("BTCUSD", 2, "crypto"),
     ("DE30EUR", 1, "index"), ("AAPL", 2, "stock"), ("WTI", 3, "commodity")],
)  # fmt: skip
def test_an_hour_is_a_market(name, digits, asset_class):
    ticks = run(feed(spec=spec(name, digits, asset_class)), seconds=3600)

    assert 3600 < len(ticks) < 36_000  # several ticks a second
    assert all(0 < tick.bid < tick.ask for tick in ticks)
    assert all(tick.bid.as_tuple().exponent == -digits for tick in ticks)
    assert [tick.time_ms for tick in ticks] == sorted(tick.time_ms for tick in ticks)
    assert len({tick.bid for tick in ticks}) > 20
    high, low = max(tick.bid for tick in ticks), min(tick.bid for tick in ticks)
    assert (high - low) / low < Decimal("0.05")


def test_it_goes_on_from_the_last_known_price():
    first = feed(start_bid=Decimal("1.20000")).take(START_MS)[0]

    assert abs(first.bid - Decimal("1.2")) < Decimal("0.001")


def test_a_sleeping_feed_does_not_catch_up():
    made = feed()
    made.take(START_MS)

    late = made.take(START_MS + 600_000)

    assert late[0].time_ms == START_MS + 600_000
    assert SLEEP_MS < 600_000


def test_demo_feeds_are_refused_in_production(settings):
    settings.DEMO = False

    with pytest.raises(FeedRefused, match="simulated feed only runs in a demo"):
        refuse_in_production("simulated")
