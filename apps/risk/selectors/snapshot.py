"""
All accounts and open positions as NumPy arrays: what a what-if is computed on. Values nothing.

The last snapshot is kept per process, and of the next one only those accounts are read that changed since
(snapshot_rows.py). Double precision: for finding, counting and showing; what is listed is computed again in
Decimal from the rows themselves.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

import numpy as np
from django.db import connection

from apps.risk.selectors import snapshot_rows
from apps.risk.selectors.snapshot_rows import Floats, Integers, Kind, Rows

KEPT_S = 1.0
WHOLE_S = 900.0  # all is read again after that long: a database restored from a copy may repeat numbers
TRIES = 5
EXAMPLES_MAX = 20  # accounts that are looked up to learn one kind


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    The house at one instant. Positions name their account and kind by index, accounts their group and
    currency; accounts stand by ascending id. Of some kinds there may be no position.
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


@dataclass(frozen=True, slots=True)
class Kept:
    """The last snapshot with the rows it was made from; `whole_s` is when all was read."""

    database: str
    read_s: float
    whole_s: float
    rows: Rows
    house: Snapshot


Named = TypeVar("Named")


@dataclass(slots=True)
class Names(Generic[Named]):
    """What codes stand for, by ascending code."""

    codes: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    names: list[Named] = field(default_factory=list)

    def places(self, codes: Integers) -> tuple[Integers, Integers]:
        """Return each code's place among the names, and the places of those codes that are not known."""
        if not len(self.codes):
            return np.zeros(len(codes), dtype=np.int64), np.arange(len(codes))
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return places, np.flatnonzero(self.codes[places] != codes)

    def learn(self, found: dict[int, Named]) -> None:
        """Add names; places change."""
        known = dict(zip(self.codes.tolist(), self.names, strict=True)) | found
        self.codes = np.array(sorted(known), dtype=np.int64)
        self.names = [known[code] for code in self.codes.tolist()]


_lock = threading.Lock()
_kinds: Names[Kind] = Names()
_currencies: Names[str] = Names()
_kept: Kept | None = None


def snapshot(*, seconds: float = KEPT_S) -> Snapshot:
    """Return the house as it is, or as it was up to `seconds` ago when somebody has just asked for it."""
    global _kept
    database = str(connection.settings_dict["NAME"])
    with _lock:
        known = _kept if _kept is not None and _kept.database == database else None
        if known is None or time.monotonic() - known.read_s >= seconds:
            known = _kept = _read(known, database)
        return known.house


def forget_snapshot() -> None:
    """Drop the last snapshot: the next one is read whole."""
    global _kept
    with _lock:
        _kept = None


def forget() -> None:
    """Drop what is remembered: kinds, currencies and the last snapshot."""
    global _kinds, _currencies
    forget_snapshot()
    with _lock:
        _kinds, _currencies = Names(), Names()


def _read(known: Kept | None, database: str) -> Kept:
    for _ in range(TRIES):
        now_s = time.monotonic()
        rows = None
        if known is not None and now_s - known.whole_s < WHOLE_S:
            rows, whole_s = snapshot_rows.read_since(known.rows), known.whole_s
        if rows is None:
            rows, whole_s = snapshot_rows.read(), now_s
        if known is not None and rows.positions is known.rows.positions:  # nothing changed
            house: Snapshot | None = replace(known.house, at=datetime.fromtimestamp(rows.at_s, UTC))
        else:
            house = _house(rows)
        if house is not None:
            return Kept(database, time.monotonic(), whole_s, rows, house)
    raise RuntimeError("positions of an unknown kind come and go faster than they can be looked at")


def _house(rows: Rows) -> Snapshot | None:
    """Return the rows as a snapshot; None: a position of an unknown kind was gone when it was looked up."""
    accounts, positions = rows.accounts, rows.positions
    kind = _places(_kinds, positions.code, lambda places: snapshot_rows.kinds(_examples(rows, places)))
    currency = _places(_currencies, accounts.currency_code, lambda _: snapshot_rows.currencies())
    if kind is None or currency is None:
        return None
    return Snapshot(
        at=datetime.fromtimestamp(rows.at_s, UTC),
        account_ids=accounts.id,
        group_ids=accounts.group_id,
        leverages=accounts.leverage,
        currencies=_currencies.names,
        currency=currency,
        funds=accounts.funds,
        margins=accounts.margin,
        kinds=_kinds.names,
        account=np.searchsorted(accounts.id, positions.account_id),
        kind=kind,
        lots=positions.lots,
        cost=positions.cost,
        swap=positions.swap,
    )


def _places(
    known: Names[Named], codes: Integers, look_up: Callable[[Integers], dict[int, Named]]
) -> Integers | None:
    """Return each code's place; unknown codes are looked up once. None: some are unknown still."""
    places, unknown = known.places(codes)
    if len(unknown):
        known.learn(look_up(unknown))
        places, unknown = known.places(codes)
    return None if len(unknown) else places


def _examples(rows: Rows, places: Integers) -> list[int]:
    """Return accounts that hold the positions at these places: for each code a few."""
    order = places[np.argsort(rows.positions.code[places], kind="stable")]
    codes = rows.positions.code[order]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    rank = np.arange(len(codes)) - np.repeat(starts, np.diff(np.r_[starts, len(codes)]))
    return [int(id_) for id_ in np.unique(rows.positions.account_id[order[rank < EXAMPLES_MAX]])]
