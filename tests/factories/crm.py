"""A CRM in memory behind the provider interface, and connections to it: for what the sync itself decides."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.models import Client
from apps.accounts.services import clients
from apps.accounts.services.clients import PersonalData
from apps.crm.adapters.provider import (
    CallRefused,
    Cursor,
    Fields,
    Page,
    ProviderError,
    Record,
    Upsert,
    Written,
    gone,
)
from apps.crm.models import Connection, SyncRun
from apps.crm.services import field_mappings, outbox, pushing, runs
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories.triggering import await_transactions

STAFF = Actor.system("test")


@dataclass
class Kept:
    """A record there."""

    crm_id: str
    external_id: str
    fields: dict[str, str | None]
    changed_at: datetime
    is_deleted: bool = False
    parent: str = ""

    def record(self, names: Sequence[str]) -> Record:
        """The record as the provider answers it."""
        fields = {name: self.fields.get(name) for name in names}
        return Record(self.crm_id, self.external_id, fields, self.changed_at, self.is_deleted)


@dataclass
class MemoryCrm:
    """Keeps records; can refuse some, fail as a whole, or die after it took a batch."""

    name: str = "hubspot"
    auth_scheme: str = "Bearer"
    batch_max: int = 100
    follows_merged: bool = False
    scopes: tuple[str, ...] = ()
    page: int = 50
    objects: dict[str, dict[str, Kept]] = field(default_factory=dict)
    batches: list[list[Upsert]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    refused: dict[str, ProviderError] = field(default_factory=dict)  # by external id
    failing: list[BaseException] = field(default_factory=list)  # the next calls
    dying: bool = False  # after a batch was taken
    untold: set[str] = field(default_factory=set)  # ids

    def put(
        self, crm_id: str, *, object_name: str = "contacts", external_id: str = "", **fields: Any
    ) -> Kept:
        """Let a person there write a record."""
        there = self.objects.setdefault(object_name, {})
        kept = there.setdefault(crm_id, Kept(crm_id, external_id, {}, clock.now()))
        kept.fields.update(fields)
        kept.external_id = external_id or kept.external_id
        kept.changed_at = clock.now()
        return kept

    def of(self, client: Client) -> Kept:
        """Return the one record of a client."""
        found = [kept for kept in self.all() if kept.external_id == str(client.pk)]
        assert len(found) == 1
        return found[0]

    def all(self, object_name: str = "contacts") -> list[Kept]:
        """Return every record that is not deleted."""
        return [kept for kept in self.objects.get(object_name, {}).values() if not kept.is_deleted]

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.failing:
            raise self.failing.pop(0)

    def upsert(self, object_name: str, wanted: Sequence[Upsert]) -> list[Written]:
        """Create or change records."""
        self._call("upsert")
        whole = self.refused.get("*")
        if whole is not None:
            raise whole
        poisoned = [one for one in wanted if f"!{one.external_id}" in self.refused]
        if poisoned:
            raise self.refused[f"!{poisoned[0].external_id}"]
        self.batches.append(list(wanted))
        written = [self._written(object_name, one) for one in wanted]
        if self.dying:
            raise KeyboardInterrupt
        return written

    def _written(self, object_name: str, one: Upsert) -> Written:
        if one.external_id in self.refused:
            return Written(one.external_id, error=self.refused[one.external_id])
        there = self.objects.setdefault(object_name, {})
        kept = there.get(one.crm_id)
        if one.crm_id and (kept is None or kept.is_deleted):
            return Written(one.external_id, error=CallRefused("there is none", code="record_gone"))
        kept = kept or next((k for k in self.all(object_name) if k.external_id == one.external_id), None)
        email = one.fields.get("email")
        if kept is None and email:
            same = [k for k in self.all(object_name) if k.fields.get("email") == email and not k.external_id]
            if same:
                return Written(one.external_id, same[0].crm_id, is_adopted=True)
        is_created = kept is None
        if kept is None:
            crm_id = str(1000 + len(there))
            kept = there[crm_id] = Kept(crm_id, one.external_id, {}, clock.now())
        kept.external_id = kept.external_id if one.bears_id else one.external_id
        kept.parent = one.parent_crm_id
        kept.fields.update(one.fields)
        kept.changed_at = clock.now()
        return Written(one.external_id, kept.crm_id, is_created)

    def get(self, object_name: str, crm_id: str, names: Sequence[str]) -> Record | None:
        """Return one record."""
        found = self.get_many(object_name, [crm_id], names)
        return next((one for one in found if not one.is_deleted), None)

    def get_many(self, object_name: str, crm_ids: Sequence[str], names: Sequence[str]) -> list[Record]:
        """Return records, deleted ones as such; of those in `untold` nothing is said."""
        self._call("get_many")
        found = [kept.record(names) for kept in self.all(object_name) if kept.crm_id in crm_ids]
        there = {one.crm_id for one in found}
        records = [*found, *(gone(crm_id) for crm_id in crm_ids if crm_id not in there)]
        return [one for one in records if one.crm_id not in self.untold]

    def changes(self, object_name: str, cursor: Cursor, names: Sequence[str]) -> Page:
        """Return records by their change."""
        self._call("changes")
        place = (cursor.get("at", ""), cursor.get("id", ""))
        rows = sorted(
            (kept.changed_at.isoformat(), kept.crm_id, kept)
            for kept in self.objects.get(object_name, {}).values()
        )
        after = [row for row in rows if row[:2] > place]
        shown = after[: self.page]
        at, crm_id = shown[-1][:2] if shown else place
        records = [kept.record(names) for *_, kept in shown]
        return Page(records, {"at": at, "id": crm_id, "v": 1}, len(after) <= self.page)

    def find(self, object_name: str, external_id: str) -> str:
        """Return the id of a record that bears RTX's id."""
        self._call("find")
        ids = [kept.crm_id for kept in self.all(object_name) if kept.external_id == external_id]
        return ids[0] if ids else ""

    def merged_into(self, object_name: str, crm_id: str) -> str:
        """Know of no merged records."""
        return ""

    def delete(self, object_name: str, crm_id: str) -> None:
        """Delete a record."""
        self._call("delete")
        self.objects.get(object_name, {}).pop(crm_id, None)


def make_connection(*, provider: str = "hubspot", **values: Any) -> Connection:
    """Connect a CRM, with the usual mappings."""
    given: dict[str, Any] = {
        "name": "HubSpot",
        "client_id": "app",
        "customer_object": "contacts",
        "account_object": "",
        "status": Connection.Status.ACTIVE,
        "created_at": clock.now(),
        **values,
    }
    connection = Connection.objects.create(provider=provider, **given)
    field_mappings.install_defaults(connection)
    return connection


def make_client(number: int = 1, **values: Any) -> Client:
    """Register a client."""
    given: dict[str, Any] = {"first_name": "Ann", "last_name": f"Client{number}", **values}
    email, country = given.pop("email", f"ann{number}@example.com"), given.pop("country", "DE")
    person = PersonalData(**given)
    return clients.register(email=email, password=None, person=person, country=country)


def settle(connection: Connection, crm: MemoryCrm) -> None:
    """Dispatch and push until nothing is due; events of the journal first have to be settled."""
    await_transactions()
    while outbox.dispatch():
        pass
    while pushing.push_due(connection, crm).taken:
        pass


def run_through(connection: Connection, kind: str = "full") -> SyncRun:
    """Start a run and carry it on to its end."""
    run = runs.start(connection_id=connection.pk, kind=kind, actor=STAFF)
    while runs.carry_on(run_id=run.pk):
        pass
    run.refresh_from_db()
    return run


@contextmanager
def given_to(crm: MemoryCrm) -> Iterator[MemoryCrm]:
    """Stand in for `calling.opened`."""
    yield crm


def later(seconds: float) -> datetime:
    """Return an instant from now on."""
    return clock.now() + timedelta(seconds=seconds)


def fields_of(crm: MemoryCrm, client: Client, *names: str) -> Mapping[str, str | None] | Fields:
    """Return fields of a client's record."""
    kept = crm.of(client)
    return {name: kept.fields.get(name) for name in names}
