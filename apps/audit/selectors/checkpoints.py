"""Checkpoints as they lie in the database, and the keys that they are checked with. Reads only."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.db import connection

from apps.audit.domain.checkpoints import Sealed
from apps.audit.domain.entries import Entry, unpacked
from apps.audit.domain.merkle import HASH_BYTES, Tree
from apps.audit.domain.signing import SigningKey, public_keys
from apps.audit.models import Checkpoint
from apps.audit.selectors import logs
from rtx.kernel import clock

PAGE = 500
PAGE_ENTRIES = 100_000
UNSEALED_MAX = 10_001
CHECKS_LOCK = 0x5254584155444954


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far a log is sealed, and what waits."""

    log: str
    number: int
    tree_size: int
    root: str
    signed_at: str
    key_id: str
    unsealed: int
    lag_s: float


@lru_cache(maxsize=1)
def _keys(private: str, public: tuple[str, ...]) -> dict[str, bytes]:
    own = [SigningKey.parsed(private).public_text] if private else []
    return public_keys([*public, *own])


def known_keys() -> dict[str, bytes]:
    """Return the public keys that this installation believes, by id."""
    return _keys(settings.AUDIT_SIGNING_KEY, tuple(settings.AUDIT_PUBLIC_KEYS))


def latest(log: str) -> Checkpoint | None:
    """Return the last checkpoint of a log, without its records; None: nothing is sealed yet."""
    return Checkpoint.objects.filter(log=log).defer("records").order_by("-number").first()


def tree_of(row: Checkpoint | None) -> Tree:
    """
    Return the tree that a checkpoint stands for.

    :raises ValueError: its peaks do not add up to its signed root.
    """
    if row is None:
        return Tree()
    peaks = bytes(row.peaks)
    tree = Tree(
        row.tree_size, tuple(peaks[start : start + HASH_BYTES] for start in range(0, len(peaks), HASH_BYTES))
    )
    if tree.root() != bytes(row.root):
        raise ValueError(f"the peaks of checkpoint {row} do not add up to its root")
    return tree


def in_order(log: str, *, after: int = 0) -> Iterator[Sealed]:
    """Return the checkpoints of a log, oldest first, a page at a time."""
    number = after
    while page := _page(log, number):
        rows = Checkpoint.objects.filter(log=log, number__in=page).order_by("number")
        for row in rows:
            yield row.sealed
        number = page[-1]


def _page(log: str, after: int) -> list[int]:
    """Return the next numbers of a log, as many as fit into memory."""
    found: list[int] = []
    entries = 0
    rows = Checkpoint.objects.filter(log=log, number__gt=after).order_by("number")
    for number, count in rows.values_list("number", "count")[:PAGE]:
        found.append(number)
        entries += count
        if entries >= PAGE_ENTRIES:
            break
    return found


def find_sealed(log: str, *, entry_id: int | None = None, content: bytes = b"") -> Entry | None:
    """Return the sealed entry with an id, or with some content, wherever it is; None: none was sealed."""
    for sealed in in_order(log):
        for entry in unpacked(sealed.records):
            if entry.id == entry_id or (content and entry.content == content):
                return entry
    return None


def lock_checks() -> None:
    """Let one transaction at a time decide whether a check runs."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHECKS_LOCK])


def heads() -> list[Head]:
    """Return how far each log is sealed."""
    return [_head(name) for name in logs.sealed_logs()]


def _head(name: str) -> Head:
    row = latest(name)
    place = logs.START if row is None else row.body.last
    unsealed, lag_s = logs.count_unsealed(logs.sealed_logs()[name], place, most=UNSEALED_MAX)
    return Head(
        log=name,
        number=row.number if row else 0,
        tree_size=row.tree_size if row else 0,
        root=bytes(row.root).hex() if row else "",
        signed_at=clock.rfc3339(row.signed_at) if row else "",
        key_id=row.key_id if row else "",
        unsealed=unsealed,
        lag_s=lag_s,
    )
