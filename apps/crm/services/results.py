"""
Writes what became of a batch: links, the sync log, the run's counts, dead letters, all in one transaction. A
link whose claim was lost during the call belongs to somebody else; it is asked for what undoes the late call.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from apps.crm.adapters.provider import (
    CallRefused,
    ConnectionFault,
    LimitReached,
    ProviderError,
    Upsert,
    Written,
)
from apps.crm.domain import merging
from apps.crm.domain.mapping import Pair
from apps.crm.models import Connection, DeadLetter, Link, SyncEntry, SyncRun
from apps.crm.services import claims, giving_up, mergers, sync_log
from apps.crm.services.merging import base_of, keep_base
from rtx.kernel import clock

GONE_CODES = frozenset({"record_gone", "record_not_found", "not_found"})
PUSH = SyncEntry.Direction.PUSH
UNDECIDED = "batch_refused"
LOST = ("crm_id", "crm_changed_at", "status", "wanted", "wanted_at", "due_at", "attempts", "base_sealed")
WRITTEN = (
    *("crm_id", "status", "sent", "due_at", "attempts", "claim", "claimed_until", "base_sealed"),
    *("in_step_at", "last_error_code", "last_error", "wanted_at", "crm_changed_at"),
)


@dataclass(slots=True)
class Pushed:
    """What became of the links of some batches. `taken`: how many were claimed."""

    taken: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    conflicts: int = 0
    failed: int = 0
    pulled: int = 0


@dataclass(slots=True)
class Prepared:
    """
    One link with what the CRM is to be told. `fields`: what differs; `unfit`: what could not be said;
    `bears_id`: RTX's id stands there and is not written again.
    """

    link: Link
    external_id: str
    fields: dict[str, str | None]
    unfit: dict[str, str]
    parent_crm_id: str = ""
    bears_id: bool = False

    @property
    def is_in_step(self) -> bool:
        """Whether there is nothing to tell: the record is known there by RTX's id and has all values."""
        return bool(self.link.crm_id) and self.link.in_step_at is not None and not self.fields

    @property
    def upsert(self) -> Upsert:
        """What the provider is asked."""
        return Upsert(self.external_id, self.fields, self.link.crm_id, self.parent_crm_id, self.bears_id)


class Writer:
    """
    Writes the results of one batch. `borne`: the RTX ids that records bear which were answered and which
    nobody here was known by.
    """

    def __init__(
        self,
        connection: Connection,
        run: SyncRun | None,
        cause: str,
        pairs: Sequence[Pair],
        pushed: Pushed,
        borne: Mapping[str, str] | None = None,
    ) -> None:
        self._connection, self._run, self._pairs, self._pushed = connection, run, pairs, pushed
        self._borne = borne or {}
        self._cause = sync_log.cause_of(run, cause)
        self._entries: list[SyncEntry] = []
        self._overwritten: dict[Any, tuple[Link, dict[str, str | None]]] = {}

    def write(self, outcomes: Sequence[tuple[Prepared, Written | None]]) -> None:
        """Write the batch; without an answer a link was in step already."""
        if not outcomes:
            return
        with transaction.atomic():
            rows, lost, owners, bearers = self._locked(outcomes)
            fine = []
            for one, written in outcomes:
                if written is not None and written.crm_id not in owners:
                    self._give(one, written.crm_id, bearers, owners)
                row, owner = rows.get(one.link.pk), _owner(owners, one, written)
                if owner is not None and written is not None and not written.is_adopted:
                    self._overwritten.setdefault(owner.pk, (owner, {}))[1].update(one.fields)
                if row is None:
                    if one.link.pk in lost:
                        _undo(lost[one.link.pk], one, written, owners)
                    continue
                if written is not None and written.error is not None:
                    self._fail(row, written.error)
                elif written is not None and is_merged(one, written):
                    self._merged(row, one, written, is_taken=owner is not None)
                elif owner is not None:
                    self._fail(row, CallRefused("another customer has this record", code="record_taken"))
                else:
                    self._succeed(row, one, written)
                    fine.append(row.pk)
                if owner is None and written is not None and written.error is None:
                    owners[written.crm_id] = row
            claims.save(rows.values(), WRITTEN)
            claims.save(lost.values(), LOST)
            for owner, fields in self._overwritten.values():
                mergers.restore(owner, fields)
            giving_up.settle(fine)
            sync_log.write(self._entries)
            count_in(self._run, self._pushed)

    def _locked(
        self, outcomes: Sequence[tuple[Prepared, Written | None]]
    ) -> tuple[dict[Any, Link], dict[Any, Link], dict[str, Link], dict[str, Link]]:
        """
        Lock the links of the batch and of the records it was answered with. Return those of the batch that
        are still claimed, those that were lost, whose the records are, and whose RTX ids they bear.
        """
        batch, claim = {one.link.pk for one, _ in outcomes}, outcomes[0][0].link.claim
        ids = {written.crm_id for _, written in outcomes if written is not None and written.crm_id}
        there = Link.objects.filter(connection=self._connection, kind=outcomes[0][0].link.kind)
        owners = set(there.filter(crm_id__in=ids).values_list("pk", flat=True))
        borne = set(self._borne.values())
        named = mergers.bearers(self._connection, outcomes[0][0].link.kind, borne) if borne else there.none()
        bearing = set(named.values_list("pk", flat=True))
        locked = claims.locked(Link.objects.filter(pk__in=batch | owners | bearing))
        mine = [row for row in locked if row.pk in batch]
        rows = {row.pk: row for row in mine if row.claim == claim}
        lost = {row.pk: row for row in mine if row.claim != claim}
        bearers = {external_id(row): row for row in locked if row.pk in bearing}
        return rows, lost, {row.crm_id: row for row in locked if row.crm_id}, bearers

    def _give(self, one: Prepared, crm_id: str, bearers: Mapping[str, Link], owners: dict[str, Link]) -> None:
        """Give a record that nobody was known by to the other customer whose RTX id it bears."""
        bearer = bearers.get(self._borne.get(crm_id, ""))
        if bearer is not None and bearer.pk != one.link.pk:
            owners.pop(bearer.crm_id, None)
            mergers.move(bearer, crm_id)
            owners[crm_id] = bearer
            self._note(bearer, SyncEntry.Action.UPDATED, detail="merged into another record")

    def _merged(self, row: Link, one: Prepared, written: Written, *, is_taken: bool) -> None:
        """
        Note that the record that was named is a part of another one now: a customer's, or nobody's, which is
        compared before more is written to it.
        """
        if is_taken:
            self._gone(row, "merged into another customer's record")
            return
        mergers.move(row, written.crm_id)
        row.in_step_at = None
        row.claim, row.claimed_until, row.due_at = None, None, clock.now()
        self._note(
            row, SyncEntry.Action.UPDATED, fields=list(one.fields), detail="merged into another record"
        )

    def _succeed(self, row: Link, one: Prepared, written: Written | None) -> None:
        now = clock.now()
        row.sent = one.link.wanted
        row.attempts, row.claim, row.claimed_until, row.due_at = 0, None, None, now
        row.wanted_at = now
        row.last_error_code, row.last_error = "", ""
        if one.unfit:
            self._unfit(row, one.unfit)
        if written is None:
            self._pushed.unchanged += 1
            return
        is_new = row.crm_id != written.crm_id
        base = {} if is_new else base_of(row, one.link.client)
        row.crm_id = written.crm_id
        if not (one.bears_id and row.in_step_at is None):  # else it was seen without RTX's id during the call
            row.in_step_at = now
        if one.link.client.data_key is not None:
            keep_base(row, one.link.client, dict(merging.told(self._pairs, base, one.fields)))
        if written.is_created:
            self._pushed.created += 1
            action = SyncEntry.Action.CREATED
        else:
            self._pushed.updated += 1
            action = SyncEntry.Action.UPDATED
        self._note(row, action, fields=list(one.fields))

    def _unfit(self, row: Link, unfit: dict[str, str]) -> None:
        row.last_error_code = "value_unfit"
        row.last_error = "; ".join(f"{name} {why}" for name, why in sorted(unfit.items()))[:300]
        self._pushed.failed += 1
        self._note(
            row,
            SyncEntry.Action.FAILED,
            fields=list(unfit),
            error_code=row.last_error_code,
            detail=row.last_error,
        )

    def _fail(self, row: Link, error: ProviderError) -> None:
        if isinstance(error, ConnectionFault | LimitReached) or error.code == UNDECIDED:
            # No try: it came after others were written, or of the company that the record was in.
            row.claim, row.claimed_until = None, None
            row.due_at = clock.now() + timedelta(seconds=error.retry_after_s or 0)
            return
        if error.code in GONE_CODES and row.crm_id:
            self._gone(row)
            return
        self._pushed.failed += 1
        fail(row, error, DeadLetter.Direction.PUSH)
        self._note(row, SyncEntry.Action.FAILED, error_code=error.code, detail=str(error))

    def _gone(self, row: Link, detail: str = "") -> None:
        row.claim, row.claimed_until, row.base_sealed = None, None, b""
        if row.client.data_key is not None:  # who was erased during the call is still to be erased there
            row.status = Link.Status.GONE
            self._note(row, SyncEntry.Action.GONE, detail=detail)

    def _note(self, row: Link, action: str, **more: Any) -> None:
        self._entries.append(
            sync_log.entry(
                self._connection,
                direction=PUSH,
                action=action,
                cause=self._cause,
                link=row,
                run=self._run,
                **more,
            )
        )


def is_merged(one: Prepared, written: Written) -> bool:
    """Tell whether the record that was named is a part of another one now."""
    return written.error is None and bool(one.link.crm_id) and written.crm_id != one.link.crm_id


def _owner(owners: Mapping[str, Link], one: Prepared, written: Written | None) -> Link | None:
    """Return whose record another customer's values were written to."""
    owner = owners.get(written.crm_id) if written is not None and written.error is None else None
    return None if owner is None or owner.pk == one.link.pk else owner


def _undo(row: Link, one: Prepared, written: Written | None, owners: dict[str, Link]) -> None:
    """
    Ask a link that was lost during the call for what undoes it: the record of who was erased meanwhile is
    deleted, what others sent meanwhile is sent over it once more. The row is changed and not saved.
    """
    if written is None or written.error is not None:
        return
    if row.client.data_key is None:
        _ask_again(row)
        if not row.crm_id and written.crm_id not in owners:
            row.crm_id, owners[written.crm_id] = written.crm_id, row
    elif row.status != Link.Status.GONE:
        row.wanted, row.due_at = row.wanted + 1, clock.now()
        base = base_of(row, row.client)
        keep_base(row, row.client, {name: seen for name, seen in base.items() if name not in one.fields})


def _ask_again(row: Link) -> None:
    now = clock.now()
    row.wanted, row.wanted_at, row.due_at = row.wanted + 1, now, now
    row.status, row.attempts = Link.Status.ACTIVE, 0


def unanswered(batch: Sequence[Link]) -> None:
    """Let clients who were erased during a call without an answer be looked for there, or once more."""
    erased = Link.objects.filter(pk__in=[link.pk for link in batch], client__data_key__isnull=True)
    with transaction.atomic():
        rows = claims.locked(erased)
        for row in rows:
            _ask_again(row)
        claims.save(rows, LOST)


def fail(row: Link, error: ProviderError, direction: str) -> None:
    """Note a failed attempt: the link is due again later, or given up. The row is changed and not saved."""
    now = clock.now()
    row.attempts += 1
    row.claim, row.claimed_until = None, None
    row.last_error_code, row.last_error = error.code[:40], str(error)[:300]
    row.due_at = now + merging.wait_after(row.attempts, share=random.random())  # noqa: S311 - jitter
    if row.attempts >= merging.ATTEMPTS_MAX:
        row.status = Link.Status.DEAD
        giving_up.give_up(row, direction, error)


def external_id(link: Link) -> str:
    """Return RTX's id of a customer or an account in every CRM."""
    return str(link.account.login) if link.account is not None else str(link.client_id)


def refuse(link: Link, error: ProviderError) -> None:
    """Note a failed attempt of a link for what is wrong here, before anything was sent."""
    with transaction.atomic():
        row = Link.objects.select_for_update().filter(pk=link.pk, claim=link.claim).first()
        if row is not None:
            fail(row, error, DeadLetter.Direction.PUSH)
            row.save()


def count_in(run: SyncRun | None, pushed: Pushed) -> None:
    """Add what a batch did to its run."""
    if run is not None:
        names = ("created", "updated", "unchanged", "conflicts", "failed", "pulled")
        more: Any = {name: F(name) + getattr(pushed, name) for name in names if getattr(pushed, name)}
        if more:
            SyncRun.objects.filter(pk=run.pk).update(**more)
