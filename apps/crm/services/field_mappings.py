"""Field mappings: what a connection begins with, and replacing them as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from apps.audit.services import actions
from apps.crm.domain import mapping
from apps.crm.domain.mapping import Pair, Target
from apps.crm.models import Connection, FieldMapping
from apps.crm.services import faults
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Invalid, NotFound

KINDS = FieldMapping.Kind


def install_defaults(connection: Connection) -> None:
    """Give a connection without mappings the usual ones of its objects. For `connections.create`."""
    if connection.mappings.exists():
        return
    rows = _rows(connection, KINDS.CLIENT, _defaults(connection, KINDS.CLIENT))
    if connection.account_object:
        rows += _rows(connection, KINDS.ACCOUNT, _defaults(connection, KINDS.ACCOUNT))
    FieldMapping.objects.bulk_create(rows)


def _defaults(connection: Connection, kind: str) -> tuple[Pair, ...]:
    name = connection.customer_object if kind == KINDS.CLIENT else connection.account_object
    return mapping.defaults(connection.provider, name, kind)


def _rows(connection: Connection, kind: str, pairs: Sequence[Pair]) -> list[FieldMapping]:
    return [
        FieldMapping(
            connection=connection,
            kind=kind,
            rtx_field=pair.rtx_field,
            crm_field=pair.crm_field,
            direction=pair.direction,
            transform=pair.transform,
            options=dict(pair.options),
            is_active=pair.is_active,
        )
        for pair in pairs
    ]


def replace(
    *,
    connection_id: int,
    kind: str,
    pairs: Sequence[Pair],
    actor: Actor,
    targets: Mapping[str, Target] | None = None,
) -> list[FieldMapping]:
    """
    Replace a connection's mappings of one kind; `targets`: fields as the CRM describes them, if known,
    against which active pairs are held. The next change of a customer and the next full run follow the new
    ones. Logged.

    :raises NotFound: `connection_not_found`.
    :raises Invalid: a pair is wrong; `errors` names each by its CRM field.
    """
    errors: dict[str, Any] = {}
    for pair in pairs:
        known = targets if pair.is_active else None
        target = None if known is None else known.get(pair.crm_field)
        found = mapping.problems(kind, pair, target)
        if known is not None and target is None and pair.crm_field:
            found.append("The CRM has no such field.")
        if found:
            errors[pair.crm_field or pair.rtx_field] = found
    together = mapping.unreadable(pairs)
    if together:
        errors["mappings"] = together
    if errors:
        raise Invalid("The mapping does not fit.", code="mapping_invalid", errors=errors)
    with transaction.atomic():
        connection = Connection.objects.select_for_update(no_key=True).filter(pk=connection_id).first()
        if connection is None or connection.status == Connection.Status.REMOVED:
            raise NotFound("There is no such connection.", code="connection_not_found")
        before = _shown(connection, kind)
        connection.mappings.filter(kind=kind).delete()
        FieldMapping.objects.bulk_create(_rows(connection, kind, pairs))
        faults.look_again(connection_id=connection.pk)
        actions.record(
            actor=actor,
            operation="crm.replace_mappings",
            target=connection,
            before={kind: before},
            after={kind: _shown(connection, kind)},
        )
        return list(connection.mappings.filter(kind=kind))


def _shown(connection: Connection, kind: str) -> list[str]:
    rows = connection.mappings.filter(kind=kind).order_by("pk")
    return [
        f"{row.rtx_field} {row.direction} {row.crm_field} ({row.transform}{'' if row.is_active else ', off'})"
        for row in rows
    ]
