"""
Takes checkpoints out of the house, each once. What is outside is known from the storage, not the database.
"""

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from apps.audit.adapters import outside
from apps.audit.models import Checkpoint
from apps.audit.selectors import checkpoints, logs


def folder() -> Path | None:
    """Return the outside storage; None: there is none."""
    return Path(settings.AUDIT_EXPORT_DIR) if settings.AUDIT_EXPORT_DIR else None


class OutsideAhead(Exception):
    """The storage has a newer checkpoint than the database, which is of an earlier time or was cut off."""


def export_new(target: Path) -> int:
    """Write every checkpoint after the newest that is outside; return how many (see `export_log`)."""
    return sum(export_log(target, log) for log in logs.sealed_logs())


def export_log(target: Path, log: str) -> int:
    """
    Write every checkpoint of a log after the newest that is outside; return how many were written.

    :raises OSError: the storage is away or full; the next call goes on where this one stood.
    :raises OutsideAhead: the newest outside is not in the database.
    :raises AlreadyDifferent: the database holds another one under its number.
    """
    head = outside.head(target, log)
    if head is not None:
        row = Checkpoint.objects.filter(log=log, number=head.number).defer("records").first()
        if row is None:
            raise OutsideAhead(f"checkpoint {head.number} of {log} is outside but not in the database")
        if row.body.text() != head.text():
            raise outside.AlreadyDifferent(f"checkpoint {head.number} of {log} is another one outside")
    after = head.number if head else 0
    return sum(outside.write(target, sealed) for sealed in checkpoints.in_order(log, after=after))


def missing(target: Path, log: str, *, since: int = 1) -> list[int]:
    """Return the numbers of the checkpoints that are not outside yet."""
    numbers = Checkpoint.objects.filter(log=log, number__gte=since).order_by("number")
    return [
        number
        for number in numbers.values_list("number", flat=True).iterator()
        if not outside.path_of(target, log, number).exists()
    ]


def export(target: Path, log: str, *, numbers: list[int]) -> Iterator[int]:
    """
    Write these checkpoints, telling each number once it is outside.

    :raises AlreadyDifferent: the storage holds another one under that name.
    """
    for number in numbers:
        outside.write(target, Checkpoint.objects.get(log=log, number=number).sealed)
        yield number
