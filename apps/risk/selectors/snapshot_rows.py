"""
Reads accounts and open positions as NumPy columns with one statement, whole or only what changed since an
earlier read. Knows nothing of prices, keeps nothing.

PostgreSQL packs each column into one string of bytes, eight a value, which is taken over without a look at
single values: 500,000 positions cost as much as 50,000 rows fetched one by one. Double precision: to find,
count and show.

Nothing of an account changes without an event in its journal, so the journal tells what is to be read again:
accounts with an event of a transaction that had not ended at the earlier read. How many accounts there are
and what their `seq` add up to is read as well and proves that none was missed.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from psycopg import Cursor

from apps.trading.domain.orders import ContractTerms

EVENTS_MAX = 50_000  # beyond so many since the earlier read, all is read again
CODE = "hashtextextended(p.terms, p.symbol_id * 4 + (p.side = 'sell')::int * 2 + (p.book = 'a')::int)"
INTEGER, FLOAT = ">i8", ">f8"
SENT = {INTEGER: "int8send", FLOAT: "float8send"}
POSITIONS = (
    (INTEGER, "p.account_id"),
    (INTEGER, CODE),
    (FLOAT, "p.volume::float8"),
    (FLOAT, "p.cost::float8"),
    (FLOAT, "CASE WHEN p.swap = 0 THEN 0 ELSE p.swap::float8 END"),
)
ACCOUNTS = (
    (INTEGER, "a.id"),
    (INTEGER, "s.seq"),
    (INTEGER, "a.group_id"),
    (INTEGER, "a.leverage"),
    (INTEGER, "hashtext(a.currency)"),
    (FLOAT, "(s.balance + s.credit)::float8"),
    (FLOAT, "s.margin::float8"),
)


def packed(columns: Sequence[tuple[str, str]]) -> str:
    """Return the SQL that packs these columns, each into one string of bytes."""
    return ", ".join(f"string_agg({SENT[kind]}({column}), '')" for kind, column in columns)


ROWS = f"""
    SELECT extract(epoch FROM now())::float8, pg_snapshot_xmin(pg_current_snapshot())::text::bigint, total.*,
           held.*, accounts.*
    FROM (
        SELECT count(*), coalesce(sum(seq), 0)::bigint FROM accounts_accountstate
    ) total, (
        SELECT {packed(POSITIONS)} FROM trading_position p {{positions}}
    ) held, (
        SELECT {packed(ACCOUNTS)}
        FROM accounts_tradingaccount a JOIN accounts_accountstate s ON s.account_id = a.id {{accounts}}
    ) accounts
"""  # noqa: S608 - built from fixed texts
WHOLE = ROWS.format(positions="", accounts="")
CHANGED = "WITH changed AS MATERIALIZED ({changed}) {rows}".format(
    changed="""
        SELECT DISTINCT e.account_id FROM (
            SELECT account_id FROM accounts_accountevent WHERE xact >= %s::text::xid8 LIMIT %s
        ) e
    """,
    rows=ROWS.format(
        positions="WHERE p.account_id = ANY(ARRAY(SELECT account_id FROM changed))",
        accounts="WHERE a.id = ANY(ARRAY(SELECT account_id FROM changed))",
    ),
)
KINDS = f"""
    SELECT DISTINCT {CODE}, p.symbol_id, p.side, p.book, p.terms
    FROM trading_position p WHERE p.account_id = ANY(%s)
"""  # noqa: S608 - built from fixed texts
CURRENCIES = """
    SELECT hashtext(c.currency), c.currency
    FROM (SELECT DISTINCT currency FROM accounts_tradingaccount) c
"""
SINGLE = (">d", ">q", ">q", ">q")  # instant, oldest open transaction, accounts, sum of seq

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Kind:
    """What many positions have in common: what is traded, which way, in which book, under which contract."""

    symbol_id: int
    is_buy: bool
    book: str
    terms: ContractTerms


class AccountColumns(NamedTuple):
    """Accounts by ascending id."""

    id: Integers
    seq: Integers
    group_id: Integers
    leverage: Integers
    currency_code: Integers
    funds: Floats
    margin: Floats


class PositionColumns(NamedTuple):
    """Positions in no order; the code stands for a kind."""

    account_id: Integers
    code: Integers
    lots: Floats
    cost: Floats
    swap: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What one statement read. What transactions older than `open_xact` did is in it."""

    at_s: float
    open_xact: int
    count: int
    seq_sum: int
    accounts: AccountColumns
    positions: PositionColumns

    @property
    def is_whole(self) -> bool:
        """Whether the columns hold every account at its present event."""
        return len(self.accounts.id) == self.count and int(self.accounts.seq.sum()) == self.seq_sum


def read() -> Rows:
    """Read all accounts and positions."""
    return _rows(WHOLE, ())


def read_since(earlier: Rows) -> Rows | None:
    """Return all accounts and positions, reading those that changed; None: too much changed."""
    found = _rows(CHANGED, (earlier.open_xact, EVENTS_MAX))
    if len(found.accounts.id):
        merged = _merged(earlier, found)
    else:
        merged = replace(found, accounts=earlier.accounts, positions=earlier.positions)
    return merged if merged.is_whole else None


def kinds(account_ids: Sequence[int]) -> dict[int, Kind]:
    """Return the kinds of position that these accounts hold, by code."""
    with connection.cursor() as cursor:
        cursor.execute(KINDS, [list(account_ids)])
        return {
            code: Kind(symbol_id, side == "buy", book, ContractTerms.decoded(terms))
            for code, symbol_id, side, book, terms in cursor.fetchall()
        }


def currencies() -> dict[int, str]:
    """Return the currencies of all accounts by code."""
    with connection.cursor() as cursor:
        cursor.execute(CURRENCIES)
        return dict(cursor.fetchall())


def _rows(statement: str, given: tuple[int, ...]) -> Rows:
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        cursor.execute(statement, given, binary=True)
        result = cursor.pgresult
        assert result is not None
        single = [
            struct.unpack(kind, result.get_value(0, place) or b"")[0] for place, kind in enumerate(SINGLE)
        ]
        columns = [
            _column(result.get_value(0, place), kind)
            for place, (kind, _) in enumerate((*POSITIONS, *ACCOUNTS), start=len(SINGLE))
        ]
    width = len(PositionColumns._fields)
    accounts = AccountColumns._make(columns[width:])
    order = np.argsort(accounts.id, kind="stable")
    return Rows(
        at_s=single[0],
        open_xact=single[1],
        count=single[2],
        seq_sum=single[3],
        accounts=AccountColumns._make(column[order] for column in accounts),
        positions=PositionColumns._make(columns[:width]),
    )


def _column(packed: bytes | None, kind: str) -> Any:
    """Return a column as PostgreSQL packed it, in this machine's order of bytes; None: empty."""
    return np.frombuffer(packed or b"", dtype=kind).astype(np.int64 if kind == INTEGER else np.float64)


def _merged(earlier: Rows, found: Rows) -> Rows:
    """Return the earlier rows with those of the accounts found in place of their own."""
    kept = ~_among(earlier.accounts.id, found.accounts.id)
    joined = [
        np.concatenate((old[kept], new)) for old, new in zip(earlier.accounts, found.accounts, strict=True)
    ]
    order = np.argsort(joined[0], kind="stable")
    held = ~_among(earlier.positions.account_id, found.accounts.id)
    return replace(
        found,
        accounts=AccountColumns._make(column[order] for column in joined),
        positions=PositionColumns._make(
            np.concatenate((old[held], new))
            for old, new in zip(earlier.positions, found.positions, strict=True)
        ),
    )


def _among(ids: Integers, wanted: Integers) -> NDArray[np.bool_]:
    """Say of each id whether it is one of those wanted, which ascend and are at least one."""
    return np.asarray(wanted[np.minimum(np.searchsorted(wanted, ids), len(wanted) - 1)] == ids)
