"""
Takes one record of a CRM over into one client: what the CRM changed is changed here, what RTX keeps is asked
to be sent, what both had changed is noted. What both sides have in common is kept, sealed by the key of the
client.

Runs inside the caller's transaction, which holds the link's row; calls no provider.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import Client
from apps.accounts.services import clients
from apps.audit.services import actions
from apps.crm.adapters.provider import Record
from apps.crm.domain import mapping, merging
from apps.crm.domain.fields import field_of
from apps.crm.domain.mapping import Pair
from apps.crm.domain.merging import Action, Decision, Instants, Seen
from apps.crm.domain.texts import Unfit
from apps.crm.domain.transforms import inward, outward
from apps.crm.models import Conflict, Link
from apps.crm.selectors.values import client_values
from rtx.kernel import clock, encryption
from rtx.kernel.actor import Actor
from rtx.kernel.errors import RtxError

Base = dict[str, Any]
TEXT_MAX = 200  # of what a CRM writes into a client
CRM = Actor.system("crm")


@dataclass(slots=True)
class Merged:
    """What a record did. `fields`: RTX fields with another value now; `unfit`: which could not, and why."""

    fields: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    unfit: dict[str, str] = field(default_factory=dict)
    must_send: bool = False


def _place(link: Link, column: str, table: str = "crm_link") -> bytes:
    return encryption.associated_data(table=table, column=column, pk=link.pk)


def base_of(link: Link, client: Client) -> Base:
    """Return what both sides have in common; empty for a record that is not known there, or not any more."""
    kept = bytes(link.base_sealed)
    if not kept or not link.crm_id or client.data_key is None:
        return {}
    try:
        base: Base = json.loads(client.open_content(kept, place=_place(link, "base_sealed")))
    except encryption.DecryptionFailed:
        return {}
    return base


def keep_base(link: Link, client: Client, base: Base) -> None:
    """Seal what both sides have in common; saved with the row."""
    content = json.dumps(base, separators=(",", ":")).encode()
    link.base_sealed = client.seal_content(content, place=_place(link, "base_sealed")) if base else b""


def conflict_values(conflict: Conflict, client: Client) -> dict[str, str | None]:
    """Return the two values of a conflict (`rtx`, `crm`); empty once the client was erased."""
    if client.data_key is None or not conflict.values_sealed:
        return {}
    place = _place(conflict.link, "values_sealed", "crm_conflict")
    values: dict[str, str | None] = json.loads(
        client.open_content(bytes(conflict.values_sealed), place=place)
    )
    return values


def take(
    link: Link, client: Client, pairs: Sequence[Pair], record: Record, *, changed_at: datetime | None = None
) -> Merged:
    """
    Compare a record with its client and take over what the rules give to the CRM. The link's row is changed
    and not saved. `changed_at`: of a change here that the link was not asked for yet.
    """
    merged, base = Merged(), base_of(link, client)
    ours_at = max(link.changed_at, changed_at) if changed_at else link.changed_at
    at = Instants(ours=ours_at, theirs=record.changed_at, told=link.in_step_at)
    values = client_values([client], {pair.rtx_field for pair in pairs})[client.pk]
    ours = mapping.made(pairs, values)
    pulled: list[tuple[Pair, str]] = []
    for pair in pairs:
        if pair.crm_field not in record.fields:
            continue
        theirs, own = record.fields[pair.crm_field] or None, ours.fields.get(pair.crm_field)
        seen = Seen.of(base, pair.crm_field)
        decision = merging.decide(pair, seen, ours=own, theirs=theirs, at=at)
        if pair.rtx_field in ours.unfit and decision.action is Action.PUSH:
            continue
        if decision.is_conflict:
            merged.conflicts.append(_conflict(link, client, pair, decision, at, own, theirs))
        if decision.action is Action.PULL:
            _read(pair, theirs, pulled, merged)
        if decision.action is Action.PUSH:
            merged.must_send = True
            overwritten = seen.overwritten if seen else None
            base[pair.crm_field] = Seen(None, theirs, False, overwritten).kept()
        else:
            base[pair.crm_field] = Seen(own, theirs, True, _insisted(seen, theirs)).kept()
    _change(link, client, pulled, merged, base)
    keep_base(link, client, base)
    link.crm_id = record.crm_id
    link.crm_changed_at = max(filter(None, (link.crm_changed_at, record.changed_at)), default=None)
    return merged


def _insisted(seen: Seen | None, theirs: str | None) -> str | None:
    return seen.overwritten if seen is not None and seen.overwritten == theirs else None


def read(pair: Pair, theirs: str | None) -> str:
    """
    Return the value that a CRM's text becomes in a client.

    :raises Unfit: no client can have it.
    """
    value = inward(pair.transform, theirs, pair.options)
    known = field_of("client", pair.rtx_field)
    if known is not None and known.is_required and not value:
        raise Unfit("cannot be empty")
    if len(value) > TEXT_MAX:
        raise Unfit("is too long")
    is_code = len(value) == 2 and value.isascii() and value.isupper()
    if pair.rtx_field == "country" and value and not is_code:
        raise Unfit("is no country")
    return value


def read_all(pairs: Sequence[Pair], record: Record) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a client would have of a record, and what no client can have, with why."""
    given, unfit = {}, {}
    for pair in pairs:
        try:
            given[pair.rtx_field] = read(pair, record.fields.get(pair.crm_field))
        except Unfit as error:
            unfit[pair.rtx_field] = str(error)
    if "@" not in given.get("email", "@"):
        unfit["email"] = "is no address"
    return given, unfit


def _read(pair: Pair, theirs: str | None, pulled: list[tuple[Pair, str]], merged: Merged) -> None:
    try:
        pulled.append((pair, read(pair, theirs)))
    except Unfit as error:
        merged.unfit[pair.rtx_field] = str(error)


def _change(link: Link, client: Client, pulled: list[tuple[Pair, str]], merged: Merged, base: Base) -> None:
    if not pulled:
        return
    try:
        with transaction.atomic():
            changes = {pair.rtx_field: value for pair, value in pulled}
            merged.fields = clients.change(client_id=client.pk, changes=changes)
            if merged.fields:
                actions.record(
                    actor=CRM,
                    operation="crm.change_client",
                    target=client,
                    after={"fields": merged.fields, "connection": link.provider},
                )
    except RtxError as error:
        merged.unfit.update({pair.rtx_field: f"was refused: {error.code}" for pair, _ in pulled})
        return
    for pair, value in pulled:
        seen = Seen.of(base, pair.crm_field)
        try:
            own = outward(pair.transform, value, pair.options)
        except Unfit:
            own = None
        if seen is not None:
            base[pair.crm_field] = Seen(own, seen.theirs).kept()


def _conflict(
    link: Link,
    client: Client,
    pair: Pair,
    decision: Decision,
    at: Instants,
    ours: str | None,
    theirs: str | None,
) -> Conflict:
    values = json.dumps({"rtx": ours, "crm": theirs}).encode()
    return Conflict(
        link=link,
        rtx_field=pair.rtx_field,
        crm_field=pair.crm_field,
        winner=Conflict.Winner.CRM if decision.action is Action.PULL else Conflict.Winner.RTX,
        rule=pair.direction,
        rtx_changed_at=at.ours,
        crm_changed_at=at.theirs,
        values_sealed=client.seal_content(values, place=_place(link, "values_sealed", "crm_conflict")),
        at=clock.now(),
    )
