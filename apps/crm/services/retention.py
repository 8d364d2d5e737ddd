"""
Drops logs and webhook deliveries that are older than their connection keeps them, a portion at a time.

A delivery's body goes when it was processed, with the decision on its dead letter, with the connection, and
in any case after `keep_days`; whatever is found of these is dropped here. What staff have not decided on
stays without its body.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

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
OPEN = DeadLetter.Status.OPEN


def purge() -> int:
    """Delete what is too old; return how many rows went."""
    now, gone = clock.now(), 0
    for connection in Connection.objects.all():
        before = now - timedelta(days=connection.keep_days)
        forget_bodies(_served(connection, before))
        for rows in _old(connection, before):
            gone += _delete(rows)
    return gone


def forget_bodies(rows: "QuerySet[WebhookDelivery]") -> None:
    """Drop the bodies of deliveries."""
    kept = rows.exclude(body_sealed=b"").order_by()
    while keys := list(kept.values_list("pk", flat=True)[:PORTION]):
        WebhookDelivery.objects.filter(pk__in=keys).update(body_sealed=b"")


def _served(connection: Connection, before: datetime) -> "QuerySet[WebhookDelivery]":
    """Return the deliveries whose bodies nobody needs or may keep."""
    mine = WebhookDelivery.objects.filter(connection=connection)
    if connection.status == Connection.Status.REMOVED:
        return mine
    undecided = DeadLetter.objects.filter(delivery=OuterRef("pk"), status=OPEN)
    decided = Q(status=WebhookDelivery.Status.FAILED) & ~Exists(undecided)
    return mine.filter(Q(status=WebhookDelivery.Status.DONE) | decided | Q(received_at__lt=before))


def _old(connection: Connection, before: datetime) -> list["QuerySet[Any]"]:
    mine = Q(connection=connection)
    undecided = DeadLetter.objects.filter(delivery=OuterRef("pk"), status=OPEN)
    return [
        SyncEntry.objects.filter(mine, at__lt=before),
        Exchange.objects.filter(mine, at__lt=before),
        Conflict.objects.filter(link__connection=connection, at__lt=before),
        DeadLetter.objects.filter(mine, created_at__lt=before).exclude(status=OPEN),
        WebhookEvent.objects.filter(mine, at__lt=before),
        WebhookDelivery.objects.filter(~Exists(undecided), mine, received_at__lt=before),
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
