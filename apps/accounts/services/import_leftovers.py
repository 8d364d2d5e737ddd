"""
What imports leave behind: files that were never started and rows that failed, sealed under the master key.
They name people, so they go after a week, and at once with a client who is erased.
"""

import json
from collections.abc import Iterator
from datetime import timedelta

from django.db import transaction

from apps.accounts.adapters.sheets import SheetInvalid
from apps.accounts.domain.imports import ImportRow
from apps.accounts.models import ImportFailure, ImportRun
from apps.accounts.services import imports
from rtx.kernel import clock, encryption
from rtx.kernel.encryption import DecryptionFailed

KEPT = timedelta(days=7)
UNFINISHED = (ImportRun.Status.CHECKED, ImportRun.Status.QUEUED, ImportRun.Status.RUNNING)
CHUNK = 1000


def purge() -> int:
    """Give up imports of a week ago that did not end, and delete failing rows that old; return how many."""
    limit = clock.now() - KEPT
    with transaction.atomic():
        for run in ImportRun.objects.select_for_update(skip_locked=True).filter(
            status__in=UNFINISHED, created_at__lt=limit
        ):
            _give_up(run)
    deleted, _ = ImportFailure.objects.filter(run__created_at__lt=limit).delete()
    return deleted


def forget(*, email: str, client_number: int) -> None:
    """
    Delete what imports still hold of a client: failing rows that name them, and files of imports that have
    not ended, which are given up. Call inside a transaction.
    """
    for run in ImportRun.objects.select_for_update().filter(status__in=UNFINISHED):
        if _names(_rows_of(run), email, client_number):
            _give_up(run)
    ImportFailure.objects.filter(pk__in=list(_failures_of(email, client_number))).delete()


def _give_up(run: ImportRun) -> None:
    run.status, run.file_sealed, run.finished_at = ImportRun.Status.CANCELED, b"", clock.now()
    run.save(update_fields=["status", "file_sealed", "finished_at"])


def _names(rows: list[ImportRow] | None, email: str, client_number: int) -> bool:
    """Tell whether rows are about a client; of a file that cannot be read nobody knows."""
    if rows is None:
        return True
    return any(_is_about(row, email, client_number) for row in rows)


def _is_about(row: ImportRow, email: str, client_number: int) -> bool:
    return row.email == email.lower() or row.text("client_number") == str(client_number)


def _rows_of(run: ImportRun) -> list[ImportRow] | None:
    try:
        return imports.read(run.unseal())
    except (SheetInvalid, DecryptionFailed):
        return None


def _failures_of(email: str, client_number: int) -> Iterator[int]:
    ring = encryption.master_keys()
    for failure in ImportFailure.objects.iterator(chunk_size=CHUNK):
        try:
            cells = json.loads(ring.open(bytes(failure.cells_sealed), associated=failure.place()))
        except DecryptionFailed:
            continue  # nobody reads it any more
        if _is_about(ImportRow(failure.row, cells), email, client_number):
            yield failure.pk
