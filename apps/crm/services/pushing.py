"""
Sends links that wait to their CRM, in full batches; results are written in one transaction per batch. A link
that fails is tried again later, and becomes a dead letter in the end; the others go on.

A batch is claimed, read, called and written; the claim is renewed before each call, and what was lost to
others by then is left out. Whoever dies in between leaves a claim that runs out; the next one sends the same
records again, found by RTX's id, which changes nothing more.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import structlog
from django.db.models import Exists, OuterRef, Q

from apps.accounts.models import TradingAccount
from apps.crm.adapters.provider import (
    CallRefused,
    ConnectionFault,
    Provider,
    ProviderError,
    Unavailable,
    Written,
)
from apps.crm.domain import mapping, merging
from apps.crm.domain.fields import Value
from apps.crm.domain.mapping import Pair
from apps.crm.models import Connection, FieldMapping, Link, SyncRun
from apps.crm.selectors.mappings import names_read, pairs_of
from apps.crm.selectors.values import account_values, client_values
from apps.crm.services import calling, claims, erasing, faults, pulling, results, sync_log
from apps.crm.services.calling import NotConnected
from apps.crm.services.merging import Base, base_of
from apps.crm.services.results import Prepared, Pushed
from rtx.kernel import clock

CLIENT = FieldMapping.Kind.CLIENT
ACCOUNT = FieldMapping.Kind.ACCOUNT

log = structlog.get_logger(__name__)


def push_due(
    connection: Connection,
    provider: Provider,
    *,
    run: SyncRun | None = None,
    cause: str = "change",
    kind: str | None = None,
) -> Pushed:
    """
    Send one batch of links that are due, of one kind, or clients before accounts; nothing taken: nothing is
    due.

    :raises ProviderError: the CRM cannot be called now; the claims were given back.
    """
    for each in [kind] if kind else [CLIENT, ACCOUNT]:
        batch = claims.claim(_due(connection, each), limit=provider.batch_max)
        if batch:
            pushed = _Batch(connection, provider, each, batch, run, cause).send()
            faults.sends(connection_id=connection.pk, kind=each)
            return pushed
    return Pushed()


def waiting() -> list[int]:
    """Return the connections that have links to send and can be called, but where a run sends them."""
    found = []
    for connection in Connection.objects.filter(status=Connection.Status.ACTIVE):
        if not _is_held(connection) and not _is_run_sending(connection) and _next_kind(connection):
            found.append(connection.pk)
    return found


def push_all(*, connection_id: int, for_s: float) -> int:
    """
    Send what waits at a connection, batch by batch, for `for_s` seconds or up to the last; return how many
    links were looked at. When the CRM cannot be called, or the connection is at fault, the rest waits; the
    connection's page says why. While a call that accounts need is refused, clients are sent all the same.
    """
    connection = Connection.objects.filter(pk=connection_id).first()
    if connection is None or not _next_kind(connection):
        return 0
    with claims.alone(connection, "crm_push") as is_alone:  # two would half fill their batches
        return _push_all(connection, for_s) if is_alone else 0


def _push_all(connection: Connection, for_s: float) -> int:
    until, taken, kind = time.monotonic() + for_s, 0, ""
    try:
        with calling.opened(connection) as provider:
            while calling.is_active(connection) and not _is_run_sending(connection):
                kind = _next_kind(connection)
                pushed = push_due(connection, provider, kind=kind) if kind else Pushed()
                taken += pushed.taken
                if not pushed.taken or time.monotonic() >= until:
                    break
    except ProviderError as error:
        # A refusal that leaves a batch is no record's either: it was read, or looked for, as a whole.
        if isinstance(error, ConnectionFault | CallRefused) and not isinstance(error, NotConnected):
            faults.note(connection_id=connection.pk, error=error, sending=kind)
        log.info("crm_push_held", connection=connection.pk, error=error.code)
    return taken


def _is_held(connection: Connection) -> bool:
    now = clock.now()
    holds = (connection.not_before, connection.open_until)
    return any(at is not None and at > now for at in holds)


def _next_kind(connection: Connection) -> str:
    """Return which links are to be sent next, clients before accounts; empty: none are due, or all held."""
    kinds = [str(kind) for kind in (CLIENT, ACCOUNT) if not faults.is_held(connection, kind)]
    return next((kind for kind in kinds if claims.free(_due(connection, kind)).exists()), "")


def _is_run_sending(connection: Connection) -> bool:
    """Tell whether a run that lives sends what waits: two would only share the limit."""
    now = clock.now()
    sending = SyncRun.objects.filter(connection=connection, phase__in=["push", "accounts"])
    return (
        sending.filter(claimed_until__gt=now, status=SyncRun.Status.RUNNING).exclude(kind="preview").exists()
    )


def count_due(connection: Connection, kind: str, *, up_to: int) -> int:
    """Return how many links could be sent at once, counting no further than `up_to`."""
    return claims.free(_due(connection, kind))[:up_to].count()


def _due(connection: Connection, kind: str) -> Any:
    due = Link.objects.filter(connection=connection, kind=kind, is_waiting=True)
    if kind == ACCOUNT:
        holders = Link.objects.filter(connection=connection, kind=CLIENT, client_id=OuterRef("client_id"))
        there = Exists(holders.filter(status=Link.Status.ACTIVE).exclude(crm_id=""))
        due = due.filter(there | Q(client__data_key__isnull=True))
    return due


@dataclass
class _Batch:
    connection: Connection
    provider: Provider
    kind: str
    links: list[Link]
    run: SyncRun | None
    cause: str
    pairs: list[Pair] = field(default_factory=list)
    pushed: Pushed = field(default_factory=Pushed)

    @property
    def object_name(self) -> str:
        """What a link of this batch is in the CRM."""
        return self.connection.account_object if self.kind == ACCOUNT else self.connection.customer_object

    @property
    def _is_id_repeated(self) -> bool:
        """
        Whether RTX's id goes with every update, as accounts are not pulled: nobody would see that it is lost.
        Where the update could reach another account's record, it is read instead.
        """
        return self.kind == ACCOUNT and not self.provider.follows_merged

    def send(self) -> Pushed:
        """Send the batch and write what became of it."""
        self.pairs = pairs_of(self.connection, self.kind)
        self.pushed.taken = len(self.links)
        try:
            self._send()
        except Exception:
            results.unanswered([link for link in self.links if link.client.data_key is not None])
            claims.give_back(self.links)
            raise
        return self.pushed

    def _send(self) -> None:
        erased = [link for link in self.links if link.client.data_key is None]
        for link in erased:
            if link.pk not in claims.renew(self.links):
                continue
            erasing.erase_there(self.connection, self.provider, link, self.object_name, run=self.run)
        living = [link for link in self.links if link not in erased]
        prepared = self._compared(self._prepared(living))
        told = [one for one in prepared if not one.is_in_step]
        outcome = self._upsert(told) if told else {}
        sent = [one for one in told if one.link.pk in outcome]
        met = {outcome[one.link.pk].crm_id: one.link for one in sent if outcome[one.link.pk].is_adopted}
        strayed = self._strayed(sent, outcome)
        ended = [one for one in prepared if one.is_in_step or one.link.pk in outcome]
        later = {link.pk for link in met.values()} | {one.link.pk for one in strayed}
        done = [(one, outcome.get(one.link.pk)) for one in ended if one.link.pk not in later]
        self._write(done)
        fault = next((one.error for one in outcome.values() if isinstance(one.error, ConnectionFault)), None)
        if fault is not None:  # it came after some of the batch was written
            raise fault
        if strayed:
            self._write_strayed(strayed, outcome)
        if met:
            self._meet(met)

    def _write(
        self,
        done: Sequence[tuple[Prepared, Written | None]],
        borne: Mapping[str, str] | None = None,
    ) -> None:
        results.Writer(self.connection, self.run, self.cause, self.pairs, self.pushed, borne).write(done)

    def _strayed(self, sent: Sequence[Prepared], outcome: Mapping[UUID, Written]) -> list[Prepared]:
        """Return what went to records that nobody is known by, of which those that were named are parts."""
        merged = [one for one in sent if results.is_merged(one, outcome[one.link.pk])]
        ids = {outcome[one.link.pk].crm_id for one in merged}
        there = Link.objects.filter(connection=self.connection, kind=self.kind, crm_id__in=ids)
        known = set(there.values_list("crm_id", flat=True)) if ids else set()
        return [one for one in merged if outcome[one.link.pk].crm_id not in known]

    def _write_strayed(self, strayed: Sequence[Prepared], outcome: Mapping[UUID, Written]) -> None:
        """Write what became of them once it was read whose RTX ids those records bear."""
        claims.renew(self.links)
        ids = list(dict.fromkeys(outcome[one.link.pk].crm_id for one in strayed))
        records = {one.crm_id: one for one in self.provider.get_many(self.object_name, ids, [])}
        error: ProviderError
        done: list[tuple[Prepared, Written | None]] = []
        for one in strayed:
            written = outcome[one.link.pk]
            record = records.get(written.crm_id)
            if record is None:
                error = Unavailable("What became of it was not told.", code=pulling.UNKNOWN)
                written = replace(written, error=error)
            elif record.is_deleted:
                error = CallRefused("The record was deleted.", code="record_gone")
                written = replace(written, error=error)
            done.append((one, written))
        borne = {one.crm_id: one.external_id for one in records.values() if not one.is_deleted}
        self._write(done, borne)

    def _meet(self, met: Mapping[str, Link]) -> None:
        """
        Compare records that were there before RTX with the clients whose e-mail addresses they have; what is
        to be written to them waits and goes with a next batch.
        """
        held = claims.renew(self.links)
        met = {crm_id: link for crm_id, link in met.items() if link.pk in held}
        if not met:
            return
        records = self.provider.get_many(self.object_name, list(met), names_read(self.pairs))
        taken = pulling.take_page(
            self.connection,
            records,
            cause=sync_log.cause_of(self.run, self.cause),
            run=self.run,
            joined={crm_id: link.client_id for crm_id, link in met.items()},
        )
        results.count_in(self.run, Pushed(pulled=taken.pulled, conflicts=taken.conflicts))
        self.pushed.pulled += taken.pulled
        self.pushed.conflicts += taken.conflicts
        keys = [link.pk for link in met.values()]
        now_there = dict(Link.objects.filter(pk__in=keys).values_list("pk", "crm_id"))
        for crm_id, link in met.items():
            if now_there.get(link.pk) != crm_id:
                results.refuse(link, Unavailable("The record was taken meanwhile.", code="record_taken"))
        claims.give_back(list(met.values()))

    def _prepared(self, links: Sequence[Link]) -> list[Prepared]:
        values = self._values(links)
        parents = self._parents(links)
        found = []
        for link in links:
            if link.pk not in values:
                results.refuse(link, CallRefused("cannot be read here", code="unreadable"))
                continue
            made = mapping.made(self.pairs, values[link.pk])
            base: Base = base_of(link, link.client)
            found.append(
                Prepared(
                    link=link,
                    external_id=results.external_id(link),
                    fields=merging.unsent(self.pairs, base, made.fields),
                    unfit=dict(made.unfit),
                    parent_crm_id=parents.get(link.client_id, ""),
                    bears_id=bool(link.crm_id) and link.in_step_at is not None and not self._is_id_repeated,
                )
            )
        return found

    def _values(self, links: Sequence[Link]) -> dict[UUID, dict[str, Value]]:
        names = {pair.rtx_field for pair in self.pairs}
        if self.kind == ACCOUNT:
            ids = [link.account_id for link in links if link.account_id]
            rows = TradingAccount.objects.filter(pk__in=ids).select_related("group", "state")
            of_accounts = account_values(list(rows), names)
            return {link.pk: of_accounts[link.account_id] for link in links if link.account_id}
        of_clients = client_values([link.client for link in links], names)
        return {link.pk: of_clients[link.client_id] for link in links if link.client_id in of_clients}

    def _parents(self, links: Sequence[Link]) -> dict[UUID, str]:
        if self.kind != ACCOUNT:
            return {}
        ids = {link.client_id for link in links}
        holders = Link.objects.filter(connection=self.connection, kind=CLIENT, client_id__in=ids)
        return dict(holders.values_list("client_id", "crm_id"))

    def _compared(self, prepared: list[Prepared]) -> list[Prepared]:
        """
        Look at records before a field is written that the CRM may have changed too, or RTX's id: where others
        became a part of them.
        """
        shared = {pair.crm_field for pair in self.pairs if pair.direction == "newest"}
        is_read = self.kind == ACCOUNT and self.provider.follows_merged
        doubtful = [
            one
            for one in prepared
            if one.link.crm_id and (one.link.in_step_at is None or is_read or shared & set(one.fields))
        ]
        if not doubtful:
            return prepared
        prepared = self._held(prepared)
        doubtful = [one for one in doubtful if one in prepared]
        if not doubtful:
            return prepared
        ids = [one.link.crm_id for one in doubtful]
        records = self.provider.get_many(self.object_name, ids, names_read(self.pairs))
        cause = sync_log.cause_of(self.run, self.cause)
        if self.kind == ACCOUNT:
            pulling.take_accounts(self.connection, self.object_name, records, cause=cause)
        else:
            taken = pulling.take_page(self.connection, records, run=self.run, cause=cause)
            self.pushed.pulled += taken.pulled
            self.pushed.conflicts += taken.conflicts
        keys = [one.link.pk for one in prepared]
        fresh = {
            link.pk: link for link in Link.objects.filter(pk__in=keys).select_related("client", "account")
        }
        claim, active = prepared[0].link.claim, Link.Status.ACTIVE
        still = [fresh[key] for key in keys if fresh[key].claim == claim and fresh[key].status == active]
        unknown = set(ids) - {record.crm_id for record in records}
        for link in still:
            if link.crm_id in unknown:
                results.refuse(link, Unavailable("What became of it was not told.", code="record_unknown"))
        return self._prepared([link for link in still if link.crm_id not in unknown])

    def _upsert(self, told: list[Prepared]) -> dict[UUID, Written]:
        """Send; a batch that is refused as a whole is halved, so that one record does not hold the others."""
        try:
            return self._call(told)
        except NotConnected:
            raise
        except CallRefused as error:
            if len(told) == 1:
                return _all_refused(told, error)
            middle = len(told) // 2
            return self._halves(told[:middle], told[middle:])

    def _call(self, told: list[Prepared]) -> dict[UUID, Written]:
        held = self._held(told)
        written = self.provider.upsert(self.object_name, [one.upsert for one in held]) if held else []
        return dict(zip((one.link.pk for one in held), written, strict=True))

    def _held(self, prepared: list[Prepared]) -> list[Prepared]:
        """Hold the batch for as long as the next call may take; leave out what was lost to others."""
        held = claims.renew(self.links)
        return [one for one in prepared if one.link.pk in held]

    def _halves(self, *halves: list[Prepared]) -> dict[UUID, Written]:
        found: dict[UUID, Written] = {}
        refused: list[list[Prepared]] = []
        for half in halves:
            try:
                found |= self._call(half)
            except NotConnected:
                raise
            except CallRefused as error:
                found |= _all_refused(half, error)
                refused.append(half)
        if len(refused) == len(halves):
            return found  # it is not one record: the mapping, most likely
        for half in refused:
            if len(half) > 1:
                middle = len(half) // 2
                found |= self._halves(half[:middle], half[middle:])
        return found


def _all_refused(told: Sequence[Prepared], error: CallRefused) -> dict[UUID, Written]:
    return {one.link.pk: Written(one.external_id, error=error) for one in told}
