"""
Versions of configuration: every saved change of a row and of the rows that belong to it, in words and values,
with who made it and why. Reads the history that triggers keep and the staff log; changes nothing.

What one transaction changed is one version. Changes that no member of staff made (imports, commands) name
nobody.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, models

from apps.audit.models import StaffAction
from rtx.kernel.money import plain

VERSIONS_MAX = 200
CHANGES_MAX = 2_000
NAMING = ("name", "symbol_id", "up_to", "from_size")  # columns that tell which row it is
Parts = tuple[tuple[type[models.Model], str], ...]  # tables that belong to a row, and their key to it
Values = dict[str, Any]

CHANGES = """
    SELECT * FROM (
        SELECT c.id, c.row_id, c.at, c.xact::text AS xact, c.before::text AS before,
               CASE WHEN lead(c.id) OVER following IS NULL THEN to_jsonb(present)::text
                    ELSE (lead(c.before) OVER following)::text END AS after
        FROM market_configurationchange c LEFT JOIN {table} present ON present.id = c.row_id
        WHERE c.table_name = %(table)s AND c.row_id IN ({rows})
        WINDOW following AS (PARTITION BY c.row_id ORDER BY c.id)
    ) found
    WHERE before IS DISTINCT FROM after
    ORDER BY id DESC LIMIT %(most)s
"""
OWN = "SELECT %(key)s"
BELONGING = """
    SELECT id FROM {table} WHERE {link} = %(key)s
    UNION SELECT row_id FROM market_configurationchange
    WHERE table_name = %(table)s AND (before->>'{link}')::bigint = %(key)s
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value before and after, as people read them."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RowChange:
    """What happened to one row: `added`, `changed` or `deleted`."""

    label: str
    deed: str
    differences: tuple[Difference, ...]


@dataclass(slots=True)
class Version:
    """What one transaction made of the configuration; `change_id` is its last change."""

    change_id: int
    at: datetime
    number: int = 0
    actor: str = ""
    user_id: int | None = None
    reason: str = ""
    operation: str = ""
    changes: list[RowChange] = field(default_factory=list)


def versions_of(row: models.Model, *, parts: Parts = ()) -> list[Version]:
    """Return the versions of a row with the rows that belong to it, newest first, at most `VERSIONS_MAX`."""
    tables: list[tuple[type[models.Model], str]] = [(type(row), ""), *parts]
    found = [(model, change) for model, link in tables for change in _changes(model, link, int(row.pk))]
    found.sort(key=lambda entry: entry[1]["id"], reverse=True)
    names = _Names()
    versions: dict[str, Version] = {}
    for model, change in found:
        key = change["xact"] or f"change {change['id']}"
        version = versions.get(key)
        if version is None:
            version = versions[key] = Version(change_id=change["id"], at=change["at"])
        version.changes.append(_row_change(model, change, names))
    numbered = list(versions.values())
    for number, version in enumerate(reversed(numbered), start=1):
        version.number = number
    kept = numbered[:VERSIONS_MAX]
    _tell_who(dict(zip(versions, kept, strict=False)), row)
    return kept


def differences(model: type[models.Model], before: Values, after: Values) -> tuple[Difference, ...]:
    """Return what differs between two states of a row, by the columns of its table."""
    return _differences(model, before, after, _Names())


def values_of(row: models.Model) -> Values:
    """Return a row's columns as the history keeps them."""
    return {one.attname: getattr(row, one.attname) for one in row._meta.concrete_fields}


def key_column(model: type[models.Model], link: str) -> str:
    """Return the column of a key to another table."""
    field_: Any = model._meta.get_field(link)
    return str(field_.column)


def _changes(model: type[models.Model], link: str, key: int) -> list[Values]:
    quoted = connection.ops.quote_name(model._meta.db_table)
    column = key_column(model, link) if link else ""
    rows = BELONGING.format(table=quoted, link=column) if link else OWN
    given: dict[str, str | int] = {"table": model._meta.db_table, "key": key, "most": CHANGES_MAX}
    with connection.cursor() as cursor:
        cursor.execute(CHANGES.format(table=quoted, rows=rows), given)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _row_change(model: type[models.Model], change: Values, names: "_Names") -> RowChange:
    before, after = (
        json.loads(change[side], parse_float=Decimal) if change[side] else {} for side in ("before", "after")
    )
    deed = "changed" if before and after else "added" if after else "deleted"
    return RowChange(
        label=names.row(model, after or before),
        deed=deed,
        differences=_differences(model, before, after, names) if deed == "changed" else (),
    )


def _differences(
    model: type[models.Model], before: Values, after: Values, names: "_Names"
) -> tuple[Difference, ...]:
    told = []
    for one in model._meta.concrete_fields:
        if one.attname not in before or one.attname not in after:
            continue  # the column is younger than the change
        was, becomes = before[one.attname], after[one.attname]
        if not _same(was, becomes):
            name = str(one.verbose_name)
            told.append(Difference(name, names.value(one, was), names.value(one, becomes)))
    return tuple(told)


def _same(was: Any, becomes: Any) -> bool:
    if isinstance(was, int | Decimal) and isinstance(becomes, int | Decimal):
        return bool(was == becomes)
    return str(was) == str(becomes)


class _Names:
    """Writes values and rows as people read them; each row of another table is looked up once."""

    def __init__(self) -> None:
        self._known: dict[tuple[type[models.Model], Any], str] = {}

    def row(self, model: type[models.Model], values: Values) -> str:
        """Name a row: its kind and what it is about."""
        kind = str(model._meta.verbose_name)
        about = [
            self.value(one, values.get(one.attname))
            for one in model._meta.concrete_fields
            if one.attname in NAMING and values.get(one.attname) is not None
        ]
        return " ".join([kind, *about])

    def value(self, one: Any, value: Any) -> str:
        """Write one value of a column."""
        if value is None or value == "":
            return "–"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if one.is_relation:
            return self._related(one.related_model, value)
        if one.choices:
            return str(dict(one.flatchoices).get(value, value))
        if isinstance(value, Decimal):
            return plain(value)
        return str(value)

    def _related(self, model: type[models.Model], key: Any) -> str:
        if (model, key) not in self._known:
            found = model._default_manager.filter(pk=key).first()
            self._known[model, key] = str(found) if found is not None else f"#{key} (deleted)"
        return self._known[model, key]


def _tell_who(versions: Mapping[str, Version], row: models.Model) -> None:
    """Write into versions who made them and why, as the staff log says."""
    xacts = [key for key in versions if key.isdecimal()]
    own = row._meta.label_lower
    for action in _actions(xacts):
        version = versions[action["xact"]]
        if not version.actor or action["target_type"] == own:
            version.actor, version.user_id = action["actor"], action["user_id"]
            version.reason = action["reason"] or version.reason
            version.operation = action["operation"]


def _actions(xacts: Iterable[str]) -> list[Values]:
    table = connection.ops.quote_name(StaffAction._meta.db_table)
    statement = f"""
        SELECT xact::text AS xact, actor, user_id, reason, operation, target_type FROM {table}
        WHERE xact = ANY(%s::text[]::xid8[]) ORDER BY id
    """  # noqa: S608 - the table's own name
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(xacts)])
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
