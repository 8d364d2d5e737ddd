"""
Seals what settled in a log: hashes it, grows the tree, signs, appends a checkpoint. Never changes an entry.

One at a time by a lock of the database. Entries are sealed in the order (xact, id), and only below the oldest
transaction that still runs: nothing can appear among them afterwards. The old tree is not read again.
"""

from datetime import datetime
from hashlib import sha256
from zlib import crc32

from django.conf import settings
from django.db import connection, transaction

from apps.audit.domain import entries
from apps.audit.domain.checkpoints import NO_PREVIOUS, Body
from apps.audit.domain.entries import EPOCH, SealedLog
from apps.audit.domain.merkle import Tree
from apps.audit.domain.signing import SigningKey, is_signed
from apps.audit.models import Checkpoint
from apps.audit.selectors import checkpoints, logs
from rtx.kernel import clock

CHUNK = 15_000  # entries of one checkpoint at most
LOCK = 0x52545841


class SealBroken(Exception):
    """Nothing may be added: the last checkpoint proves nothing, or transactions count from the start."""


def seal_all(*, chunk: int = CHUNK) -> dict[str, int]:
    """
    Seal what settled in every log, in chunks; return how many entries each log gained.

    :raises SealBroken: a log cannot be sealed; the other logs were.
    """
    gained: dict[str, int] = {}
    broken: list[str] = []
    for name, found in logs.sealed_logs().items():
        try:
            gained[name] = seal(found, chunk=chunk)
        except SealBroken as error:
            broken.append(str(error))
    if broken:
        raise SealBroken("; ".join(broken))
    return gained


def seal(sealed_log: SealedLog, *, chunk: int = CHUNK) -> int:
    """
    Seal what settled in a log and return how many entries that was; 0 too while another process seals it.

    :raises SealBroken: the last checkpoint is not one of ours, or the database counts transactions anew.
    """
    sealed, count = 0, chunk
    while count == chunk:
        with transaction.atomic():
            count = _seal_chunk(sealed_log, chunk) if _locked(sealed_log.name) else 0
        sealed += count
    return sealed


def _locked(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK, crc32(name.encode()) - 2**31])
        return bool(cursor.fetchone()[0])


def _seal_chunk(sealed_log: SealedLog, chunk: int) -> int:
    before = checkpoints.latest(sealed_log.name)
    tree = _proven(before)
    _require_later_transactions(sealed_log, before)
    read_at = clock.now()
    place = logs.START if before is None else before.body.last
    records = logs.records_between(sealed_log, place, form=len(sealed_log.forms), limit=chunk)
    count = logs.entries_in(records)
    if count == 0:
        return 0
    horizon_at = EPOCH if before is None else before.horizon_at
    if count < chunk:  # the log is drained: what comes later settled later
        horizon_at = read_at
    _append(sealed_log, before, tree, records, horizon_at=horizon_at)
    return count


def _proven(before: Checkpoint | None) -> Tree:
    """
    Return the tree to grow.

    :raises SealBroken: the last checkpoint is not one of ours.
    """
    if before is None:
        return Tree()
    body = before.body
    if not is_signed(
        body.text(),
        signature=bytes(before.signature),
        key_id=body.key_id,
        keys=checkpoints.known_keys(),
    ):
        raise SealBroken(f"checkpoint {before} does not bear a known signature")
    try:
        return checkpoints.tree_of(before)
    except ValueError as error:
        raise SealBroken(str(error)) from error


def _require_later_transactions(sealed_log: SealedLog, before: Checkpoint | None) -> None:
    """
    Go on only where new entries come after the old ones.

    :raises SealBroken: a restore made the database count its transactions from the start: what is written now
        would stand among what is sealed.
    """
    newest = max(logs.newest_transaction(sealed_log), before.last_xact if before else 0)
    upcoming = logs.next_transaction()
    if newest >= upcoming:
        raise SealBroken(
            f"the database counts transactions from {upcoming}, but entries of {sealed_log.name} bear"
            f" {newest}: it was restored from a dump and needs a new epoch (see Restoring in docs/audit.md)"
        )


def _append(
    sealed_log: SealedLog, before: Checkpoint | None, tree: Tree, records: bytes, *, horizon_at: datetime
) -> None:
    grown = tree.extended(entries.leaves(records))
    first, last = (entries.at(records, index) for index in (0, logs.entries_in(records) - 1))
    assert first is not None
    assert last is not None
    key = SigningKey.parsed(settings.AUDIT_SIGNING_KEY)
    body = Body(
        log=sealed_log.name,
        number=1 if before is None else before.number + 1,
        form=len(sealed_log.forms),
        tree_size=grown.size,
        count=grown.size - tree.size,
        root=grown.root(),
        previous=NO_PREVIOUS if before is None else before.body.hash(),
        first=first.place,
        last=last.place,
        entries=sha256(records).digest(),
        horizon_at=horizon_at,
        signed_at=clock.now(),
        key_id=key.id,
    )
    Checkpoint.objects.create(
        log=body.log,
        number=body.number,
        form=body.form,
        tree_size=body.tree_size,
        count=body.count,
        root=body.root,
        peaks=b"".join(grown.peaks),
        previous=body.previous,
        first_xact=body.first[0],
        first_id=body.first[1],
        last_xact=body.last[0],
        last_id=body.last[1],
        entries_hash=body.entries,
        records=records,
        horizon_at=body.horizon_at,
        signed_at=body.signed_at,
        key_id=body.key_id,
        signature=key.sign(body.text()),
    )
