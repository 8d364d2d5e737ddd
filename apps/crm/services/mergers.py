"""
Records that people merged at the provider: whose it is what came of them, and what mends it where it was
written with another customer's values. Calls nobody.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.models import Client
from apps.crm.adapters.provider import Record
from apps.crm.domain.merging import Seen
from apps.crm.models import Connection, FieldMapping, Link
from apps.crm.services import claims
from apps.crm.services.merging import base_of, keep_base
from rtx.kernel import clock

CLIENT, ACCOUNT = FieldMapping.Kind.CLIENT, FieldMapping.Kind.ACCOUNT
LOGIN_DIGITS_MAX = 18


def bearers(connection: Connection, kind: str, rtx_ids: Collection[str]) -> "QuerySet[Link]":
    """Return the links of living customers whose RTX ids records bear; a client's that is missing is made."""
    living = Link.objects.filter(connection=connection, kind=kind, client__data_key__isnull=False)
    if kind == ACCOUNT:
        return living.filter(account__login__in=[int(one) for one in rtx_ids if _is_login(one)])
    ids = [key for one in rtx_ids if (key := client_id_of(one)) is not None]
    named = Client.objects.filter(pk__in=ids, data_key__isnull=False)
    claims.add(connection, [(key, None, made_at) for key, made_at in named.values_list("pk", "created_at")])
    return living.filter(client__in=named)


def _is_login(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LOGIN_DIGITS_MAX and str(int(text)) == text


def client_id_of(rtx_id: str) -> UUID | None:
    """Return what may be a client's id; None: it is none."""
    try:
        return UUID(rtx_id)
    except ValueError:
        return None


def move(link: Link, crm_id: str) -> None:
    """Let a link name the record that its customer's became a part of. The row is changed and not saved."""
    link.crm_id, link.crm_changed_at = crm_id, None
    if link.status == Link.Status.GONE:
        link.status = Link.Status.ACTIVE


def follow_accounts(connection: Connection, records: Sequence[Record]) -> None:
    """
    Let the links of accounts name the records that bear their logins, unless those are others' already. Where
    a record bears none (any more), it is written again.
    """
    alive = {one.external_id: one.crm_id for one in records if one.external_id and not one.is_deleted}
    held = Link.objects.filter(connection=connection, kind=ACCOUNT, crm_id__in=alive.values())
    for crm_id in held.values_list("crm_id", flat=True):
        alive = {login: one for login, one in alive.items() if one != crm_id}
    with transaction.atomic():
        for link in claims.locked(bearers(connection, ACCOUNT, alive).exclude(crm_id="")):
            assert link.account is not None
            move(link, alive[str(link.account.login)])
            link.save(update_fields=["crm_id", "crm_changed_at", "status"])
    bare = [one.crm_id for one in records if not one.external_id and not one.is_deleted]
    if bare:
        claims.give_ids(connection, ACCOUNT, bare)


def restore(link: Link, fields: Mapping[str, str | None]) -> None:
    """
    Let a customer be compared and sent again, since their record was written with `fields` of another one.
    Those stand in the comparison as the CRM's, told by nobody: they are overwritten and never taken over
    here. Who was given up is tried again. The link is locked and is saved.
    """
    client = link.client
    if client.data_key is None:  # erased
        return
    now = clock.now()
    link.wanted_at = now if link.wanted == link.sent else link.wanted_at
    link.wanted, link.due_at, link.in_step_at = link.wanted + 1, now, None
    if link.status == Link.Status.DEAD:
        link.status, link.attempts = Link.Status.ACTIVE, 0
    overwritten = {name: Seen(None, text, is_sent=False).kept() for name, text in fields.items()}
    keep_base(link, client, base_of(link, client) | overwritten)
    names = ("crm_id", "crm_changed_at", "status", "attempts", "base_sealed")
    link.save(update_fields=["wanted", "wanted_at", "due_at", "in_step_at", *names])
