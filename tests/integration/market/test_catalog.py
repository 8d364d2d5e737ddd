"""What others read of the market: the symbol catalog, last quotes, feed ages; and the periodic tasks."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.market import tasks
from apps.market.domain.symbols import MarginMode, TradeMode
from apps.market.models import Candle, FeedStatus, LastQuote, SessionHours, Symbol, TickDay, TradingSession
from apps.market.selectors import quotes, symbols
from apps.market.services import ticks
from apps.market.services.symbols import seed_demo_symbols
from apps.market.services.ticks import StoredTick
from rtx.kernel import clock
from tests.integration.market.conftest import at

SATURDAY, MONDAY = at("2026-01-17T12:00:00"), at("2026-01-19T15:00:00")


def test_seed_makes_twelve_symbols_of_six_classes_once(db):
    seed_demo_symbols()
    Symbol.objects.filter(name="EURUSD").update(description="changed by the operator")

    seed_demo_symbols()

    assert Symbol.objects.count() == 12
    assert Symbol.objects.values("asset_class").distinct().count() == 6
    assert Symbol.objects.get(name="EURUSD").description == "changed by the operator"
    assert SessionHours.objects.count() == 6 + 10 + 5 + 5


@pytest.mark.parametrize(("always_open", "on_saturday"), [(False, {"BTCUSD"}), (True, None)])
def test_demo_switch_opens_every_calendar_without_touching_the_data(
    seeded, settings, always_open, on_saturday
):
    settings.SESSIONS_ALWAYS_OPEN = always_open

    specs = symbols.symbol_specs()

    opened = {name for name, spec in specs.items() if spec.calendar.is_open(SATURDAY)}
    assert opened == (set(specs) if on_saturday is None else on_saturday)
    assert all(spec.calendar.is_open(MONDAY) for spec in specs.values() if spec.asset_class != "stock")
    assert TradingSession.objects.filter(always_open=True).count() == 1
    label = symbols.session_label(TradingSession.objects.get(name="Forex 24/5"))
    assert label == ("Demo session (always open)" if always_open else "Forex 24/5")


@pytest.fixture
def seeded(db) -> list[Symbol]:
    return seed_demo_symbols()


def test_spec_carries_the_symbols_facts(seeded):
    spec = symbols.symbol_specs()["USDJPY"]

    assert (spec.digits, spec.point, spec.contract_size) == (3, Decimal("0.001"), Decimal(100_000))
    assert (spec.base_currency, spec.profit_currency, spec.margin_currency) == ("USD", "JPY", "USD")
    assert (spec.margin_mode, spec.trade_mode, spec.quote_age_max_ms) == (
        MarginMode.FOREX,
        TradeMode.FULL,
        30_000,
    )
    assert spec.hedged_contract_size == spec.contract_size


def test_inactive_symbol_cannot_be_traded_and_is_not_fed(seeded):
    Symbol.objects.filter(name="WTI").update(is_active=False)

    assert symbols.symbol_specs()["WTI"].trade_mode is TradeMode.DISABLED
    assert "WTI" not in symbols.fed_symbols()


def test_every_change_of_configuration_moves_the_terms_version(seeded):
    before = symbols.terms_version()

    Symbol.objects.filter(name="WTI").update(volume_max=Decimal(7))

    assert symbols.terms_version() == before + 1 > 1


def test_catalog_costs_the_same_number_of_queries_for_any_number_of_symbols(
    seeded, django_assert_num_queries
):
    with django_assert_num_queries(4):
        symbols.symbol_specs()


def test_ages_tell_what_each_feed_delivers(seeded, django_assert_num_queries):
    now = clock.now()
    eurusd = seeded[0]
    LastQuote.objects.create(
        symbol=eurusd, bid=1, ask=2, time=now - timedelta(seconds=7), source="simulated", simulated=True
    )
    FeedStatus.objects.create(
        symbol=eurusd, provider="simulated", accepted=10, refused_crossed=2, refused_spike=1,
        started_at=now, updated_at=now,
    )  # fmt: skip

    with django_assert_num_queries(1):
        ages = {age.symbol: age for age in quotes.feed_ages(now=now)}

    assert len(ages) == 12
    assert ages["EURUSD"] == quotes.FeedAge("EURUSD", "simulated", True, 7.0, 10, 3)
    assert ages["WTI"].age_s is None


def test_times_survive_the_way_through_the_database_to_the_millisecond(seeded):
    time_ms = 1_768_471_200_999
    LastQuote.objects.create(symbol=seeded[0], bid=1, ask=2, time=clock.from_ms(time_ms))

    assert quotes.last_quotes().quotes["EURUSD"].time_ms == time_ms


def test_tasks_make_days_and_candles_and_may_run_twice(seeded):
    tasks.maintain_tick_partitions()
    opened = (clock.now() - timedelta(minutes=3)).replace(second=0, microsecond=0)
    ticks.append([StoredTick(seeded[0].pk, opened, 0, "oanda", Decimal("1.1"), Decimal("1.2"))])

    for _ in range(2):
        tasks.build_candles()
        tasks.maintain_tick_partitions()

    assert TickDay.objects.count() == 5
    assert Candle.objects.get(interval="1m").opened_at == opened
    assert Candle.objects.count() == 6
