"""
Makes links and claims them for one worker at a time. A claim whose worker dies runs out.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, When

from apps.crm.models import Connection, FieldMapping, Link
from rtx.kernel import clock

Wanted = tuple[UUID, int | None, datetime]  # client, account, when it changed last


@contextmanager
def alone(connection: Connection, work: str) -> Iterator[bool]:
    """
    Tell whether no other worker does this work for a connection. The server frees the lock of a worker that
    dies.
    """
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", [work, connection.pk])
        (is_alone,) = cursor.fetchone()
    try:
        yield is_alone
    finally:
        if is_alone:
            with database.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [work, connection.pk])


def free(links: "QuerySet[Link]") -> "QuerySet[Link]":
    """Return those that are due and that nobody holds."""
    now = clock.now()
    return links.filter(Q(claimed_until__isnull=True) | Q(claimed_until__lt=now), due_at__lte=now)


def claim(links: "QuerySet[Link]", *, limit: int) -> list[Link]:
    """
    Claim up to `limit` links that are due, what changed last first: a change does not wait behind a long run.
    """
    token, until = uuid4(), clock.now() + timedelta(seconds=settings.CRM_CLAIM_S)
    with transaction.atomic():
        rows = free(links).select_for_update(skip_locked=True, of=("self",)).order_by("-touched_at", "pk")
        keys = list(rows.values_list("pk", flat=True)[:limit])
        if not keys:
            return []
        Link.objects.filter(pk__in=keys).update(claim=token, claimed_until=until)
    taken = Link.objects.filter(pk__in=keys, claim=token).select_related("client", "account")
    return list(taken.order_by("-touched_at", "pk"))


def renew(batch: Sequence[Link]) -> set[UUID]:
    """Hold links of one claim for longer; return which are held still: the others are somebody else's now."""
    held = Link.objects.filter(pk__in=[link.pk for link in batch], claim__in={link.claim for link in batch})
    held.update(claimed_until=clock.now() + timedelta(seconds=settings.CRM_CLAIM_S))
    return set(held.values_list("pk", flat=True))


def give_back(batch: Sequence[Link]) -> None:
    """Let others take links that were not dealt with."""
    if batch:
        held = Link.objects.filter(pk__in=[link.pk for link in batch], claim=batch[0].claim)
        held.update(claim=None, claimed_until=None)


def locked(links: Any, *, with_clients: bool = False) -> list[Link]:
    """Lock links in the one order that all writers keep, and return them."""
    rows = links.select_for_update(of=("self",)).order_by("pk")
    return list(rows.select_related("client") if with_clients else rows)


def save(links: Iterable[Link], names: Sequence[str]) -> None:
    """Write columns of many locked links in one statement (`bulk_update` takes ten times as long)."""
    rows = list(links)
    if not rows:
        return
    columns = ["id", *names]
    types = {name: str(Link._meta.get_field(name).db_type(database)).partition("(")[0] for name in columns}
    arrays = ", ".join(f"%s::{types[name]}[]" for name in columns)
    changes = ", ".join(f"{name} = v.{name}" for name in names)
    statement = (
        f"UPDATE crm_link l SET {changes} FROM unnest({arrays}) AS v({', '.join(columns)}) WHERE l.id = v.id"  # noqa: S608 - built from names of columns
    )
    with database.cursor() as cursor:
        cursor.execute(statement, [[_plain(getattr(row, name)) for row in rows] for name in columns])


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else str(value) if isinstance(value, str) else value


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
            touched_at=changed_at,
            due_at=now,
        )
        for client_id, account_id, changed_at in wanted
    ]
    Link.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


def give_ids(connection: Connection, kind: str, crm_ids: Sequence[str] | None = None) -> None:
    """Let RTX's ids be written to records that were seen without them: those named, or all of one kind."""
    seen = Link.objects.filter(connection=connection, kind=kind, in_step_at__isnull=False).exclude(crm_id="")
    if crm_ids is not None:
        seen = seen.filter(crm_id__in=crm_ids)
    now = clock.now()
    with transaction.atomic():
        keys = [link.pk for link in locked(seen)]
        Link.objects.filter(pk__in=keys).update(
            in_step_at=None,
            wanted_at=Case(When(wanted=F("sent"), then=now), default=F("wanted_at")),
            wanted=F("wanted") + 1,
            due_at=now,
        )
