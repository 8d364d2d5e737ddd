"""Daily partitions of ticks: made and dropped by a role that owns no table."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import ProgrammingError, connection

from apps.market.models import TickDay
from apps.market.services import ticks
from apps.market.services.ticks import StoredTick
from tests.integration.market.conftest import at


def partitions() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'market_tick'::regclass"
        )
        return {row[0] for row in cursor.fetchall()}


def row(symbol_id: int, time: str, bid: str = "1.1") -> StoredTick:
    return StoredTick(symbol_id, at(time), 0, "oanda", Decimal(bid), Decimal("1.2"))


def test_days_are_made_once_and_take_their_ticks(eurusd):
    ticks.ensure_days([date(2014, 5, 8), date(2014, 5, 9)])
    ticks.ensure_days([date(2014, 5, 8)])
    ticks.append([row(eurusd.pk, "2014-05-08T23:59:59.999"), row(eurusd.pk, "2014-05-09T00:00:00")])

    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text, bid FROM market_tick ORDER BY time")
        stored = cursor.fetchall()
    assert stored == [("market_tick_20140508", Decimal("1.1")), ("market_tick_20140509", Decimal("1.1"))]
    assert partitions() == {"market_tick_20140508", "market_tick_20140509"}


def test_days_ahead_exist_before_they_are_needed(db):
    ticks.ensure_days_ahead(today=date(2026, 1, 15))

    assert partitions() == {f"market_tick_202601{day}" for day in range(14, 19)}


def test_day_is_made_while_others_write_and_its_drop_does_not_hold_them_up(eurusd, owner):
    ticks.ensure_days([date(2014, 5, 8)])
    with owner.transaction():
        owner.execute("INSERT INTO market_tick SELECT %s, '2014-05-08', 0, 'x', 1, 1", [eurusd.pk])

        ticks.ensure_days([date(2014, 5, 9)])

        assert ticks.drop_old_days(today=date(2026, 1, 1)) == []
    assert ticks.drop_old_days(today=date(2026, 1, 1)) == [date(2014, 5, 9), date(2014, 5, 8)]
    assert partitions() == set()


def test_old_days_go_and_imported_history_stays(db, settings):
    settings.TICK_STORE_DAYS = 30
    today = date(2026, 3, 1)
    ticks.ensure_days([today - timedelta(days=31), today - timedelta(days=30)])
    ticks.ensure_days([date(2014, 5, 8)], keeps_history=True)

    dropped = ticks.drop_old_days(today=today)

    assert dropped == [date(2026, 1, 29)]
    assert partitions() == {"market_tick_20260130", "market_tick_20140508"}
    assert set(TickDay.objects.values_list("date", flat=True)) == {date(2026, 1, 30), date(2014, 5, 8)}


def test_day_that_gets_imported_history_is_kept_from_then_on(db):
    ticks.ensure_days([date(2026, 1, 1)])
    ticks.ensure_days([date(2026, 1, 1)], keeps_history=True)
    ticks.ensure_days([date(2026, 1, 1)])

    assert TickDay.objects.get().keeps_history is True


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE market_tick_x PARTITION OF market_tick DEFAULT",
        "DROP TABLE market_tick",
        "ALTER TABLE market_tick ADD COLUMN x int",
        "TRUNCATE market_tick",
        "DROP FUNCTION market_create_tick_day(date)",
    ],
)
def test_application_role_owns_nothing(db, statement):
    with (
        pytest.raises(ProgrammingError, match=r"must be owner|permission denied"),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_functions_are_for_the_application_only(db, owner):
    allowed = owner.execute(
        "SELECT has_function_privilege(%s, 'market_create_tick_day(date)', 'EXECUTE'), "
        "has_function_privilege('public', 'market_create_tick_day(date)', 'EXECUTE')",
        ["rtx_app"],
    ).fetchone()

    assert allowed == (True, False)
