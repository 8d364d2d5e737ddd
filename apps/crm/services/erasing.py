"""
Carries erasures to the CRM: what RTX cannot read any more is deleted there, where the connection says so.
What webhooks brought of the person is dropped besides.
"""

from django.db import transaction

from apps.crm.adapters.provider import CallRefused, Forbidden, Provider, ProviderError, Upsert
from apps.crm.models import Connection, DeadLetter, Link, SyncEntry, SyncRun, WebhookDelivery
from apps.crm.services import giving_up, results, sync_log
from apps.crm.services.calling import NotConnected
from apps.crm.services.results import external_id


def erase_there(
    connection: Connection, provider: Provider, link: Link, object_name: str, *, run: SyncRun | None = None
) -> None:
    """
    Delete an erased client's record in the CRM and forget the link's content.

    :raises ProviderError: the CRM cannot be called now.
    """
    is_deleted = connection.erases_there
    if is_deleted:
        try:
            crm_id = link.crm_id or _found(provider, object_name, link)
            if crm_id:
                provider.delete(object_name, crm_id)
        except NotConnected:
            raise
        except (CallRefused, Forbidden) as error:  # what may not be deleted holds nobody else up
            if error.code not in results.GONE_CODES:
                _fail(link, error)
                return
    with transaction.atomic():
        row = _held(link)
        if row is None:
            return
        row.status, row.sent, row.base_sealed = Link.Status.ERASED, row.wanted, b""
        row.claim, row.claimed_until, row.attempts = None, None, 0
        row.last_error_code, row.last_error = "", ""
        row.save()
        forget_deliveries(row)
        giving_up.settle([row.pk])
        kept = "" if is_deleted else "nothing was deleted there"
        entry = sync_log.entry(
            connection,
            direction=SyncEntry.Direction.PUSH,
            action=SyncEntry.Action.ERASED,
            cause=sync_log.cause_of(run),
            link=row,
            run=run,
            detail=kept,
        )
        sync_log.write([entry])


def _found(provider: Provider, object_name: str, link: Link) -> str:
    """
    Return the record that a worker may have made before it died without writing its id down: found by RTX's
    id, which is all that is said of the client.
    """
    (written,) = provider.upsert(object_name, [Upsert(external_id(link), {})])
    return "" if written.error is not None else written.crm_id


def forget_deliveries(link: Link) -> None:
    """Drop the bodies of webhook deliveries that told of a record."""
    if link.crm_id:
        told = WebhookDelivery.objects.filter(
            connection_id=link.connection_id, event_rows__crm_id=link.crm_id
        ).values("pk")
        WebhookDelivery.objects.filter(pk__in=told).exclude(status="received").update(body_sealed=b"")


def _held(link: Link) -> Link | None:
    return Link.objects.select_for_update().filter(pk=link.pk, claim=link.claim).first()


def _fail(link: Link, error: ProviderError) -> None:
    with transaction.atomic():
        row = _held(link)
        if row is not None:
            results.fail(row, error, DeadLetter.Direction.ERASE)
            row.save()
