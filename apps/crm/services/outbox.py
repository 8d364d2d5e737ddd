"""
Turns what changed here into what links want to send: rows that the database noted, and the journal for money
and activity. Calls nobody.

Asking the links and forgetting the changes is one transaction: whoever dies in between has done neither.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection as database
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import Client, TradingAccount
from apps.crm.domain.fields import ACTIVITY
from apps.crm.models import Change, Connection, FieldMapping, JournalCursor, Link
from apps.crm.services import claims, erasing
from apps.trading.selectors.following import Place, present, settled_after
from rtx.kernel import clock

LIMIT = 2000
CURSOR = "activity"
CLIENT, ACCOUNT = FieldMapping.Kind.CLIENT, FieldMapping.Kind.ACCOUNT
FOLLOWED = (Connection.Status.ACTIVE, Connection.Status.PAUSED, Connection.Status.REVOKED)
# Events that change money or deals; groups, leverage and status are noted with the account's own row.
MOVING = frozenset(
    {
        "balance_changed",
        "balance_protected",
        "order_filled",
        "position_reversed",
        "positions_closed",
        "positions_closed_by",
        "stopped_out",
        "swaps_charged",
    }
)
LOCKED = (
    "SELECT 1 FROM crm_link WHERE connection_id = %s AND kind = %s AND {key} = ANY(%s) ORDER BY id FOR UPDATE"
)
ASKED = """
    UPDATE crm_link l SET
        wanted = l.wanted + 1,
        wanted_at = CASE WHEN l.wanted = l.sent THEN c.at ELSE l.wanted_at END,
        touched_at = greatest(l.touched_at, c.at),
        changed_at = greatest(l.changed_at, c.own_at),
        status = CASE WHEN l.status = 'dead' AND c.revives THEN 'active' ELSE l.status END,
        attempts = CASE WHEN l.status = 'dead' AND c.revives THEN 0 ELSE l.attempts END,
        due_at = CASE WHEN l.attempts = 0 OR l.status = 'dead' THEN %s ELSE l.due_at END
    FROM unnest(%s::{type}[], %s::timestamptz[], %s::timestamptz[], %s::boolean[])
        AS c(key, at, own_at, revives)
    WHERE l.connection_id = %s AND l.kind = %s AND l.{key} = c.key AND l.status <> 'erased'
"""


@dataclass(slots=True)
class _Change:
    """
    What happened to a customer: when last, and when last to what a CRM may change too (`own_at`), which is
    what "newest wins" compares: neither a trade nor a new key makes anybody's address newer. `revives`: more
    than money changed; that lets what was given up try again.
    """

    at: datetime
    own_at: datetime | None = None
    revives: bool = False

    def and_then(self, other: "_Change") -> "_Change":
        own = [at for at in (self.own_at, other.own_at) if at is not None]
        return _Change(max(self.at, other.at), max(own, default=None), self.revives or other.revives)


@dataclass(slots=True)
class _Asked:
    """Who changed."""

    clients: dict[UUID, _Change] = field(default_factory=dict)
    accounts: dict[int, _Change] = field(default_factory=dict)
    erased: set[UUID] = field(default_factory=set)

    def note_client(self, key: UUID, change: _Change) -> None:
        """Add a change to those of a client."""
        self.clients[key] = self.clients[key].and_then(change) if key in self.clients else change

    def note_account(self, key: int, change: _Change) -> None:
        """Add a change to those of an account."""
        self.accounts[key] = self.accounts[key].and_then(change) if key in self.accounts else change

    def __len__(self) -> int:
        return len(self.clients) + len(self.accounts) + len(self.erased)


def dispatch() -> int:
    """Ask the links of every connection for what changed since the last time; return how many were asked."""
    with transaction.atomic():
        JournalCursor.objects.get_or_create(name=CURSOR, defaults={"xact": present().xact, "at": clock.now()})
        held = JournalCursor.objects.select_for_update(skip_locked=True).filter(name=CURSOR).first()
        if held is None:
            return 0  # another worker is at it
        changes = list(Change.objects.order_by("id")[:LIMIT])
        followers = list(_followers())
        asked = _Asked()
        if followers:
            _note_changes(asked, changes)
            _note_events(asked, held, followers)
        else:
            held.xact, held.event_id = present()
        for connection in followers:
            _ask(connection, asked)
        held.at = clock.now()
        held.save()
        Change.objects.filter(pk__in=[change.pk for change in changes]).delete()
        return len(asked)


def _followers() -> "QuerySet[Connection]":
    """
    Return who must learn of changes: whoever is connected, and who was and has links: what changed meanwhile
    is sent, and erased, once it is connected again.
    """
    known = Link.objects.filter(connection=OuterRef("pk"))
    return Connection.objects.filter(Q(status__in=FOLLOWED) | Q(Exists(known), status="draft"))


def _note_changes(asked: _Asked, changes: Sequence[Change]) -> None:
    for change in changes:
        own = _Change(change.at, own_at=change.at, revives=True)
        if change.what == Change.What.ERASED:
            asked.erased.add(change.client_id)
        elif change.what == Change.What.OTHER:
            asked.note_client(change.client_id, _Change(change.at, revives=True))
        elif change.account_id is None:
            asked.note_client(change.client_id, own)
        else:
            asked.note_client(change.client_id, _Change(change.at, revives=True))
            asked.note_account(change.account_id, own)


def _note_events(asked: _Asked, held: JournalCursor, followers: Iterable[Connection]) -> None:
    events = settled_after(Place(held.xact, held.event_id), limit=LIMIT)
    if events:
        held.xact, held.event_id = events[-1].place
    fields = FieldMapping.objects.filter(connection__in=followers, is_active=True, rtx_field__in=ACTIVITY)
    if not fields.exists():
        return
    moved = {event.account_id: event.at for event in events if event.type in MOVING}
    owners = TradingAccount.objects.filter(pk__in=list(moved)).values_list("pk", "client_id")
    for account_id, client_id in owners:
        asked.note_account(account_id, _Change(moved[account_id]))
        asked.note_client(client_id, _Change(moved[account_id]))


def _ask(connection: Connection, asked: _Asked) -> None:
    _add_missing(connection, asked)
    _update(connection, CLIENT, "client_id", "uuid", asked.clients)
    if connection.account_object:
        _update(connection, ACCOUNT, "account_id", "bigint", asked.accounts)
    if asked.erased:
        erasing.ask(connection, asked.erased)


def _add_missing(connection: Connection, asked: _Asked) -> None:
    mine = Link.objects.filter(connection=connection)
    known = set(mine.filter(kind=CLIENT, client_id__in=asked.clients).values_list("client_id", flat=True))
    missing = [key for key in asked.clients if key not in known]
    living = Client.objects.filter(pk__in=missing, data_key__isnull=False).values_list("pk", "created_at")
    claims.add(connection, [(key, None, asked.clients[key].own_at or made_at) for key, made_at in living])
    if not connection.account_object:
        return
    there = mine.filter(kind=ACCOUNT, account_id__in=asked.accounts).values_list("account_id", flat=True)
    rows = TradingAccount.objects.filter(pk__in=asked.accounts, client__data_key__isnull=False)
    new = rows.exclude(pk__in=list(there)).values_list("pk", "client_id", "opened_at")
    claims.add(connection, [(owner, key, asked.accounts[key].own_at or at) for key, owner, at in new])


def _update(connection: Connection, kind: str, key: str, type_: str, asked: dict[Any, _Change]) -> None:
    if not asked:
        return
    keys, changes = list(asked), asked.values()
    columns: list[list[Any]] = [
        [c.at for c in changes],
        [c.own_at for c in changes],
        [c.revives for c in changes],
    ]
    with database.cursor() as cursor:
        cursor.execute(LOCKED.format(key=key), [connection.pk, kind, keys])
        cursor.execute(ASKED.format(key=key, type=type_), [clock.now(), keys, *columns, connection.pk, kind])
