"""Reads which pairs of fields a connection has."""

from collections.abc import Sequence

from apps.crm.domain.mapping import Direction, Pair, email_field
from apps.crm.models import Connection, FieldMapping


def pairs_of(connection: Connection, kind: str) -> list[Pair]:
    """Return a connection's active pairs of one kind."""
    rows = FieldMapping.objects.filter(connection=connection, kind=kind, is_active=True).order_by("pk")
    return [pair_of(row) for row in rows]


def pair_of(row: FieldMapping) -> Pair:
    """Return a mapping's row as the domain knows it."""
    direction: Direction = row.direction  # type: ignore[assignment]  # the database knows no others
    return Pair(row.rtx_field, row.crm_field, direction, row.transform, row.options, row.is_active)


def names_read(pairs: Sequence[Pair]) -> list[str]:
    """Return the CRM fields that are read of a record: those of pairs, and the e-mail address to join by."""
    names = dict.fromkeys(pair.crm_field for pair in pairs)
    joined_by = email_field(pairs)
    return list(names | ({joined_by: None} if joined_by else {}))
