"""
Carries erasures to the CRM: what RTX cannot read any more is deleted there, where the connection says so.
What is kept here of the person is dropped besides.

Ids of records stay on their links: they keep a record that was left there from becoming a client anew.
"""

import re
from collections.abc import Collection, Iterable
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef

from apps.crm.adapters.provider import CallRefused, Forbidden, Provider, ProviderError, Record
from apps.crm.models import Conflict, Connection, DeadLetter, Link, SyncEntry, SyncRun, WebhookDelivery
from apps.crm.services import calling, claims, giving_up, results, sync_log
from apps.crm.services.calling import NotConnected
from apps.crm.services.results import external_id
from rtx.kernel import clock, encryption

log = structlog.get_logger(__name__)

PORTION = 200
SHORT_ID = 15  # Salesforce's ids are written with and without three more characters
GIVEN_UP, WAITS = WebhookDelivery.Status.FAILED, WebhookDelivery.Status.RECEIVED
ERASE = DeadLetter.Direction.ERASE
REACHED = (Connection.Status.ACTIVE, Connection.Status.PAUSED)


def ask(connection: Connection, client_ids: Collection[UUID]) -> None:
    """
    Forget what is kept of erased clients, and let every record that may be of them be deleted there: those
    that were given up, that lie in the CRM's bin, or whose id was never written down too. In the caller's
    transaction.
    """
    now = clock.now()
    asked = Link.objects.filter(connection=connection, client_id__in=client_ids)
    links = claims.locked(asked.exclude(status=Link.Status.ERASED))
    for link in links:
        link.wanted, link.wanted_at, link.due_at, link.attempts = link.wanted + 1, now, now, 0
        link.touched_at = now  # among the first of the next batch, whatever else waits
        link.base_sealed, link.last_error_code, link.last_error = b"", "", ""
        link.status = Link.Status.ACTIVE
        link.save()
        if connection.erases_there and connection.status not in REACHED:
            giving_up.give_up(link, ERASE, _no_access())
    Conflict.objects.filter(link__in=links).update(values_sealed=b"")
    forget_deliveries(connection, {link.crm_id for link in links})


def erase_there(
    connection: Connection, provider: Provider, link: Link, object_name: str, *, run: SyncRun | None = None
) -> None:
    """
    Delete an erased client's record in the CRM and forget the link's content.

    A record whose id is not known, or is not there any more, is looked for by RTX's id, which every record
    that RTX wrote bears: a call without an answer may have made one, and one it was merged into may bear it.
    Where it was merged, its id may name another customer's record, which is left alone.

    :raises ProviderError: the CRM cannot be called now.
    """
    is_told, crm_ids, left = connection.erases_there and bool(object_name), [link.crm_id], ""
    if is_told:
        try:
            crm_ids, left = _theirs(connection, provider, object_name, link)
            for crm_id in crm_ids:
                _delete(provider, object_name, crm_id)
        except NotConnected:
            raise
        except (CallRefused, Forbidden) as error:  # what may not be deleted holds nobody else up
            _fail(link, error)
            return
    detail = "" if any(crm_ids) else "nothing was found there"
    with transaction.atomic():
        row = _held(link)
        if row is None:
            return
        row.claim, row.claimed_until, row.attempts = None, None, 0
        if row.wanted != link.wanted:  # a call that began before came to an end: it may have made a record
            row.save()
            return
        row.status, row.sent, row.base_sealed = Link.Status.ERASED, row.wanted, b""
        row.last_error_code, row.last_error = "", ""
        row.save()
        Conflict.objects.filter(link=row).update(values_sealed=b"")
        forget_deliveries(connection, {*crm_ids, row.crm_id})
        giving_up.settle([row.pk])
        if left:
            text = f"Record {left} became another customer's there: see by hand what is left of this one."
            giving_up.give_up(row, ERASE, CallRefused(text, code="record_merged"))
        entry = sync_log.entry(
            connection,
            direction=SyncEntry.Direction.PUSH,
            action=SyncEntry.Action.ERASED,
            cause=sync_log.cause_of(run),
            link=row,
            run=run,
            detail=detail if is_told else "nothing was deleted there",
        )
        sync_log.write([entry])


def tell_unreached() -> None:
    """
    Do for connections that lost their access, or gave it back, after an erasure was asked for what is done
    at once for those without: leave a dead letter for each record that is to be deleted there, forget the
    deliveries that name it.
    """
    since = OuterRef("wanted_at")  # one that staff have dropped since stays decided
    told = DeadLetter.objects.filter(link=OuterRef("pk"), direction=ERASE, created_at__gte=since)
    for connection in Connection.objects.exclude(status__in=[*REACHED, Connection.Status.REMOVED]):
        with transaction.atomic():
            erased = Link.objects.filter(connection=connection, client__data_key__isnull=True)
            links = claims.locked(erased.exclude(status=Link.Status.ERASED).filter(~Exists(told)))
            for link in links:
                if connection.erases_there:
                    giving_up.give_up(link, ERASE, _no_access())
                else:
                    link.status, link.sent = Link.Status.ERASED, link.wanted
            claims.save(links, ["status", "sent"])
            if links:
                forget_deliveries(connection, {link.crm_id for link in links})


def _no_access() -> NotConnected:
    return NotConnected("RTX has no access: the record is deleted there once it has.")


def untold(connection: Connection) -> int:
    """
    Leave a dead letter for each erased client whose record the CRM was not told to delete, before the links
    go; it names the record and nobody. Return how many.
    """
    links = Link.objects.filter(connection=connection, client__data_key__isnull=True)
    told = 0
    if connection.erases_there:
        for link in claims.locked(links.exclude(status=Link.Status.ERASED).select_related("account")):
            named = f"Record {link.crm_id}" if link.crm_id else f"A record with RTX's id {external_id(link)}"
            text = f"{named} may be left there: the connection was removed before it was deleted."
            giving_up.give_up(link, ERASE, CallRefused(text, code="connection_removed"))
            told += 1
    return told


def forget_deliveries(connection: Connection, crm_ids: Iterable[str]) -> None:
    """
    Drop the bodies of deliveries that were given up and tell of records, or cannot be read; their dead
    letters are closed. Those that wait lose theirs when they are processed, and at once where nobody does:
    what else they named is read by the next run.
    """
    named = {crm_id for crm_id in crm_ids if crm_id}
    statuses = [GIVEN_UP, *([] if connection.status == Connection.Status.ACTIVE else [WAITS])]
    kept = WebhookDelivery.objects.filter(connection=connection, status__in=statuses).exclude(body_sealed=b"")
    adapter, last = calling.quiet(connection), 0
    while portion := list(kept.filter(pk__gt=last).order_by("pk")[:PORTION]):
        last = portion[-1].pk
        forgotten = [row.pk for row in portion if (told := named_by(adapter, row)) is None or told & named]
        kept.filter(pk__in=forgotten, status=WAITS).update(error_code="erased", processed_at=clock.now())
        kept.filter(pk__in=forgotten).update(body_sealed=b"", status=GIVEN_UP)
        giving_up.drop_deliveries(forgotten)


def named_by(adapter: Provider, delivery: WebhookDelivery) -> set[str] | None:
    """Return the records that a delivery names; None: it cannot be read."""
    try:
        events = adapter.events(delivery.body(), delivery.content_type)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it; its text may quote the body
        log.warning("crm_webhook_unreadable", delivery=delivery.pk, error=type(error).__name__)
        return None
    return {event.crm_id for event in events}


def tells_of_erased(delivery: WebhookDelivery, crm_ids: Collection[str] | None) -> bool:
    """
    Tell whether a delivery is about a client who was erased. `crm_ids`: the records that it names; None: it
    cannot be read, or reading it ends the worker: then whether such a record's id stands anywhere in it.
    """
    links = Link.objects.filter(connection_id=delivery.connection_id, client__data_key__isnull=True)
    if crm_ids is not None:
        return links.filter(crm_id__in=crm_ids).exclude(crm_id="").exists()
    try:
        words = {word.decode() for word in re.findall(rb"\w+", delivery.body())}
    except encryption.DecryptionFailed:
        return True
    ids = links.exclude(crm_id="").values_list("crm_id", flat=True)
    return any(crm_id in words or crm_id[:SHORT_ID] in words for crm_id in ids.iterator())


def _theirs(
    connection: Connection, provider: Provider, object_name: str, link: Link
) -> tuple[list[str], str]:
    """Return the records to be deleted, usually one, and one of another customer that may hold the rest."""
    found: list[str] = []
    left = ""
    if link.crm_id:
        record = _known(provider, object_name, link.crm_id)
        if record is None and not provider.merged_into(object_name, link.crm_id):
            found.append(link.crm_id)  # it may lie in the bin
        elif record is None or record.crm_id != link.crm_id:
            left = link.crm_id
        elif record.external_id in ("", external_id(link)):
            return [link.crm_id], ""
        else:
            left = link.crm_id
    other = provider.find(object_name, external_id(link))
    if other in ("", *found):
        return found, left
    others = Link.objects.filter(connection=connection, kind=link.kind, crm_id=other)
    if others.exclude(pk=link.pk).exclude(status=Link.Status.ERASED).exists():
        return found, other
    return [*found, other], ""


def _known(provider: Provider, object_name: str, crm_id: str) -> Record | None:
    try:
        return provider.get(object_name, crm_id, [])
    except NotConnected:
        raise
    except CallRefused as error:
        if error.code not in results.GONE_CODES:
            raise
        return None


def _delete(provider: Provider, object_name: str, crm_id: str) -> None:
    try:
        provider.delete(object_name, crm_id)
    except NotConnected:
        raise
    except CallRefused as error:
        if error.code not in results.GONE_CODES:
            raise


def _held(link: Link) -> Link | None:
    return Link.objects.select_for_update().filter(pk=link.pk, claim=link.claim).first()


def _fail(link: Link, error: ProviderError) -> None:
    with transaction.atomic():
        row = _held(link)
        if row is not None:
            results.fail(row, error, ERASE)
            row.save()
