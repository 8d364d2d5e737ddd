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


def export_new(target: Path) -> int:
    """
    Write every checkpoint after the newest that is outside; return how many were written.

    :raises OSError: the storage is away or full; the next call goes on where this one stood.
    """
    return sum(
        outside.write(target, sealed)
        for log in logs.sealed_logs()
        for sealed in checkpoints.in_order(log, after=outside.newest(target, log))
    )


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
