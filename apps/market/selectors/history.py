"""
Configuration as of an instant: every table that keeps its history can be read as it was. Changes nothing.

The history holds what a row was before each change (`ConfigurationChange`), so the first change after an
instant tells what held then; a row without a later change still is what it was.
"""

from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, models

from apps.market.domain.sessions import Calendar
from apps.market.domain.symbols import SymbolSpec
from apps.market.models import (
    ConfigurationChange,
    Holiday,
    SessionHours,
    Symbol,
    TermsVersion,
    TradingSession,
)
from apps.market.selectors.symbols import DEMO_CALENDAR, calendar_of, spec_of

Row = TypeVar("Row", bound=models.Model)

# A row that is there today lends its values to columns that were added after the change was recorded.
AS_OF = """
    WITH first_change AS (
        SELECT DISTINCT ON (row_id) row_id, before FROM market_configurationchange
        WHERE table_name = %s AND {since} > %s ORDER BY row_id, id
    )
    SELECT present.* FROM {table} present
    WHERE NOT EXISTS (SELECT FROM first_change c WHERE c.row_id = present.id)
    UNION ALL
    SELECT (jsonb_populate_record(present, c.before)).*
    FROM first_change c LEFT JOIN {table} present ON present.id = c.row_id
    WHERE c.before IS NOT NULL
"""


def rows_as_of(model: type[Row], *, at: datetime) -> list[Row]:
    """Return all rows of a table that keeps its history as they were at an instant, by id."""
    return _rows_before(model, "at", at)


def rows_after_change(model: type[Row], *, change_id: int, column: str, value: int) -> list[Row]:
    """
    Return the rows of a table that keeps its history as they were right after one change, by id: those that
    then had this value in a column.
    """
    return _rows_before(model, "id", change_id, column=column, wanted=value)


def _rows_before(
    model: type[Row], since: str, value: datetime | int, *, column: str = "", wanted: int | None = None
) -> list[Row]:
    name = connection.ops.quote_name
    statement = AS_OF.format(table=name(model._meta.db_table), since=since)
    given: list[Any] = [model._meta.db_table, value]
    if column:
        statement = f"SELECT * FROM ({statement}) held WHERE held.{name(column)} = %s"  # noqa: S608 - our column
        given.append(wanted)
    return sorted(model._default_manager.raw(statement, given), key=lambda row: row.pk)


def has_changed_since(at: datetime) -> bool:
    """Say whether any configuration was changed after an instant."""
    return ConfigurationChange.objects.filter(at__gt=at).exists()


def change_instants(
    model: type[models.Model], *, after: datetime, until: datetime
) -> dict[int, list[datetime]]:
    """Return when rows were made, changed or deleted within (after, until], by row, oldest first."""
    found: dict[int, list[datetime]] = {}
    changes = ConfigurationChange.objects.filter(
        table_name=model._meta.db_table, at__gt=after, at__lte=until
    ).order_by("id")
    for row_id, at in changes.values_list("row_id", "at"):
        found.setdefault(row_id, []).append(at)
    return found


def made_at(model: type[models.Model], *, row_id: int) -> datetime | None:
    """Return when a row was made; None: before its history began."""
    return (
        ConfigurationChange.objects.filter(
            table_name=model._meta.db_table, row_id=row_id, before__isnull=True
        )
        .order_by("id")
        .values_list("at", flat=True)
        .first()
    )


def wait_for_writers() -> None:
    """
    Wait, inside a transaction, until changes under way are committed: each of them moves the terms version.

    What happened before an instant in the past is complete afterwards.
    """
    TermsVersion.objects.select_for_update().filter(pk=1).first()


def symbol_specs_at(at: datetime) -> dict[str, SymbolSpec]:
    """Return every symbol by name as it was at an instant, with the calendar of its session."""
    calendars = session_calendars_at(at)
    rows = sorted(rows_as_of(Symbol, at=at), key=lambda row: row.name)
    return {row.name: spec_of(row, calendars[row.session_id]) for row in rows}


def session_calendars_at(at: datetime) -> dict[int, Calendar]:
    """Return the calendar of every session as it was; all always open when the demo's setting says so."""
    sessions = rows_as_of(TradingSession, at=at)
    if settings.SESSIONS_ALWAYS_OPEN:
        return {session.pk: DEMO_CALENDAR for session in sessions}
    hours: dict[int, list[SessionHours]] = {}
    for opening in rows_as_of(SessionHours, at=at):
        hours.setdefault(opening.session_id, []).append(opening)
    holidays: dict[int, list[Holiday]] = {}
    for closed in rows_as_of(Holiday, at=at):
        holidays.setdefault(closed.session_id, []).append(closed)
    return {
        session.pk: calendar_of(session, hours.get(session.pk, ()), holidays.get(session.pk, ()))
        for session in sessions
    }
