"""Configuration and quotes as of an instant: changes, new rows and deletions since are undone."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest

from apps.groups.models import (
    CommissionMode,
    CommissionTier,
    GroupSymbol,
    MarginBand,
    MarginSchedule,
    TradingGroup,
)
from apps.groups.selectors import terms_book, terms_book_at
from apps.market.models import Candle, Holiday, LastQuote, SessionHours, Symbol
from apps.market.selectors import history
from apps.market.selectors.history_quotes import Origin, quotes_at
from apps.market.services import ticks
from apps.market.services.ticks import StoredTick
from rtx.kernel import clock
from tests.integration.market.conftest import at

pytestmark = pytest.mark.django_db
D = Decimal


def then() -> datetime:
    """An instant that later changes come after."""
    return clock.now()


def test_changed_value_is_read_as_it_was(eurusd):
    before = then()
    Symbol.objects.filter(pk=eurusd.pk).update(swap_long=D("-7.5"), swap_multipliers=[1, 1, 1, 1, 3, 0, 0])
    between = then()
    Symbol.objects.filter(pk=eurusd.pk).update(swap_long=D("-9"))

    old, newer = history.symbol_specs_at(before)["EURUSD"], history.symbol_specs_at(between)["EURUSD"]

    assert old.swap_long == eurusd.swap_long
    assert old.swap_multipliers == (1, 1, 3, 1, 1, 0, 0)
    assert (newer.swap_long, newer.swap_multipliers) == (D("-7.5"), (1, 1, 1, 1, 3, 0, 0))


def test_row_made_since_is_left_out_and_deleted_one_is_there(symbols):
    session = symbols["AAPL"].session
    gone = Holiday.objects.create(session=session, date=date(2026, 11, 26), name="Thanksgiving")
    before = then()
    gone.delete()
    Holiday.objects.create(session=session, date=date(2026, 12, 1), closes_at=time(13))

    rows = history.rows_as_of(Holiday, at=before)

    assert [(row.date, row.name, row.closes_at) for row in rows] == [
        (date(2026, 11, 26), "Thanksgiving", None)
    ]
    assert history.rows_as_of(Holiday, at=then())[0].closes_at == time(13)


def test_calendar_is_that_of_the_instant(symbols, settings):
    settings.SESSIONS_ALWAYS_OPEN = False
    session = symbols["AAPL"].session
    before = then()
    SessionHours.objects.filter(session=session).update(opens_at=time(4))
    Holiday.objects.create(session=session, date=date(2026, 11, 26))

    past = history.session_calendars_at(before)[session.pk]

    assert past.is_open(at("2026-11-26T15:00:00"))
    assert not past.is_open(at("2026-11-25T10:00:00"))
    assert not history.session_calendars_at(then())[session.pk].is_open(at("2026-11-26T15:00:00"))


def test_without_changes_the_past_is_the_present(symbols):
    assert history.symbol_specs_at(then()) == terms_book().symbols


def test_terms_are_those_of_the_instant(symbols):
    group = TradingGroup.objects.create(
        name="vip", commission_mode=CommissionMode.PER_LOT, commission_value=D(5), swap_free=True
    )
    tier = CommissionTier.objects.create(group=group, from_size=D(10), value=D(3))
    schedule = MarginSchedule.objects.create(name="big", kind="notional")
    MarginBand.objects.create(schedule=schedule, up_to=D(1_000_000), value=D(500))
    own = GroupSymbol.objects.create(
        group=group, symbol=symbols["EURUSD"], swap_long=D(-4), margin_schedule=schedule
    )
    before, version = then(), terms_book().version
    assert terms_book_at(before).version == version
    tier.delete()
    MarginBand.objects.filter(schedule=schedule).update(value=D(50))
    own.delete()
    TradingGroup.objects.filter(pk=group.pk).update(swap_free=False, rollover_time=time(0))

    past, present = (
        book.terms[group.pk]["EURUSD"] for book in (terms_book_at(before), terms_book_at(then()))
    )

    assert past.commission.tiers == ((D(10), D(3)),)
    assert past.margin_schedule.bands[0].value == D(500)
    assert past.swap.long == D(-4)
    assert (past.group.swap_free, past.group.rollover.time) == (True, time(17))
    assert (present.commission.tiers, present.margin_schedule, present.group.swap_free) == ((), None, False)
    assert (past.version, present.version) == (0, terms_book().version)


def test_group_made_since_is_unknown(symbols):
    before = then()
    group = TradingGroup.objects.create(name="new")

    assert group.pk not in terms_book_at(before).groups
    assert history.made_at(TradingGroup, row_id=group.pk) > before


# -- quotes
# ---------------------------------------------------------------------------------------------------------


def store(symbol: Symbol, *rows: tuple[str, str, str]) -> None:
    ticks.ensure_days({at(moment).date() for moment, _, _ in rows})
    ticks.append(StoredTick(symbol.pk, at(moment), 0, "test", D(bid), D(ask)) for moment, bid, ask in rows)


def test_quote_is_the_last_tick_at_or_before_the_instant(eurusd):
    store(
        eurusd,
        ("2026-11-17T20:00:00", "1.10000", "1.10010"),
        ("2026-11-17T21:59:59.999", "1.10020", "1.10030"),
        ("2026-11-17T22:00:00.001", "1.10040", "1.10050"),
    )

    found = quotes_at(at("2026-11-17T22:00:00"))["EURUSD"]

    assert (found.quote.bid, found.quote.ask, found.origin) == (D("1.10020"), D("1.10030"), Origin.TICK)
    assert found.quote.time_ms == int(at("2026-11-17T21:59:59.999").timestamp() * 1000)
    assert quotes_at(at("2026-11-17T22:00:00.001"))["EURUSD"].quote.bid == D("1.10040")


def test_quote_of_an_earlier_day_holds_over_a_weekend(eurusd):
    store(eurusd, ("2026-11-13T21:59:00", "1.2", "1.3"), ("2026-11-16T00:00:00", "1.4", "1.5"))

    assert quotes_at(at("2026-11-15T12:00:00"))["EURUSD"].quote.bid == D("1.2")


def test_last_quote_serves_when_no_tick_is_stored(eurusd):
    LastQuote.objects.create(symbol=eurusd, bid=D("1.1"), ask=D("1.2"), time=at("2026-11-17T20:00:00"))

    assert quotes_at(at("2026-11-17T22:00:00"))["EURUSD"].origin is Origin.LAST_QUOTE
    assert "EURUSD" not in quotes_at(at("2026-11-17T19:00:00"))  # it came later


def candle(symbol: Symbol, interval: str, opened: str, close: str) -> None:
    price = D(close)
    Candle.objects.create(
        symbol=symbol, interval=interval, opened_at=at(opened), open=price, high=price, low=price, close=price
    )


def test_candle_serves_when_it_ended_before_and_began_after_the_last_tick(eurusd):
    store(eurusd, ("2026-11-17T20:00:30", "1.1", "1.2"))
    candle(eurusd, "1m", "2026-11-17T20:00:00", "1.15")
    candle(eurusd, "1m", "2026-11-17T21:58:00", "1.16")
    candle(eurusd, "1m", "2026-11-17T21:59:30", "1.17")  # still runs at 22:00

    found = quotes_at(at("2026-11-17T22:00:00"))["EURUSD"]

    assert (found.quote.bid, found.quote.ask, found.origin) == (D("1.16"), D("1.16"), Origin.CANDLE)
    assert quotes_at(at("2026-11-17T20:02:00"))["EURUSD"].origin is Origin.TICK


def test_daily_candles_tell_of_years_ago(eurusd):
    candle(eurusd, "1d", "2014-05-07T00:00:00", "1.39")

    assert quotes_at(at("2014-05-08T12:00:00"))["EURUSD"].quote.bid == D("1.39")
    assert "EURUSD" not in quotes_at(at("2014-05-07T12:00:00"))


def test_named_symbols_only(symbols):
    store(symbols["EURUSD"], ("2026-11-17T20:00:00", "1.1", "1.2"))
    store(symbols["GBPUSD"], ("2026-11-17T20:00:00", "1.3", "1.4"))

    assert set(quotes_at(at("2026-11-17T22:00:00"), names=["GBPUSD"])) == {"GBPUSD"}


def test_quotes_descend_the_index_of_the_newest_day_only(eurusd, owner):
    day = date(2026, 11, 1)
    ticks.ensure_days(day + timedelta(days=offset) for offset in range(10))
    owner.execute(
        "INSERT INTO market_tick (symbol_id, time, source, bid, ask) "
        "SELECT %s, '2026-11-01'::timestamptz + n * interval '10 seconds', 'x', 1, 2 "
        "FROM generate_series(1, 86000) n",
        [eurusd.pk],
    )
    owner.execute("ANALYZE market_tick")

    plan = "\n".join(
        row[0]
        for row in owner.execute(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT bid FROM market_tick "
            "WHERE symbol_id = %s AND time <= '2026-11-09 12:00+00' "
            "ORDER BY time DESC, nth DESC, source LIMIT 1",
            [eurusd.pk],
        )
    )

    assert "Seq Scan" not in plan
    assert plan.count("never executed") == 8  # of nine days up to that instant only the newest is read
