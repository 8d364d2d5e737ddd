"""
What a seal keeps of each entry of a log: its place, its time, whose it is, and its hashes. Knows no database.

An entry's canonical bytes are one line of PostgreSQL's COPY text form (docs/audit.md): five leading columns
(xact, id, time in microseconds since 1970, subject, seq), then every other column in the log's fixed order.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

RECORD = struct.Struct(">Qqqqq8s32s")
RECORD_BYTES = RECORD.size
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedLog:
    """
    A table whose entries are sealed. `subject` and `seq` are SQL expressions of whole numbers that name an
    entry to people; `forms` are the lists of all other columns (an added column is a new form, the last).
    """

    name: str
    table: str
    forms: tuple[tuple[str, ...], ...]
    subject: str = "0"
    seq: str = "0"
    subject_query: str = ""  # SQL that names a subject to people, such as `account 100001`
    covered: frozenset[str] = frozenset()  # columns that the leading five hold already


class Entry(NamedTuple):
    """One entry as it was sealed, or as it stands now."""

    xact: int
    id: int
    at_us: int
    subject: int
    seq: int
    content: bytes
    leaf: bytes

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in its log."""
        return self.xact, self.id

    @property
    def at(self) -> datetime:
        """When it says that it happened."""
        return EPOCH + timedelta(microseconds=self.at_us)


def record_of(line: bytes) -> bytes:
    """Return what is kept of an entry, from its canonical bytes."""
    xact, entry_id, at, subject, seq, content = line.split(b"\t", 5)
    return RECORD.pack(
        int(xact),
        int(entry_id),
        int(at),
        int(subject),
        int(seq),
        sha256(content).digest()[:8],
        sha256(b"\x00" + line).digest(),
    )


def unpacked(records: bytes) -> Iterator[Entry]:
    """Return the entries of a batch one by one."""
    return (Entry._make(fields) for fields in RECORD.iter_unpack(records))


def leaves(records: bytes) -> Iterator[bytes]:
    """Return the leaf hashes of a batch, in order."""
    return (fields[6] for fields in RECORD.iter_unpack(records))


def at(records: bytes, index: int) -> Entry | None:
    """Return one entry of a batch; None: it has no such entry."""
    start = index * RECORD_BYTES
    if not 0 <= start < len(records):
        return None
    return Entry._make(RECORD.unpack_from(records, start))


def first_difference(sealed: bytes, present: bytes) -> int | None:
    """Return the number of the first entry in which two batches differ; None: they are the same."""
    if sealed == present:
        return None
    low, high = 0, max(len(sealed), len(present)) // RECORD_BYTES
    while low < high:  # the longest beginning that is the same
        middle = (low + high + 1) // 2
        if sealed[: middle * RECORD_BYTES] == present[: middle * RECORD_BYTES]:
            low = middle
        else:
            high = middle - 1
    return low
