"""
Copies of an account, row by row: a large house in seconds, whose books verify like any other.

One account is made and traded with real commands; each copy has its rows with numbers of its own everywhere,
in the columns and in the journal's payloads. Only the owner of the tables may move their sequences.
"""

import re
from typing import Any
from uuid import uuid4

import orjson
from psycopg import Connection, Cursor

TICKETS_FROM = 7_000_000_000  # no other number of a journal looks like these
SERIES = 1_000_000  # tickets of one house, its copies included
TABLES = (
    "accounts_tradingaccount",
    "accounts_accountstate",
    "accounts_accountevent",
    "accounts_ledgerline",
    "trading_order",
    "trading_deal",
    "trading_position",
)
TICKET_COLUMNS = {
    "trading_order": ("id", "position_id"),
    "trading_deal": ("id", "order_id", "position_id"),
    "trading_position": ("id", "last_deal_id"),
}
DEFAULTED = {("accounts_ledgerline", "id"), ("accounts_accountevent", "xact")}


def number_tickets(owner: Connection[Any]) -> None:
    """Begin a series of tickets that are found again in the text of a payload, beyond all that were given."""
    with owner.cursor() as cursor:
        cursor.execute("SELECT last_value FROM trading_ticket")
        first = max(TICKETS_FROM, (_one(cursor) // SERIES + 1) * SERIES)
        cursor.execute("SELECT setval('trading_ticket', %s)", [first])
    owner.commit()


def copy_account(owner: Connection[Any], account_id: int, *, count: int) -> None:
    """Write `count` accounts like this one and what belongs to them."""
    with owner.transaction(), owner.cursor() as cursor:
        found = {table: _rows(cursor, table, account_id) for table in TABLES}
        cursor.execute("SELECT last_value FROM trading_ticket")
        series = min(row["id"] for row in found["trading_order"]) // SERIES
        stride = _one(cursor) - series * SERIES
        cursor.execute("SELECT setval('trading_ticket', %s)", [series * SERIES + stride * (count + 1) + 1])
        events = [row["id"] for row in found["accounts_accountevent"]]
        numbers = _Numbers(
            account=_reserve(cursor, "accounts_tradingaccount_id_seq", count),
            login=_reserve(cursor, "accounts_trading_account_login", count),
            event=_reserve(cursor, "accounts_accountevent_id_seq", count * len(events)),
            events=events,
            stride=stride,
            ticket=re.compile(rf"({series}\d{{6}})(?!\d)"),
        )
        for table, rows in found.items():
            names = [name for name in rows[0] if (table, name) not in DEFAULTED]
            with cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as target:
                for number in range(count):
                    for row in rows:
                        target.write_row([numbers.of(table, name, row[name], number) for name in names])
    owner.execute("ANALYZE")
    owner.commit()


def _rows(cursor: Cursor[Any], table: str, account_id: int) -> list[dict[str, Any]]:
    key = "id" if table == "accounts_tradingaccount" else "account_id"
    cursor.execute(f"SELECT * FROM {table} WHERE {key} = %s", [account_id])
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _one(cursor: Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _reserve(cursor: Cursor[Any], sequence: str, count: int) -> int:
    cursor.execute("SELECT nextval(%s)", [sequence])
    first = _one(cursor)
    cursor.execute("SELECT setval(%s, %s)", [sequence, first + count])
    return first


class _Numbers:
    """The numbers of each copy: account, login, events and tickets move, nothing else does."""

    def __init__(
        self,
        *,
        account: int,
        login: int,
        event: int,
        events: list[int],
        stride: int,
        ticket: re.Pattern[str],
    ) -> None:
        self._account, self._login, self._event = account, login, event
        self._events = {event_id: position for position, event_id in enumerate(events)}
        self._stride, self._ticket = stride, ticket
        self._texts: dict[int, list[str]] = {}

    def of(self, table: str, column: str, value: Any, number: int) -> Any:
        """Return what a column of the template holds in copy `number`."""
        if column == "account_id" or (table == "accounts_tradingaccount" and column == "id"):
            return self._account + number
        if column == "login":
            return self._login + number
        if column == "command_id":
            return uuid4()
        if column == "event_id" or (table == "accounts_accountevent" and column == "id"):
            return self._event + number * len(self._events) + self._events[value]
        if column in TICKET_COLUMNS.get(table, ()):
            return None if value is None else value + (number + 1) * self._stride
        if column == "payload":
            return self._payload(value, number)
        return value

    def _payload(self, value: dict[str, Any], number: int) -> str:
        """Return an event's text with the copy's tickets and login; every odd part is a ticket."""
        parts = self._texts.get(id(value))
        if parts is None:
            parts = self._texts[id(value)] = self._ticket.split(orjson.dumps(value).decode())
        moved = (number + 1) * self._stride
        told = "".join(str(int(part) + moved) if odd % 2 else part for odd, part in enumerate(parts))
        if "login" in value:
            told = told.replace(f'"login":{value["login"]}', f'"login":{self._login + number}')
        return told
