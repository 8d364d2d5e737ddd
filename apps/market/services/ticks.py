"""Stores ticks: COPY into daily partitions, which are created ahead and dropped by age. Reads no feed."""

import datetime
from collections.abc import Iterable
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction

from apps.market.models import TickDay
from rtx.kernel import bulk, clock

COLUMNS = ("symbol_id", "time", "nth", "source", "bid", "ask")
DAYS_AHEAD = 3

log = structlog.get_logger(__name__)


class StoredTick(NamedTuple):
    """One row of `market_tick`; `nth` counts earlier ticks of the symbol and source with the same time."""

    symbol_id: int
    time: datetime.datetime
    nth: int
    source: str
    bid: object
    ask: object


def append(rows: Iterable[StoredTick]) -> None:
    """Append ticks with one COPY. Their days must exist; runs in the caller's transaction."""
    copy_into("market_tick", rows)


def copy_into(table: str, rows: Iterable[StoredTick]) -> None:
    """Append ticks to a table of their columns."""
    with connection.cursor() as cursor, connection.wrap_database_errors:
        bulk.copy(cursor.cursor, table, COLUMNS, rows)


@transaction.atomic
def ensure_days(days: Iterable[datetime.date], *, keeps_history: bool = False) -> None:
    """Create the partitions of these days where missing; `keeps_history` protects them from being dropped."""
    for day in sorted(set(days)):
        with connection.cursor() as cursor:
            cursor.execute("SELECT market_create_tick_day(%s)", [day])
        row, _ = TickDay.objects.get_or_create(date=day)
        if keeps_history and not row.keeps_history:
            TickDay.objects.filter(date=day).update(keeps_history=True)


def ensure_days_ahead(*, today: datetime.date) -> None:
    """Create today's partition and those of the next days."""
    wanted = [today + datetime.timedelta(days=offset) for offset in range(-1, DAYS_AHEAD + 1)]
    known = set(TickDay.objects.filter(date__in=wanted).values_list("date", flat=True))
    ensure_days(day for day in wanted if day not in known)


def drop_old_days(*, today: datetime.date) -> list[datetime.date]:
    """Drop partitions older than `TICK_STORE_DAYS`, except those with imported history; return their days."""
    oldest = today - datetime.timedelta(days=settings.TICK_STORE_DAYS)
    dropped = []
    for day in TickDay.objects.filter(date__lt=oldest, keeps_history=False).values_list("date", flat=True):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT market_drop_tick_day(%s)", [day])
                TickDay.objects.filter(date=day).delete()
        except OperationalError as error:  # a writer holds the table: the next run finds the day again
            log.warning("tick_day_not_dropped", day=day.isoformat(), error=str(error))
            continue
        dropped.append(day)
    return dropped


def maintain_days() -> list[datetime.date]:
    """Create days ahead and drop old ones; return the dropped ones."""
    today = clock.now().date()
    ensure_days_ahead(today=today)
    return drop_old_days(today=today)
