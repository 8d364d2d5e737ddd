"""What a sync would do with one client, shown before it does it. Reads the CRM, writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.accounts.models import Client
from apps.crm.adapters.provider import Record
from apps.crm.domain import mapping, merging
from apps.crm.domain.fields import CATALOG
from apps.crm.domain.mapping import Pair
from apps.crm.domain.merging import Instants, Seen
from apps.crm.models import Connection, FieldMapping, Link
from apps.crm.selectors.mappings import names_read, pairs_of
from apps.crm.selectors.values import client_values
from apps.crm.services import calling
from apps.crm.services.merging import base_of
from rtx.kernel.errors import NotFound

CLIENT = FieldMapping.Kind.CLIENT


@dataclass(frozen=True, slots=True)
class Line:
    """One pair of fields: what RTX makes of its value, what stands in the CRM, and what would happen."""

    rtx_field: str
    crm_field: str
    direction: str
    is_personal: bool
    ours: str | None
    theirs: str | None
    action: str  # keep, push, pull or unfit
    is_conflict: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent and taken over. `crm_id` empty: the CRM has no record of the client yet."""

    crm_id: str
    lines: tuple[Line, ...]


def preview(connection: Connection, *, client_id: UUID, pairs: Sequence[Pair] | None = None) -> Preview:
    """
    Compare a client with their record in the CRM as the next sync would; `pairs`: by these mappings, which
    nobody has saved yet.

    :raises NotFound: `client_not_found`.
    :raises ProviderError: the CRM cannot be called.
    """
    client = Client.objects.filter(pk=client_id, data_key__isnull=False).first()
    if client is None:
        raise NotFound("There is no such client.", code="client_not_found")
    chosen = pairs_of(connection, CLIENT) if pairs is None else [pair for pair in pairs if pair.is_active]
    link = Link.objects.filter(connection=connection, kind=CLIENT, client=client).first()
    record = None
    if link is not None and link.crm_id:
        with calling.opened(connection) as provider:
            record = provider.get(connection.customer_object, link.crm_id, names_read(chosen))
            if record is not None and record.crm_id != link.crm_id:
                record = None  # theirs became a part of it: it may be another client's
    values = client_values([client], {pair.rtx_field for pair in chosen})[client.pk]
    made = mapping.made(chosen, values)
    lines = [_line(pair, made, link, client, record) for pair in chosen]
    return Preview(record.crm_id if record is not None else "", tuple(lines))


def _line(
    pair: Pair, made: mapping.Outward, link: Link | None, client: Client, record: Record | None
) -> Line:
    ours = made.fields.get(pair.crm_field)
    theirs = (record.fields.get(pair.crm_field) or None) if record is not None else None
    problem = made.unfit.get(pair.rtx_field, "")
    action, is_conflict = "unfit", False
    if not problem and (record is None or link is None):
        action = "push" if pair.is_pushed and ours else "keep"
    elif not problem and link is not None and record is not None:
        at = Instants(ours=link.changed_at, theirs=record.changed_at, told=link.in_step_at)
        seen = Seen.of(base_of(link, client), pair.crm_field)
        decision = merging.decide(pair, seen, ours=ours, theirs=theirs, at=at)
        action, is_conflict = decision.action.value, decision.is_conflict
    known = CATALOG["client"].get(pair.rtx_field)
    return Line(
        rtx_field=pair.rtx_field,
        crm_field=pair.crm_field,
        direction=pair.direction,
        is_personal=known is None or known.is_personal,
        ours=ours,
        theirs=theirs,
        action=action,
        is_conflict=is_conflict,
        problem=problem,
    )
