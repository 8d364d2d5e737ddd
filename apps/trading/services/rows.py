"""
The SQL of the writer path: lock and write the rows of one batch. Decides nothing and opens no transaction.

Every function takes the raw cursor of the executor's connection, inside its transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import Cursor

from apps.accounts.domain.ledger import Line
from apps.trading.domain.holdings import Account
from apps.trading.domain.orders import Position
from rtx.kernel import bulk

Rows = Cursor[Any]

# A process that freezes while it holds accounts (a suspended machine) must not hold them for ever.
LOCK = """
    SELECT account_id, seq, (SELECT version FROM market_termsversion WHERE id = 1),
           (SELECT set_config('idle_in_transaction_session_timeout', '10s', true))
    FROM accounts_accountstate WHERE account_id = ANY(%s) ORDER BY account_id FOR NO KEY UPDATE
"""
KNOWN = """
    SELECT command_id, fingerprint, seq, type, payload::text FROM accounts_accountevent
    WHERE command_id = ANY(%s)
"""
EVENT_COLUMNS = [
    "id",
    "account_id",
    "seq",
    "type",
    "at",
    "command_id",
    "fingerprint",
    "actor",
    "request_id",
    "payload",
]
LINE_COLUMNS = ["event_id", "account_id", "ledger", "amount", "currency", "at"]
POSITION_TYPES = {
    "id": "bigint",
    "account_id": "bigint",
    "symbol_id": "bigint",
    "side": "text",
    "volume": "numeric",
    "cost": "numeric",
    "open_price": "numeric",
    "margin_rate": "numeric",
    "terms": "text",
    "stop_loss": "numeric",
    "take_profit": "numeric",
    "trailing_points": "int",
    "swap": "numeric",
    "commission": "numeric",
    "book": "text",
    "last_deal_id": "bigint",
    "opened_at": "timestamptz",
    "updated_at": "timestamptz",
}
POSITION_COLUMNS = tuple(POSITION_TYPES)
_FIXED = frozenset({"id", "account_id", "symbol_id"})
_POSITION_RECORD = ", ".join(f"{name} {kind}" for name, kind in POSITION_TYPES.items())
UPSERT_POSITIONS = f"""
    INSERT INTO trading_position ({", ".join(POSITION_COLUMNS)})
    SELECT {", ".join(POSITION_COLUMNS)}
    FROM json_to_recordset(%s::json) AS r({_POSITION_RECORD})
    ON CONFLICT (id) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in POSITION_COLUMNS if name not in _FIXED)}
"""  # noqa: S608 - built from the fixed names above
STATE_COLUMNS = ("account_id", "balance", "credit", "margin", "seq")
UPDATE_STATES = """
    UPDATE accounts_accountstate s
    SET balance = r.balance, credit = r.credit, margin = r.margin, seq = r.seq, updated_at = %s
    FROM json_to_recordset(%s::json)
         AS r(account_id bigint, balance numeric, credit numeric, margin numeric, seq bigint)
    WHERE s.account_id = r.account_id
"""
UPDATE_ACCOUNT = """
    UPDATE accounts_tradingaccount SET group_id = %s, leverage = %s, status = %s WHERE id = %s
"""


@dataclass(slots=True)
class EventRow:
    """One journal row about to be written."""

    id: int
    account_id: int
    login: int
    seq: int
    type: str
    at: datetime
    command_id: UUID
    fingerprint: str
    actor: str
    request_id: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class KnownCommand:
    """What the journal already holds for a command id."""

    fingerprint: str
    seq: int
    type: str
    payload: dict[str, Any]


def lock(cursor: Rows, account_ids: Sequence[int]) -> tuple[dict[int, int], int]:
    """
    Lock accounts in ascending order; return account id -> seq of those that exist, and the terms version.
    """
    cursor.execute(LOCK, (list(account_ids),), prepare=True)
    found = cursor.fetchall()
    return {row[0]: row[1] for row in found}, found[0][2] if found else 0


def known_commands(cursor: Rows, command_ids: list[UUID]) -> dict[UUID, KnownCommand]:
    """Return what the journal already holds for these command ids."""
    cursor.execute(KNOWN, (command_ids,), prepare=True)
    return {
        row[0]: KnownCommand(fingerprint=row[1], seq=row[2], type=row[3], payload=orjson.loads(row[4]))
        for row in cursor.fetchall()
    }


def reserve(cursor: Rows, sequence: str, count: int) -> list[int]:
    """Take `count` numbers from a sequence; numbers of a rolled back batch are simply skipped."""
    cursor.execute("SELECT nextval(%s::regclass) FROM generate_series(1, %s)", (sequence, count))
    return [row[0] for row in cursor.fetchall()]


def position_row(position: Position, *, account_id: int, symbol_id: int, now: datetime) -> tuple[Any, ...]:
    """Return a position in the order of POSITION_COLUMNS."""
    return (
        position.id,
        account_id,
        symbol_id,
        position.side.value,
        position.volume,
        position.cost,
        position.open_price,
        position.margin_rate,
        position.terms.encoded(),
        position.stop_loss,
        position.take_profit,
        position.trailing_points,
        position.swap,
        position.commission,
        position.book,
        position.last_deal_id,
        position.opened_at,
        now,
    )


def event_row(event: EventRow) -> tuple[Any, ...]:
    """Return an event in the order of EVENT_COLUMNS."""
    return (
        event.id,
        event.account_id,
        event.seq,
        event.type,
        event.at,
        event.command_id,
        event.fingerprint,
        event.actor,
        event.request_id,
        orjson.dumps(event.payload).decode(),
    )


def line_row(line: Line, *, event: EventRow, currency: str) -> tuple[Any, ...]:
    """Return a ledger line in the order of LINE_COLUMNS."""
    return (event.id, event.account_id, line.ledger.value, line.amount, currency, event.at)


def write_positions(cursor: Rows, *, changed: list[tuple[Any, ...]], closed: list[int]) -> None:
    """Insert or update positions, and delete those that were closed."""
    if changed:
        cursor.execute(UPSERT_POSITIONS, (bulk.rows_as_json(POSITION_COLUMNS, changed),), prepare=True)
    if closed:
        cursor.execute("DELETE FROM trading_position WHERE id = ANY(%s)", (closed,), prepare=True)


def write_states(cursor: Rows, accounts: Iterable[Account], *, now: datetime) -> None:
    """Store what the accounts' events add up to."""
    found = ((a.id, a.balance, a.credit, a.margin, a.seq) for a in accounts)
    cursor.execute(UPDATE_STATES, (now, bulk.rows_as_json(STATE_COLUMNS, found)), prepare=True)
