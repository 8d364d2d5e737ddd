"""
Bulk writes: many rows in one statement, for the writer path. Builds SQL from fixed names only, never from
input.

`copy` is for new rows, `rows_as_json` feeds updates and upserts as one JSON parameter (measured faster than
arrays).
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import orjson
from psycopg import Cursor

from rtx.kernel.money import text


def copy(cursor: Cursor[Any], table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Append rows to a table with COPY."""
    with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as target:
        for row in rows:
            target.write_row(row)


def rows_as_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as the JSON text that `json_to_recordset` reads; Decimals become exact text."""
    named = [dict(zip(columns, row, strict=True)) for row in rows]
    return orjson.dumps(named, default=_plain).decode()


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return text(value)
    raise TypeError(f"{type(value).__name__} has no text form")
