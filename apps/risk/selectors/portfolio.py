"""
Reads what a portfolio is made of: accounts, open positions, open margin calls and stored marks of a shard.

One snapshot per read, so that money and positions of an account always belong together. A whole shard comes
as binary columns straight into NumPy; amounts are floats, because they only find candidates.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor

from apps.trading.domain.orders import ContractTerms
from apps.trading.selectors.verification import snapshot

HEADER_BYTES = 19  # of a binary COPY: signature, flags, extension
TRAILER_BYTES = 2

FACTS = """
    SELECT a.id, a.group_id, a.currency, s.balance::float8, s.credit::float8, s.margin::float8, s.seq,
           0::float8,
           EXISTS (SELECT 1 FROM risk_margincall m WHERE m.account_id = a.id AND m.cleared_at IS NULL)
    FROM accounts_tradingaccount a JOIN accounts_accountstate s ON s.account_id = a.id
    WHERE {which} ORDER BY a.id
"""
POSITIONS = """
    SELECT p.account_id, p.id, y.name, p.side = 'buy', p.volume::float8, p.cost::float8, p.swap::float8,
           p.book = 'b', p.terms
    FROM trading_position p JOIN market_symbol y ON y.id = p.symbol_id
    WHERE p.account_id = ANY(%s) ORDER BY p.id
"""
ALL_POSITIONS = """
    COPY (SELECT id, account_id, symbol_id::int8, hashtextextended(terms, 0),
                 ((side = 'buy')::int + 2 * (book = 'b')::int)::int8,
                 volume::float8, cost::float8, swap::float8
          FROM trading_position WHERE account_id % {shards} = {shard}) TO STDOUT (FORMAT BINARY)
"""
COLUMNS = ("id", "account", "symbol", "terms", "flags", "volume", "cost", "swap")
INTEGERS = 5  # so many of them are integers
CONTRACTS = """
    SELECT DISTINCT hashtextextended(terms, 0), terms FROM trading_position WHERE account_id %% %s = %s
"""
SYMBOLS = "SELECT id, name FROM market_symbol ORDER BY id"
FLOWS = """
    SELECT e.account_id, sum(coalesce(
        e.payload ->> CASE WHEN e.type = 'balance_changed' THEN 'amount' ELSE 'compensation' END, '0'
    )::numeric)::float8
    FROM unnest(%s::bigint[], %s::bigint[]) AS k(account_id, seq)
    JOIN accounts_accountevent e ON e.account_id = k.account_id AND e.seq > k.seq
    WHERE e.type IN ('balance_changed', 'stopped_out', 'balance_protected') GROUP BY 1
"""
MARKS = """
    SELECT r.account_id, r.seq, r.peak_equity::float8, (extract(epoch FROM r.peak_at) * 1000)::bigint, r.day,
           r.day_start_equity::float8, r.day_low_equity::float8, r.day_high_equity::float8,
           r.used_credit::float8, r.used_credit_max::float8, r.equity::float8
    FROM risk_accountrisk r JOIN accounts_accountstate s ON s.account_id = r.account_id
    WHERE r.account_id %% %s = %s ORDER BY r.account_id
"""


class FactsRow(NamedTuple):
    """One account; `flow` is what was paid in or out since the event known before."""

    id: int
    group_id: int
    currency: str
    balance: float
    credit: float
    margin: float
    seq: int
    flow: float
    in_call: bool


class HeldRow(NamedTuple):
    """One open position of an account; volume in lots, `unit` profit per lot and unit of price."""

    id: int
    symbol: str
    profit_currency: str
    is_buy: bool
    volume: float
    cost: float
    unit: float
    swap: float
    is_own: bool


class MarksRow(NamedTuple):
    """An account's stored marks; `flow` is what was paid in or out since, when it was worth `equity`."""

    account_id: int
    seq: int
    peak: float
    peak_ms: int
    day: date
    day_start: float
    day_low: float
    day_high: float
    used_credit: float
    used_max: float
    equity: float
    flow: float = 0.0


class PositionColumns(NamedTuple):
    """All open positions of a shard as arrays; `symbol` and `profit_currency` index the names beside them."""

    id: NDArray[np.int64]
    account: NDArray[np.int64]
    symbol: NDArray[np.int64]
    profit_currency: NDArray[np.int64]
    is_buy: NDArray[np.bool_]
    is_own: NDArray[np.bool_]
    volume: NDArray[np.float64]
    cost: NDArray[np.float64]
    unit: NDArray[np.float64]
    swap: NDArray[np.float64]
    symbols: list[str]
    profit_currencies: list[str]


class Shard(NamedTuple):
    """Everything of one shard at one instant."""

    accounts: list[FactsRow]
    positions: PositionColumns
    marks: list[MarksRow]


def shard(number: int, *, of: int) -> Shard:
    """Return all accounts whose id leaves `number` when divided by `of`, with their positions and marks."""
    with snapshot() as cursor:
        cursor.execute(FACTS.format(which=f"a.id % {int(of)} = {int(number)}"))
        accounts = [FactsRow(*row) for row in cursor.fetchall()]
        positions = _positions(cursor, number, of)
        cursor.execute(MARKS, (of, number))
        found = [MarksRow(*row) for row in cursor.fetchall()]
        seqs = {account.id: account.seq for account in accounts}
        behind = {row.account_id: row.seq for row in found if seqs.get(row.account_id, 0) > row.seq}
        flows = _flows(cursor, behind)
    marks = [row._replace(flow=flows.get(row.account_id, 0.0)) for row in found]
    return Shard(accounts, positions, marks)


def accounts(known: Mapping[int, int | None]) -> list[tuple[FactsRow, list[HeldRow]]]:
    """Return accounts with their open positions; `known` is account id -> the event known so far, if any."""
    ids = list(known)
    with snapshot() as cursor:
        cursor.execute(FACTS.format(which="a.id = ANY(%s)"), (ids,))
        found = [FactsRow(*row) for row in cursor.fetchall()]
        cursor.execute(POSITIONS, (ids,))
        positions: dict[int, list[HeldRow]] = {row.id: [] for row in found}
        for account_id, id_, symbol, is_buy, volume, cost, swap, is_own, terms in cursor.fetchall():
            unit, profit_currency = contract(terms)
            positions[account_id].append(
                HeldRow(id_, symbol, profit_currency, is_buy, volume, cost, unit, swap, is_own)
            )
        flows = _flows(cursor, {id_: seq for id_, seq in known.items() if seq is not None})
    return [(row._replace(flow=flows.get(row.id, 0.0)), positions[row.id]) for row in found]


@lru_cache(maxsize=8192)
def contract(terms: str) -> tuple[float, str]:
    """Return the profit of one lot per unit of price, and its currency, of a position's contract terms."""
    decoded = ContractTerms.decoded(terms)
    return float(decoded.contract_size * decoded.tick_factor), decoded.profit_currency


def _flows(cursor: Cursor[Any], known: Mapping[int, int]) -> dict[int, float]:
    if not known:
        return {}
    cursor.execute(FLOWS, (list(known), list(known.values())))
    return dict(cursor.fetchall())


def _positions(cursor: Cursor[Any], number: int, of: int) -> PositionColumns:
    cursor.execute(SYMBOLS)
    symbol_ids, symbols = _columns(cursor.fetchall(), 2)
    cursor.execute(CONTRACTS, (of, number))
    hashes, texts = _columns(cursor.fetchall(), 2)
    if len(set(hashes)) != len(hashes):
        raise RuntimeError("two contract terms have the same hash")
    units = [contract(text) for text in texts]
    currencies = sorted({currency for _, currency in units})
    rows = _binary(cursor, ALL_POSITIONS.format(shards=int(of), shard=int(number)))
    order = np.argsort(np.array(hashes, np.int64))
    of_row = order[np.searchsorted(np.array(hashes, np.int64)[order], rows["terms"])] if hashes else order
    unit = np.array([unit for unit, _ in units], np.float64)
    currency = np.array([currencies.index(name) for _, name in units], np.int64)
    return PositionColumns(
        id=rows["id"],
        account=rows["account"],
        symbol=np.searchsorted(np.array(symbol_ids, np.int64), rows["symbol"]),
        profit_currency=currency[of_row],
        is_buy=(rows["flags"] & 1).astype(np.bool_),
        is_own=(rows["flags"] & 2).astype(np.bool_),
        volume=rows["volume"],
        cost=rows["cost"],
        unit=unit[of_row],
        swap=rows["swap"],
        symbols=symbols,
        profit_currencies=currencies,
    )


def _columns(rows: Sequence[Sequence[Any]], count: int) -> tuple[list[Any], ...]:
    return tuple([row[index] for row in rows] for index in range(count))


def _binary(cursor: Cursor[Any], statement: str) -> dict[str, NDArray[Any]]:
    """Return the columns of a binary COPY whose fields are all eight bytes wide."""
    with cursor.copy(statement) as copied:
        content = b"".join(copied)
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for index, name in enumerate(COLUMNS):
        fields += [(f"{name}_bytes", ">i4"), (name, ">i8" if index < INTEGERS else ">f8")]
    row = np.dtype(fields)
    rows = np.frombuffer(content[HEADER_BYTES:-TRAILER_BYTES], row)
    if len(rows) and not all((rows[f"{name}_bytes"] == 8).all() for name in COLUMNS):
        raise RuntimeError("a position has a column without a value")
    return {
        name: rows[name].astype(np.int64 if index < INTEGERS else np.float64)
        for index, name in enumerate(COLUMNS)
    }
