"""Keeps what was tried as often as it may be, for staff to look at; closes what went through after all."""

from collections.abc import Sequence
from typing import Any

from apps.crm.adapters.provider import ProviderError
from apps.crm.models import Connection, DeadLetter, Link
from rtx.kernel import clock

OPEN = DeadLetter.Status.OPEN


def give_up(link: Link, direction: str, error: ProviderError) -> None:
    """Keep a link that was given up; one open letter per link and direction."""
    told = {
        "connection_id": link.connection_id,
        "error_code": error.code[:40],
        "error": str(error)[:300],
        "attempts": link.attempts,
        "created_at": clock.now(),
    }
    DeadLetter.objects.update_or_create(link=link, direction=direction, status=OPEN, defaults=told)


def drop_deliveries(delivery_ids: Sequence[Any]) -> None:
    """Close the open letters of deliveries whose bodies were dropped: nothing is left to be tried again."""
    DeadLetter.objects.filter(delivery__in=delivery_ids, status=OPEN).update(
        status=DeadLetter.Status.DROPPED, resolved_at=clock.now()
    )


def close(connection: Connection) -> None:
    """Drop the open letters of a connection that is removed, but erasures that nobody was told of."""
    theirs = DeadLetter.objects.filter(connection=connection, status=OPEN)
    theirs.exclude(direction=DeadLetter.Direction.ERASE).update(
        status=DeadLetter.Status.DROPPED, resolved_at=clock.now()
    )


def settle(link_ids: Sequence[Any]) -> None:
    """Close the open letters of links that went through."""
    DeadLetter.objects.filter(link__in=link_ids, status=OPEN).update(
        status=DeadLetter.Status.REPLAYED, resolved_at=clock.now()
    )
