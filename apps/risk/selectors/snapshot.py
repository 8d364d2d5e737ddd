"""
All accounts and open positions as NumPy arrays, read with one statement: what a what-if is computed on.

PostgreSQL packs each column into one array, which arrives as bytes and is taken over without a look at single
values: 500,000 positions cost as much as 50,000 rows fetched one by one. Double precision: for finding,
counting and showing; what is listed is computed again in Decimal from the rows themselves.
"""

import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from psycopg import Cursor

from apps.trading.domain.orders import ContractTerms

SNAPSHOT = """
    SELECT extract(epoch FROM now())::float8, held.*, accounts.* FROM (
        SELECT array_agg(p.account_id),
               array_agg(hashtextextended(
                   p.terms, p.symbol_id * 4 + (p.side = 'sell')::int * 2 + (p.book = 'a')::int)),
               array_agg(p.volume::float8), array_agg(p.cost::float8), array_agg(p.swap::float8)
        FROM trading_position p
    ) held, (
        SELECT array_agg(a.id), array_agg(a.group_id), array_agg(a.leverage),
               array_agg(hashtext(a.currency)), array_agg((s.balance + s.credit)::float8),
               array_agg(s.margin::float8)
        FROM accounts_tradingaccount a JOIN accounts_accountstate s ON s.account_id = a.id
    ) accounts
"""
KINDS = """
    SELECT DISTINCT ON (k.code) k.code, k.symbol_id, k.side, k.book, k.terms FROM (
        SELECT DISTINCT p.symbol_id, p.side, p.book, p.terms,
               hashtextextended(
                   p.terms, p.symbol_id * 4 + (p.side = 'sell')::int * 2 + (p.book = 'a')::int) AS code
        FROM trading_position p
    ) k
"""
CURRENCIES = """
    SELECT hashtext(c.currency), c.currency
    FROM (SELECT DISTINCT currency FROM accounts_tradingaccount) c
"""
HEADER_BYTES = 20  # of an array as PostgreSQL sends it: dimensions, flags, type, length, lower bound
NUMBERS = {20: ">i8", 23: ">i4", 701: ">f8"}  # int8, int4 and float8 by their type's number
KEPT_S = 5.0

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Kind:
    """What many positions have in common: what is traded, which way, in which book, under which contract."""

    symbol_id: int
    is_buy: bool
    book: str
    terms: ContractTerms


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    The house at one instant. Positions name their account and kind by index, accounts their group and
    currency; accounts stand by ascending id.
    """

    at: datetime
    account_ids: Integers
    group_ids: Integers
    leverages: Integers
    currencies: list[str]
    currency: Integers
    funds: Floats
    margins: Floats
    kinds: list[Kind]
    account: Integers
    kind: Integers
    lots: Floats
    cost: Floats
    swap: Floats


_lock = threading.Lock()
_kinds: dict[int, Kind] = {}
_currencies: dict[int, str] = {}
_kept: tuple[float, str, Snapshot] | None = None


def snapshot(*, seconds: float = KEPT_S) -> Snapshot:
    """Return the house as it is, or as it was up to `seconds` ago when somebody has just asked for it."""
    global _kept
    known = _kept
    database = connection.settings_dict["NAME"]
    if known is not None and known[1] == database and time.monotonic() - known[0] < seconds:
        return known[2]
    with _lock:
        found = _read()
        _kept = (time.monotonic(), database, found)
    return found


def forget_snapshot() -> None:
    """Drop the last snapshot: the next one is read."""
    global _kept
    with _lock:
        _kept = None


def forget() -> None:
    """Drop what is remembered: kinds, currencies and the last snapshot."""
    forget_snapshot()
    with _lock:
        _kinds.clear()
        _currencies.clear()


def _read() -> Snapshot:
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        cursor.execute(SNAPSHOT, binary=True)
        result = cursor.pgresult
        assert result is not None
        (read_at_s,) = struct.unpack(">d", result.get_value(0, 0) or b"")
        columns = [_array(result.get_value(0, place)) for place in range(1, result.nfields)]
    held_by, codes, lots, cost, swap, ids, groups, leverages, currency_codes, funds, margins = columns
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    kinds, kind = _named(codes, known=_kinds, learn=_learn_kinds)
    currencies, currency = _named(currency_codes[order], known=_currencies, learn=_learn_currencies)
    return Snapshot(
        at=datetime.fromtimestamp(read_at_s, UTC),
        account_ids=ids,
        group_ids=groups[order],
        leverages=leverages[order],
        currencies=currencies,
        currency=currency,
        funds=funds[order],
        margins=margins[order],
        kinds=kinds,
        account=np.searchsorted(ids, held_by),
        kind=kind,
        lots=lots,
        cost=cost,
        swap=swap,
    )


def _array(packed: bytes | None) -> Any:
    """Return the values of a one-dimensional array without nulls, as PostgreSQL sends it; none: empty."""
    if packed is None:
        return np.zeros(0)
    _, _, type_number, count = np.frombuffer(packed, dtype=">i4", count=4)
    number = NUMBERS[int(type_number)]
    entry = np.dtype([("length", ">i4"), ("value", number)])
    values = np.frombuffer(packed, dtype=entry, count=int(count), offset=HEADER_BYTES)["value"]
    return values.astype(np.float64 if number == ">f8" else np.int64)


Named = TypeVar("Named")


def _named(
    codes: Any, *, known: dict[int, Named], learn: Callable[[], dict[int, Named]]
) -> tuple[list[Named], Integers]:
    """Return what the codes stand for, and each one's place among it. Unknown codes are looked up once."""
    found, places = np.unique(codes.astype(np.int64), return_inverse=True)
    present = [int(code) for code in found]
    if any(code not in known for code in present):
        known.update(learn())
    return [known[code] for code in present], places.astype(np.int64)


def _learn_kinds() -> dict[int, Kind]:
    with connection.cursor() as cursor:
        cursor.execute(KINDS)
        return {
            code: Kind(symbol_id, side == "buy", book, ContractTerms.decoded(terms))
            for code, symbol_id, side, book, terms in cursor.fetchall()
        }


def _learn_currencies() -> dict[int, str]:
    with connection.cursor() as cursor:
        cursor.execute(CURRENCIES)
        return dict(cursor.fetchall())
