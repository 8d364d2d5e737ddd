"""
Makes links and claims them for one worker at a time. A claim whose worker dies runs out.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.crm.models import Connection, FieldMapping, Link
from rtx.kernel import clock

Wanted = tuple[UUID, int | None, datetime]  # client, account, when it changed last


def free(links: "QuerySet[Link]") -> "QuerySet[Link]":
    """Return those that are due and that nobody holds."""
    now = clock.now()
    return links.filter(Q(claimed_until__isnull=True) | Q(claimed_until__lt=now), due_at__lte=now)


def claim(links: "QuerySet[Link]", *, limit: int) -> list[Link]:
    """
    Claim up to `limit` links that are due, what changed last first: a change does not wait behind a long run.
    """
    with transaction.atomic():
        rows = (
            free(links).select_for_update(skip_locked=True, of=("self",)).select_related("client", "account")
        )
        batch = list(rows.order_by("-changed_at", "pk")[:limit])
        token, until = uuid4(), clock.now() + timedelta(seconds=settings.CRM_CLAIM_S)
        Link.objects.filter(pk__in=[link.pk for link in batch]).update(claim=token, claimed_until=until)
    for link in batch:
        link.claim, link.claimed_until = token, until
    return batch


def give_back(batch: Sequence[Link]) -> None:
    """Let others take links that were not dealt with."""
    if batch:
        held = Link.objects.filter(pk__in=[link.pk for link in batch], claim=batch[0].claim)
        held.update(claim=None, claimed_until=None)


def locked(links: Any) -> list[Link]:
    """Lock links in the one order that all writers keep, and return them."""
    return list(links.select_for_update(of=("self",)).select_related("client", "account").order_by("pk"))


def add(connection: Connection, wanted: Iterable[Wanted]) -> None:
    """Make the links that are missing; they wait to be sent."""
    now = clock.now()
    kinds = FieldMapping.Kind
    rows = [
        Link(
            connection=connection,
            provider=connection.provider,
            kind=kinds.CLIENT if account_id is None else kinds.ACCOUNT,
            client_id=client_id,
            account_id=account_id,
            wanted_at=now,
            changed_at=changed_at,
            due_at=now,
        )
        for client_id, account_id, changed_at in wanted
    ]
    Link.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
