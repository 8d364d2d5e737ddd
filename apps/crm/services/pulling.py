"""
Takes records of a CRM over: joins them to clients, compares three ways, changes clients, notes conflicts.

A page is taken in one transaction, one page of a connection at a time. What is older than what was taken
before is left alone; who is not known here too, or becomes a client where the connection says so.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import DataError, IntegrityError, transaction
from django.db import connection as database
from django.db.models import Max, Q

from apps.accounts.models import Client
from apps.accounts.services import clients
from apps.accounts.services.clients import PersonalData
from apps.audit.services import actions
from apps.crm.adapters.provider import Provider, Record, Unavailable, gone
from apps.crm.domain.mapping import email_field
from apps.crm.models import Change, Conflict, Connection, FieldMapping, Link, SyncEntry, SyncRun
from apps.crm.selectors.mappings import names_read, pairs_of
from apps.crm.selectors.values import client_values
from apps.crm.services import claims, mergers, merging, sync_log
from rtx.kernel import clock, encryption
from rtx.kernel.errors import RtxError

CLIENT = FieldMapping.Kind.CLIENT
PULL = SyncEntry.Direction.PULL
UNKNOWN = "record_unknown"  # of one record, which holds no other up
NEEDED = frozenset({"email", "first_name", "last_name"})  # to become a client
LOCK = "SELECT pg_advisory_xact_lock(hashtext('crm_take'), %s)"
KEPT = (
    *("crm_id", "status", "wanted", "wanted_at", "due_at", "base_sealed", "crm_changed_at", "in_step_at"),
    *("claim", "claimed_until"),
)


@dataclass(slots=True)
class Taken:
    """
    What a page did. `known`: records that are customers here; `pulled`: clients that were changed; `joined`:
    records that now belong to a client of RTX; `made`: clients that are new here.
    """

    known: int = 0
    pulled: int = 0
    conflicts: int = 0
    failed: int = 0
    gone: int = 0
    joined: int = 0
    made: int = 0
    entries: list[SyncEntry] = field(default_factory=list)


def take_page(
    connection: Connection,
    records: Sequence[Record],
    *,
    cause: str,
    run: SyncRun | None = None,
    joined: Mapping[str, UUID] | None = None,
    then: Callable[[Taken], None] | None = None,
) -> Taken:
    """
    Take records over. `joined`: whose record one is that was found by its e-mail address; `then` runs in the
    same transaction (cursors, counts).
    """
    with transaction.atomic():
        with database.cursor() as cursor:
            cursor.execute(LOCK, [connection.pk])
        page = _Page(connection, cause, run, joined or {})
        page.take(records)
        sync_log.write(page.taken.entries)
        if then is not None:
            then(page.taken)
    return page.taken


class _Undone(Exception):
    """What was looked at is not to be done."""


def preview_page(connection: Connection, records: Sequence[Record]) -> Taken:
    """Say what taking records over would do, and do nothing."""
    found: list[Taken] = []

    def then(taken: Taken) -> None:
        found.append(taken)
        raise _Undone

    with suppress(_Undone):
        take_page(connection, records, cause="preview", then=then)
    return found[0]


def pull_named(
    connection: Connection, provider: Provider, *, object_name: str, crm_ids: Sequence[str], cause: str
) -> int:
    """
    Read records anew and take them over, also that they were deleted. Return how many of them are customers
    here. For webhooks: an event names records, its fields are not trusted.

    :raises Unavailable: `record_unknown`: of some it was not told what became of them; the others are taken.
    """
    wanted, known = list(dict.fromkeys(crm_ids)), 0
    answered: list[Record] = []
    if object_name != connection.customer_object:
        return _look_for(connection, provider, object_name, wanted, cause)
    names = names_read(pairs_of(connection, CLIENT))
    for start in range(0, len(wanted), provider.batch_max):
        asked = wanted[start : start + provider.batch_max]
        records = provider.get_many(object_name, asked, names)
        known += take_page(connection, records, cause=cause).known
        answered += records
    _see_all_told(answered, wanted)
    return known


def _look_for(
    connection: Connection, provider: Provider, object_name: str, crm_ids: Sequence[str], cause: str
) -> int:
    """Nothing of an account is read back: only whether its record is still there."""
    accounts = Link.objects.filter(connection=connection, kind=FieldMapping.Kind.ACCOUNT, crm_id__in=crm_ids)
    mine = list(accounts.values_list("crm_id", flat=True))
    names = [pair.crm_field for pair in pairs_of(connection, FieldMapping.Kind.ACCOUNT)][:1]
    answered: list[Record] = []
    for start in range(0, len(mine), provider.batch_max):
        asked = mine[start : start + provider.batch_max]
        records = provider.get_many(object_name, asked, names)
        take_accounts(connection, object_name, records, cause=cause)
        answered += records
    _see_all_told(answered, mine)
    return len(mine)


def take_accounts(connection: Connection, object_name: str, records: Sequence[Record], *, cause: str) -> None:
    """Note which records of accounts were deleted, or became a part of another that bears the login."""
    mergers.follow_accounts(connection, records)
    lost = [record.crm_id for record in records if record.is_deleted]
    note_deleted(connection, object_name=object_name, crm_ids=lost, cause=cause)


def _see_all_told(records: Sequence[Record], asked: Sequence[str]) -> None:
    """
    See that the provider said what became of every record.

    :raises Unavailable: `record_unknown`: not of all; they must be asked for again.
    """
    if unknown := len(set(asked) - {record.crm_id for record in records}):
        raise Unavailable(f"What became of {unknown} records was not told.", code=UNKNOWN)


def note_deleted(
    connection: Connection,
    *,
    object_name: str,
    crm_ids: Sequence[str],
    cause: str,
    occurred_at: datetime | None = None,
) -> int:
    """Mark the links of records that were deleted in the CRM: they are not made anew unless staff ask."""
    is_customer = object_name == connection.customer_object
    kind = CLIENT if is_customer else FieldMapping.Kind.ACCOUNT
    with transaction.atomic():
        links = Link.objects.filter(connection=connection, kind=kind, crm_id__in=crm_ids)
        entries = []
        for link in claims.locked(links, with_clients=True):
            is_older = occurred_at and link.crm_changed_at and occurred_at < link.crm_changed_at
            if not is_older and mark_gone(link):
                link.save()
                entries.append(_gone_entry(connection, link, cause, None))
        sync_log.write(entries)
        return len(entries)


def mark_gone(link: Link) -> bool:
    """
    Note that a record was deleted there; whether that is news. The row is changed and not saved. One of an
    erased client goes on waiting to be erased: it may lie in the bin there.
    """
    if link.status not in (Link.Status.ACTIVE, Link.Status.DEAD) or link.client.data_key is None:
        return False
    link.status, link.base_sealed = Link.Status.GONE, b""
    link.claim, link.claimed_until = None, None
    return True


def _gone_entry(connection: Connection, link: Link, cause: str, run: SyncRun | None) -> SyncEntry:
    action = SyncEntry.Action.GONE
    return sync_log.entry(connection, direction=PULL, action=action, cause=cause, link=link, run=run)


class _Page:
    def __init__(
        self, connection: Connection, cause: str, run: SyncRun | None, joined: Mapping[str, UUID]
    ) -> None:
        self._connection, self._cause, self._run, self._joined = connection, cause, run, joined
        self._pairs = pairs_of(connection, CLIENT)
        self._email = email_field(self._pairs)
        self.taken = Taken()

    def take(self, records: Sequence[Record]) -> None:
        latest = {record.crm_id: record for record in records}
        parts = {crm_id for record in records for crm_id in record.merged_ids}
        latest |= {crm_id: gone(crm_id) for crm_id in parts - latest.keys()}
        owners = self._owners(list(latest.values()))
        known = Q(crm_id__in=list(latest)) | Q(client_id__in=list(owners.values()))
        links = claims.locked(
            Link.objects.filter(known, connection=self._connection, kind=CLIENT), with_clients=True
        )
        self._by_record = {link.crm_id: link for link in links if link.crm_id}
        self._by_client = {link.client_id: link for link in links}
        self._changed = self._changes(list(self._by_client) + list(owners.values()))
        touched: dict[UUID, Link] = {}
        conflicts: list[Conflict] = []
        for record in sorted(latest.values(), key=lambda one: one.is_deleted):  # parts after the whole
            link = self._link(record, owners.get(record.crm_id))
            if link is None:
                continue
            self.taken.known += 1
            conflicts += self._take(link, record)
            touched[link.pk] = link
        claims.save(touched.values(), KEPT)
        Conflict.objects.bulk_create(conflicts, batch_size=500)

    def _owners(self, records: Sequence[Record]) -> dict[str, UUID]:
        """Return whose record each is: by RTX's id, else by the e-mail address."""
        named = {record.crm_id: mergers.client_id_of(record.external_id) for record in records}
        ids = {crm_id: key for crm_id, key in named.items() if key is not None}
        there = set(Client.objects.filter(pk__in=set(ids.values())).values_list("pk", flat=True))
        free = {record.crm_id for record in records if not record.external_id and not record.is_deleted}
        owners = {crm_id: key for crm_id, key in self._joined.items() if crm_id in free}
        owners |= {crm_id: key for crm_id, key in ids.items() if key in there}
        hashes = {}
        for record in records:
            email = (record.fields.get(self._email) or "").strip() if self._email else ""
            if record.crm_id not in owners and email and not record.is_deleted:
                hashes[record.crm_id] = encryption.search_hash("email", email)
        found = Client.objects.filter(email_hash__in=set(hashes.values()), data_key__isnull=False)
        by_hash = dict(found.values_list("email_hash", "pk"))
        return owners | {crm_id: by_hash[key] for crm_id, key in hashes.items() if key in by_hash}

    def _changes(self, client_ids: Sequence[UUID]) -> dict[UUID, datetime]:
        """Return when clients changed here, of changes that no link was asked for yet."""
        rows = Change.objects.filter(client_id__in=client_ids, what=Change.What.CLIENT).order_by()
        return dict(rows.values_list("client_id").annotate(Max("at")))

    def _link(self, record: Record, owner: UUID | None) -> Link | None:
        link = self._by_record.get(record.crm_id)
        if link is not None:
            return link
        if record.is_deleted:
            return None
        if owner is None or record.external_id != str(owner):
            parts = (self._by_record.get(crm_id) for crm_id in record.merged_ids)
            part = next((one for one in parts if one is not None and one.client.data_key is not None), None)
            if part is not None:  # nobody's RTX id is on it: the customer follows
                return self._moved(part, record)
        if owner is None:
            return self._made(record) if self._connection.creates_clients else None
        link = self._by_client.get(owner)
        if link is None:
            link = self._added(owner)
        elif link.crm_id and record.external_id != str(owner):
            return None  # a second record of the same person: theirs to join
        if record.crm_id in self._joined:
            self._note(link, SyncEntry.Action.ADOPTED, fields=[])
        return self._moved(link, record)

    def _moved(self, link: Link, record: Record) -> Link:
        """
        Let a link name a record. What both sides have in common stays where its own became a part of that;
        where people only moved RTX's id, the two meet for the first time.
        """
        if link.crm_id:
            self._by_record.pop(link.crm_id, None)
            link.crm_changed_at = None
            if link.crm_id not in record.merged_ids:
                link.base_sealed = b""
        link.crm_id = record.crm_id
        self._by_record[record.crm_id] = link
        return link

    def _added(self, owner: UUID) -> Link:
        client = Client.objects.get(pk=owner)
        claims.add(self._connection, [(owner, None, client.created_at)])
        mine = Link.objects.filter(connection=self._connection, kind=CLIENT, client_id=owner)
        link = claims.locked(mine, with_clients=True)[0]
        self._by_client[owner] = link
        self.taken.joined += 1
        return link

    def _made(self, record: Record) -> Link | None:
        """Make a client of a record that nobody here is; None: it lacks what a client needs, or is unfit."""
        pairs = [pair for pair in self._pairs if pair.is_pulled or pair.rtx_field == "email"]
        there = {pair.rtx_field for pair in pairs if (record.fields.get(pair.crm_field) or "").strip()}
        if not there >= NEEDED:
            return None
        given, unfit = merging.read_all(pairs, record)
        if unfit:
            self._note_unfit(record, unfit)
            return None
        email = given.pop("email").lower()
        country = given.pop("country", "")
        try:
            with transaction.atomic():
                person = PersonalData(**given)  # type: ignore[arg-type]  # texts alone are pulled
                client = clients.register(email=email, password=None, person=person, country=country)
                actions.record(
                    actor=merging.CRM,
                    operation="crm.register_client",
                    target=client,
                    after={"fields": sorted(given), "connection": self._connection.provider},
                )
        except (RtxError, IntegrityError):
            return None
        except DataError:
            self._note_unfit(record, {"record": "cannot be stored"})
            return None
        link = self._added(client.pk)
        self.taken.joined -= 1
        self.taken.made += 1
        link.crm_id = record.crm_id
        self._by_record[record.crm_id] = link
        self._note(link, SyncEntry.Action.CREATED, fields=sorted(given))
        return link

    def _note_unfit(self, record: Record, unfit: Mapping[str, str]) -> None:
        """Tell that no client can be made of a record; the others go on."""
        self.taken.failed += 1
        detail = f"Record {record.crm_id}: {_told(unfit)}"
        failed = SyncEntry.Action.FAILED
        self._note(None, failed, fields=list(unfit), error_code="value_unfit", detail=detail)

    def _take(self, link: Link, record: Record) -> list[Conflict]:
        if link.status == Link.Status.ERASED or link.client.data_key is None:
            return []
        if not client_values([link.client], ["first_name"]):
            return []  # damaged: the log of the workers tells more
        if record.is_deleted:
            if mark_gone(link):
                self.taken.gone += 1
                self.taken.entries.append(_gone_entry(self._connection, link, self._cause, self._run))
            return []
        if record.changed_at and link.crm_changed_at and record.changed_at < link.crm_changed_at:
            return []
        if link.status == Link.Status.GONE:
            link.status = Link.Status.ACTIVE  # it was taken out of the bin there
        merged = merging.take(
            link, link.client, self._pairs, record, changed_at=self._changed.get(link.client_id)
        )
        now = clock.now()
        if record.external_id == str(link.client_id):
            link.in_step_at = now
        else:
            link.in_step_at, merged.must_send = None, True
        if merged.must_send:
            link.wanted_at = now if link.wanted == link.sent else link.wanted_at
            link.wanted, link.due_at = link.wanted + 1, now
        self._tell(link, merged)
        return merged.conflicts

    def _tell(self, link: Link, merged: merging.Merged) -> None:
        if merged.fields:
            self.taken.pulled += 1
            self._note(link, SyncEntry.Action.UPDATED, fields=merged.fields)
        if merged.conflicts:
            self.taken.conflicts += len(merged.conflicts)
            names = [conflict.rtx_field for conflict in merged.conflicts]
            self._note(link, SyncEntry.Action.CONFLICT, fields=names)
        if merged.unfit:
            self.taken.failed += 1
            failed, detail = SyncEntry.Action.FAILED, _told(merged.unfit)
            self._note(link, failed, fields=list(merged.unfit), error_code="value_unfit", detail=detail)

    def _note(
        self, link: Link | None, action: str, *, fields: Sequence[str], error_code: str = "", detail: str = ""
    ) -> None:
        self.taken.entries.append(
            sync_log.entry(
                self._connection,
                direction=PULL,
                action=action,
                cause=self._cause,
                link=link,
                run=self._run,
                fields=fields,
                error_code=error_code,
                detail=detail,
            )
        )


def _told(unfit: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {why}" for name, why in sorted(unfit.items()))
