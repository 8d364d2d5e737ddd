"""
The logs that are sealed, and their entries as canonical bytes. Reads only.

`SEALED_LOGS` names them by dotted path: the app that owns a table describes it, this one seals it.
"""

from functools import lru_cache

from django.conf import settings
from django.db import connection
from django.db.models import Model
from django.utils.module_loading import import_string

from apps.audit.domain.entries import RECORD_BYTES, Entry, SealedLog, at, record_of

Place = tuple[int, int]
START: Place = (0, -(2**63))
END: Place = (2**63 - 1, 2**63 - 1)
BELOW_RUNNING = "xact < pg_snapshot_xmin(pg_current_snapshot())"


@lru_cache(maxsize=1)
def sealed_logs() -> dict[str, SealedLog]:
    """Return every sealed log by name."""
    found: list[SealedLog] = [import_string(path) for path in settings.SEALED_LOGS]
    return {log.name: log for log in found}


def uncovered_columns(log: SealedLog, model: type[Model]) -> set[str]:
    """Return the columns of a table that its latest form leaves out: there must be none."""
    columns = {str(field.column) for field in model._meta.concrete_fields}
    return columns - log.covered - set(log.forms[-1])


def _line_query(log: SealedLog, form: int) -> str:
    at_us = "(extract(epoch FROM at) * 1000000)::bigint"
    rest = ", ".join(log.forms[form - 1])
    return f"SELECT xact, id, {at_us}, {log.subject}, {log.seq}, {rest} FROM {log.table}"  # noqa: S608 - fixed names


def records_between(
    log: SealedLog, after: Place, upto: Place = END, *, form: int, limit: int | None = None
) -> bytes:
    """
    Return what a seal keeps of the settled entries after one place and up to another, in order.

    Settled: no transaction still runs that could write among them. `limit` bounds how many there are.
    """
    statement = (
        f"COPY ({_line_query(log, form)} WHERE (xact, id) > (%s::text::xid8, %s)"
        f" AND (xact, id) <= (%s::text::xid8, %s) AND {BELOW_RUNNING} ORDER BY xact, id LIMIT %s) TO STDOUT"
    )
    given = [str(after[0]), after[1], str(upto[0]), upto[1], limit]
    records = bytearray()
    with connection.cursor() as cursor, cursor.copy(statement, given) as copied:
        for line in copied:
            records += record_of(bytes(line[:-1]))
    return bytes(records)


def count_unsealed(log: SealedLog, after: Place, *, most: int) -> tuple[int, float]:
    """Return how many entries (at most `most`) wait to be sealed, and the age of the oldest in seconds."""
    statement = f"""
        SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)
        FROM (
            SELECT at FROM {log.table} WHERE (xact, id) > (%s::text::xid8, %s) ORDER BY xact, id LIMIT %s
        ) waiting
    """  # noqa: S608 - built from fixed names
    with connection.cursor() as cursor:
        cursor.execute(statement, [str(after[0]), after[1], most])
        found, age = cursor.fetchone()
    return int(found), max(0.0, float(age))


def next_transaction() -> int:
    """Return the lowest transaction id that nothing visible can bear yet."""
    statement = """
        SELECT pg_snapshot_xmax(pg_current_snapshot())::text, pg_current_xact_id_if_assigned()::text
    """
    with connection.cursor() as cursor:
        cursor.execute(statement)
        xmax, own = cursor.fetchone()
    return max(int(xmax), 0 if own is None else int(own) + 1)


def newest_transaction(log: SealedLog) -> int:
    """Return the highest transaction id that an entry bears; 0: there is none."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT xact::text AS found FROM {log.table} ORDER BY xact DESC LIMIT 1")  # noqa: S608
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def entry_by_id(log: SealedLog, entry_id: int, *, form: int) -> Entry | None:
    """Return an entry as it stands now; None: it is gone."""
    statement = f"COPY ({_line_query(log, form)} WHERE id = %s) TO STDOUT"
    with connection.cursor() as cursor, cursor.copy(statement, [entry_id]) as copied:
        records = b"".join([record_of(bytes(line[:-1])) for line in copied])
    return at(records, 0)


def is_anything_between(log: SealedLog, after: Place, upto: Place) -> bool:
    """Tell whether any entry stands after one place and not after another."""
    statement = (
        f"SELECT EXISTS (SELECT FROM {log.table} WHERE (xact, id) > (%s::text::xid8, %s)"  # noqa: S608
        " AND (xact, id) <= (%s::text::xid8, %s))"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [str(after[0]), after[1], str(upto[0]), upto[1]])
        return bool(cursor.fetchone()[0])


def subject_name(log: SealedLog, subject: int) -> str:
    """Return how people call whom an entry is about; empty: nobody."""
    if not (log.subject_query and subject):
        return ""
    with connection.cursor() as cursor:
        cursor.execute(log.subject_query, [subject])
        row = cursor.fetchone()
    return str(row[0]) if row else f"number {subject}"


def entries_in(records: bytes) -> int:
    """Return how many entries a batch has."""
    return len(records) // RECORD_BYTES
