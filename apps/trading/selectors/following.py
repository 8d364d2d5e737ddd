"""
Follows the journal across all accounts, in an order that misses nothing. Reads only.

Numbers become visible out of order: an event with a lower id, even one of an older transaction, may be
committed after one with a higher. A reader therefore stops below the oldest transaction that still writes
(`settled_after`); nothing can appear below that any more, so its place is all it has to remember. It waits as
long as the longest writing transaction of the server. Who must be quick and may see an event twice looks
ahead (`Follower`).

Events of one account may come in another order than their `seq`: two transactions can take their ids in one
order and the account's lock in the other. Whoever needs the account's order sorts by `seq`, or takes an event
as the sign to read the account.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection

PAGE = 2000
AHEAD_MAX = 50_000  # so many events seen ahead are remembered; beyond, some are passed on twice

PRESENT = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
COLUMNS = "e.xact::text, e.id, e.account_id, e.seq, e.type, e.at, e.command_id, e.payload::text"
VISIBLE = f"""
    SELECT {COLUMNS} FROM accounts_accountevent e
    WHERE (e.xact, e.id) > (%s::xid8, %s) ORDER BY e.xact, e.id LIMIT %s
"""  # noqa: S608 - built from fixed names
SETTLED = f"""
    SELECT {COLUMNS} FROM accounts_accountevent e
    WHERE (e.xact, e.id) > (%s::xid8, %s) AND e.xact < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY e.xact, e.id LIMIT %s
"""  # noqa: S608 - built from fixed names
SETTLED_PLACES = SETTLED.replace(COLUMNS, "e.xact::text, e.id")
BY_ID = f"""
    SELECT {COLUMNS} FROM accounts_accountevent e WHERE e.id = ANY(%s) ORDER BY e.xact, e.id
"""  # noqa: S608 - built from fixed names


class Place(NamedTuple):
    """How far a reader is: what this event and all before it told is behind it. The default is the start."""

    xact: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One event as a reader across accounts gets it; `place` is what to remember once it is dealt with."""

    place: Place
    account_id: int
    seq: int
    type: str
    at: datetime
    command_id: UUID
    payload_text: str

    @property
    def payload(self) -> dict[str, Any]:
        """What happened (decoded anew at each call)."""
        decoded: dict[str, Any] = orjson.loads(self.payload_text)
        return decoded


def present() -> Place:
    """
    Return a place before everything that is not settled yet.

    Rows that are read after this hold all that lies behind it.
    """
    with connection.cursor() as cursor:
        cursor.execute(PRESENT)
        return Place(int(cursor.fetchone()[0]), 0)


def settled_after(place: Place, *, limit: int = PAGE) -> list[JournalEvent]:
    """Return the next events in their final order; fewer than `limit`: there are no more for now."""
    return _read(SETTLED, [str(place.xact), place.id, limit])


def visible_after(place: Place, *, limit: int = PAGE) -> list[JournalEvent]:
    """Return the next events as far as they are visible: others may still appear among them."""
    return _read(VISIBLE, [str(place.xact), place.id, limit])


def _settled_places(place: Place, limit: int) -> list[Place]:
    with connection.cursor() as cursor:
        cursor.execute(SETTLED_PLACES, [str(place.xact), place.id, limit])
        return [Place(int(xact), id_) for xact, id_ in cursor.fetchall()]


def _read(statement: str, given: list[Any]) -> list[JournalEvent]:
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        return [
            JournalEvent(Place(int(xact), id_), account_id, seq, type_, at, command_id, payload)
            for xact, id_, account_id, seq, type_, at, command_id, payload in cursor.fetchall()
        ]


class Follower:
    """
    Passes on every event as soon as it is visible, in memory of one process. Not for several threads.

    An event that appears behind those already seen is passed on once it is settled. `settled` is the place
    from which another follower misses nothing.
    """

    def __init__(self, place: Place) -> None:
        self.settled = place
        self._ahead = place
        self._seen: set[int] = set()

    @property
    def ahead(self) -> int:
        """How many events were passed on and are not settled yet."""
        return len(self._seen)

    def poll(self, *, limit: int = PAGE) -> list[JournalEvent]:
        """
        Return new events, at most twice `limit`; none: there are no more for now.

        :raises django.db.Error: the database is away; the next call continues where this one stood.
        """
        settled = _settled_places(self.settled, limit)
        late = [place.id for place in settled if place.id not in self._seen]
        visible = visible_after(max(self._ahead, self.settled), limit=limit)
        seen_now = {event.place.id for event in visible}
        missed = [id_ for id_ in late if id_ not in seen_now]
        found = _read(BY_ID, [missed]) if missed else []
        self._seen.difference_update(place.id for place in settled)
        if settled:
            self.settled = settled[-1]
        for event in visible:
            if event.place > self.settled and len(self._seen) < AHEAD_MAX:
                self._seen.add(event.place.id)
        if visible:
            self._ahead = visible[-1].place
        return found + visible
