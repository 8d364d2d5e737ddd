"""
Verifies that a log is what was sealed: hashes every sealed entry anew and compares it with the checkpoints in
the database and with those outside. Changes nothing.

A checkpoint in the database is believed as far as its signature goes; one outside shows what the database
said when it was given out, so that it convicts even whoever rewrote entries, checkpoints and keys.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from apps.audit.adapters.outside import Witnesses
from apps.audit.domain import entries
from apps.audit.domain.checkpoints import NO_PREVIOUS, Sealed
from apps.audit.domain.entries import EPOCH, RECORD_BYTES, Entry, SealedLog
from apps.audit.domain.findings import Elsewhere, Finding, Tampering, diagnose
from apps.audit.domain.merkle import Tree
from apps.audit.selectors import checkpoints, logs
from rtx.kernel.clock import rfc3339

GROUP_ENTRIES = 40_000  # read from the log at once
LATE_S = 900  # a transaction may take so long, and clocks may differ so much
TIMES = np.dtype({"names": ["at"], "formats": [">i8"], "offsets": [16], "itemsize": RECORD_BYTES})

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What one log's verification came to; no finding: it is intact as far as it is sealed."""

    log: str
    entries: int
    checkpoints: int
    outside: int
    root: str
    finding: Finding | None


def verify(
    log: SealedLog, *, witnesses: Witnesses | None = None, progress: Progress = lambda done: None
) -> Verified:
    """
    Verify one log from its first entry to its last checkpoint, and against checkpoints outside.

    :raises Malformed: a file outside is no checkpoint.
    """
    return _Run(log, witnesses or Witnesses(), progress).run()


class _Run:
    """One verification; `_suspicion` is a checkpoint that proves nothing while its entries look right."""

    def __init__(self, log: SealedLog, witnesses: Witnesses, progress: Progress) -> None:
        self._log, self._witnesses, self._progress = log, witnesses, progress
        self._keys = checkpoints.known_keys()
        self._tree = Tree()
        self._number = 0
        self._previous = NO_PREVIOUS
        self._place = logs.START
        self._horizon = EPOCH
        self._outside = 0
        self._suspicion: Finding | None = None

    def run(self) -> Verified:
        outside = self._witnesses.numbers(self._log.name)  # listed first: the database can only be ahead
        finding = None
        for group in _groups(checkpoints.in_order(self._log.name)):
            finding = self._group(group)
            if finding is not None:
                break
        if finding is None:
            finding = self._beyond([number for number in outside if number > self._number])
        return Verified(
            log=self._log.name,
            entries=self._tree.size,
            checkpoints=self._number,
            outside=self._outside,
            root=self._tree.root().hex(),
            finding=finding or self._suspicion,
        )

    def _group(self, group: list[Sealed]) -> Finding | None:
        body = group[-1].body
        form = min(body.form, len(self._log.forms))
        present = logs.records_between(self._log, self._place, body.last, form=form)
        start = 0
        for index, sealed in enumerate(group):
            is_last = index == len(group) - 1
            stop = len(present) if is_last else start + sealed.body.count * RECORD_BYTES
            finding = self._checkpoint(sealed, present[start:stop])
            if finding is not None:
                return finding
            start = stop
        return None

    def _checkpoint(self, sealed: Sealed, present: bytes) -> Finding | None:
        """Compare the entries of one batch with its checkpoint, and with its file where there is one."""
        grown = self._tree.extended(entries.leaves(sealed.records))
        fault = self._fault(sealed, grown)
        witness = self._witnesses.read(self._log.name, sealed.body.number)
        if witness is not None:
            self._outside += 1
            finding = self._against_outside(witness, sealed, present, fault)
            if finding is not None:
                return finding
        difference = entries.first_difference(sealed.records, present)
        if difference is not None:
            return self._difference(sealed, present, difference, fault)
        if fault:
            self._suspect(sealed, 0, fault)
        elif (late := self._backdated(sealed)) is not None:
            return late
        self._advance(sealed, grown)
        return None

    def _advance(self, sealed: Sealed, grown: Tree) -> None:
        body = sealed.body
        self._tree, self._number, self._place = grown, body.number, body.last
        self._previous, self._horizon = body.hash(), body.horizon_at
        self._progress(grown.size)

    def _fault(self, sealed: Sealed, grown: Tree) -> str:
        """Say why a checkpoint of the database proves nothing; empty: it does."""
        body = sealed.body
        if body.number != self._number + 1:
            return f"Checkpoint {self._number + 1} is missing."
        if body.previous != self._previous:
            return f"It does not follow checkpoint {self._number}."
        fault = sealed.fault(self._keys)
        if fault:
            return fault[0].upper() + fault[1:] + "."
        if body.tree_size != grown.size or body.root != grown.root():
            return "Its root is not that of its entries."
        return ""

    # --- what is not as it was ----------------------------------------------------------------------------

    def _against_outside(self, witness: Sealed, sealed: Sealed, present: bytes, fault: str) -> Finding | None:
        """Compare with what was given out; the database's own checkpoint may have been rewritten since."""
        if (witness.start, witness.body.last) != (self._tree.size, sealed.body.last):
            present = self._batch_of(witness)
        difference = entries.first_difference(witness.records, present)
        if difference is not None:
            rewritten = sealed.records != witness.records
            return self._difference(witness, present, difference, fault, is_rewritten=rewritten)
        if sealed.body.text() != witness.body.text() or sealed.signature != witness.signature:
            told = "The entries are those that were given out, the database's checkpoint is not."
            self._suspect(witness, 0, f"{told} {fault}".strip())
        elif unproven := witness.fault(self._keys):
            self._suspect(witness, 0, f"The file proves nothing: {unproven}.")
        return None

    def _batch_of(self, witness: Sealed) -> bytes:
        """Read what stands now where the batch of a checkpoint outside was."""
        xact, entry_id = witness.body.first
        after = self._place if witness.start == self._tree.size else (xact, entry_id - 1)
        form = min(witness.body.form, len(self._log.forms))
        return logs.records_between(self._log, after, witness.body.last, form=form)

    def _difference(
        self, sealed: Sealed, present: bytes, index: int, fault: str, *, is_rewritten: bool = False
    ) -> Finding:
        before, now = entries.at(sealed.records, index), entries.at(present, index)
        what, entry, detail = diagnose(before, now, self._elsewhere(sealed))
        if is_rewritten or fault:
            detail = f"{detail} The database's own checkpoint was changed with it. {fault}".strip()
            what = Tampering.REWRITTEN
        return self._finding(sealed, entry, index, what, detail)

    def _elsewhere(self, sealed: Sealed) -> Elsewhere:
        name = self._log.name
        head = max(sealed.body.last, getattr(checkpoints.latest(name), "body", sealed.body).last)
        return Elsewhere(
            sealed_by_id=lambda entry_id: checkpoints.find_sealed(name, entry_id=entry_id),
            sealed_by_content=lambda content: checkpoints.find_sealed(name, content=content),
            present_by_id=lambda entry_id: logs.entry_by_id(self._log, entry_id, form=len(self._log.forms)),
            is_anything_after=lambda place: logs.is_anything_between(self._log, place, head),
        )

    def _backdated(self, sealed: Sealed) -> Finding | None:
        """Find an entry that was appended long after the time it bears."""
        at_us = np.frombuffer(sealed.records, dtype=TIMES)["at"]
        earliest = (self._horizon - EPOCH) // timedelta(microseconds=1) - LATE_S * 1_000_000
        if int(at_us.min()) >= earliest:
            return None
        index = int((at_us < earliest).argmax())
        entry = entries.at(sealed.records, index)
        assert entry is not None
        detail = f"It was written after {rfc3339(self._horizon)}, when everything of its time was sealed."
        return self._finding(sealed, entry, index, Tampering.BACKDATED, detail)

    def _beyond(self, numbers: list[int]) -> Finding | None:
        """Compare with checkpoints outside that the database has no longer."""
        for number in numbers:
            witness = self._witnesses.read(self._log.name, number)
            assert witness is not None
            self._outside += 1
            present = self._batch_of(witness)
            difference = entries.first_difference(witness.records, present)
            if difference is not None:
                return self._difference(witness, present, difference, "")
            self._suspect(witness, 0, "The database's checkpoint of it is gone.")
            if witness.start == self._tree.size:
                self._advance(witness, self._tree.extended(entries.leaves(witness.records)))
        return None

    def _suspect(self, sealed: Sealed, index: int, detail: str) -> None:
        """Remember the first checkpoint that proves nothing; an entry that differs says more."""
        entry = entries.at(sealed.records, index)
        if self._suspicion is None and entry is not None:
            self._suspicion = self._finding(sealed, entry, index, Tampering.REWRITTEN, detail)

    def _finding(self, sealed: Sealed, entry: Entry, index: int, what: Tampering, detail: str) -> Finding:
        return Finding(
            log=self._log.name,
            what=what,
            id=entry.id,
            subject=logs.subject_name(self._log, entry.subject),
            seq=entry.seq,
            at=rfc3339(entry.at),
            position=sealed.start + index,
            checkpoint=sealed.body.number,
            witness=sealed.source,
            detail=detail,
        )


def _groups(found: Iterator[Sealed]) -> Iterator[list[Sealed]]:
    """Return checkpoints in groups whose entries are worth one reading; those of a group have one form."""
    group: list[Sealed] = []
    count = 0
    for sealed in found:
        if group and (count >= GROUP_ENTRIES or sealed.body.form != group[0].body.form):
            yield group
            group, count = [], 0
        group.append(sealed)
        count += len(sealed.records) // RECORD_BYTES
    if group:
        yield group
