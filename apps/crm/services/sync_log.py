"""Writes the sync log: what became of a customer, with names of fields and never a value."""

from collections.abc import Iterable

from apps.crm.models import Connection, Link, SyncEntry, SyncRun
from rtx.kernel import clock

DETAIL_CHARS = 300


def entry(
    connection: Connection,
    *,
    direction: str,
    action: str,
    cause: str,
    link: Link | None = None,
    run: SyncRun | None = None,
    fields: Iterable[str] = (),
    error_code: str = "",
    detail: str = "",
) -> SyncEntry:
    """Return an entry that is not saved yet."""
    return SyncEntry(
        connection=connection,
        run=run,
        link=link,
        direction=direction,
        action=action,
        cause=cause,
        fields=sorted(fields),
        error_code=error_code[:40],
        detail=detail[:DETAIL_CHARS],
        at=clock.now(),
    )


def write(entries: list[SyncEntry]) -> None:
    """Save entries, in the transaction of what they tell of."""
    SyncEntry.objects.bulk_create(entries, batch_size=500)


def cause_of(run: SyncRun | None, otherwise: str = "change") -> str:
    """Return the log's word for why something is sent or read."""
    return "run" if run is not None else otherwise
