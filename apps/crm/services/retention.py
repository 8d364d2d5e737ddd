"""
Drops logs and webhook bodies that are older than their connection keeps them. Bodies of deliveries that were
processed go after a day: they hold what the CRM said of people.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from apps.crm.models import (
    Conflict,
    Connection,
    DeadLetter,
    Exchange,
    SyncEntry,
    SyncRun,
    WebhookDelivery,
    WebhookEvent,
)
from rtx.kernel import clock

PORTION = 5000
BODY_KEPT = timedelta(days=1)


def purge() -> int:
    """Delete what is too old, in portions; return how many rows went."""
    now, gone = clock.now(), 0
    waiting = WebhookDelivery.Status.RECEIVED
    processed = WebhookDelivery.objects.filter(received_at__lt=now - BODY_KEPT).exclude(status=waiting)
    done = processed.filter(status=WebhookDelivery.Status.DONE)
    done.exclude(body_sealed=b"").update(body_sealed=b"")
    for connection in Connection.objects.all():
        for rows in _old(connection, now - timedelta(days=connection.keep_days)):
            gone += _delete(rows)
    return gone


def _old(connection: Connection, before: datetime) -> list["QuerySet[Any]"]:
    mine = Q(connection=connection)
    return [
        SyncEntry.objects.filter(mine, at__lt=before),
        Exchange.objects.filter(mine, at__lt=before),
        Conflict.objects.filter(link__connection=connection, at__lt=before),
        DeadLetter.objects.filter(mine, created_at__lt=before).exclude(status=DeadLetter.Status.OPEN),
        WebhookEvent.objects.filter(mine, at__lt=before),
        WebhookDelivery.objects.filter(mine, received_at__lt=before).exclude(
            status=WebhookDelivery.Status.RECEIVED
        ),
        SyncRun.objects.filter(mine, created_at__lt=before).exclude(status__in=SyncRun.LIVE),
    ]


def _delete(rows: "QuerySet[Any]") -> int:
    gone = 0
    while True:
        keys = list(rows.order_by().values_list("pk", flat=True)[:PORTION])
        if not keys:
            return gone
        rows.model._default_manager.filter(pk__in=keys).delete()
        gone += len(keys)
