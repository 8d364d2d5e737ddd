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
        changed_at = greatest(l.changed_at, c.at),
        status = CASE WHEN l.status = 'dead' AND c.revives THEN 'active' ELSE l.status END,
        attempts = CASE WHEN l.status = 'dead' AND c.revives THEN 0 ELSE l.attempts END,
        due_at = CASE WHEN l.attempts = 0 OR l.status = 'dead' THEN %s ELSE l.due_at END
    FROM unnest(%s::{type}[], %s::timestamptz[], %s::boolean[]) AS c(key, at, revives)
    WHERE l.connection_id = %s AND l.kind = %s AND l.{key} = c.key AND l.status <> 'erased'
"""


@dataclass(slots=True)
class _Asked:
    """Who changed, when last, and whether it was more than money: that lets what was given up try again."""

    clients: dict[UUID, tuple[datetime, bool]] = field(default_factory=dict)
    accounts: dict[int, tuple[datetime, bool]] = field(default_factory=dict)
    erased: set[UUID] = field(default_factory=set)

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
        if change.what == Change.What.ERASED:
            asked.erased.add(change.client_id)
        else:
            asked.clients[change.client_id] = (change.at, True)
        if change.account_id is not None:
            asked.accounts[change.account_id] = (change.at, True)


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
        at = moved[account_id]
        asked.accounts.setdefault(account_id, (at, False))
        asked.clients.setdefault(client_id, (at, False))


def _ask(connection: Connection, asked: _Asked) -> None:
    _add_missing(connection, asked)
    _update(connection, CLIENT, "client_id", "uuid", asked.clients)
    if connection.account_object:
        _update(connection, ACCOUNT, "account_id", "bigint", asked.accounts)
    if asked.erased:
        _erase(connection, asked.erased)


def _add_missing(connection: Connection, asked: _Asked) -> None:
    mine = Link.objects.filter(connection=connection)
    known = set(mine.filter(kind=CLIENT, client_id__in=asked.clients).values_list("client_id", flat=True))
    missing = [key for key in asked.clients if key not in known]
    living = Client.objects.filter(pk__in=missing, data_key__isnull=False).values_list("pk", flat=True)
    claims.add(connection, [(key, None, asked.clients[key][0]) for key in living])
    if not connection.account_object:
        return
    there = mine.filter(kind=ACCOUNT, account_id__in=asked.accounts).values_list("account_id", flat=True)
    rows = TradingAccount.objects.filter(pk__in=asked.accounts, client__data_key__isnull=False)
    new = rows.exclude(pk__in=list(there)).values_list("pk", "client_id")
    claims.add(connection, [(owner, key, asked.accounts[key][0]) for key, owner in new])


def _update(
    connection: Connection, kind: str, key: str, type_: str, asked: dict[Any, tuple[datetime, bool]]
) -> None:
    if not asked:
        return
    keys, instants = list(asked), [at for at, _ in asked.values()]
    revives = [revives for _, revives in asked.values()]
    with database.cursor() as cursor:
        cursor.execute(LOCKED.format(key=key), [connection.pk, kind, keys])
        cursor.execute(
            ASKED.format(key=key, type=type_), [clock.now(), keys, instants, revives, connection.pk, kind]
        )


def _erase(connection: Connection, client_ids: set[UUID]) -> None:
    """Forget what is kept of erased clients, and let their records be deleted there."""
    now = clock.now()
    links = Link.objects.filter(connection=connection, client_id__in=client_ids)
    for link in claims.locked(links.exclude(status=Link.Status.ERASED)):
        link.wanted, link.wanted_at, link.due_at, link.attempts = link.wanted + 1, now, now, 0
        link.base_sealed, link.last_error_code, link.last_error = b"", "", ""
        is_there = bool(link.crm_id) and link.status != Link.Status.GONE
        is_there = is_there or (link.claim is not None and link.status == Link.Status.ACTIVE)
        link.status = Link.Status.ACTIVE if is_there else Link.Status.ERASED
        if not is_there:
            link.sent = link.wanted
            erasing.forget_deliveries(link)
        link.save()
