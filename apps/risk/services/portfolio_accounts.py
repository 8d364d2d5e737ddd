"""
Accounts of a portfolio as NumPy arrays: money, margin, and at which equity something has to happen.

Holds floats to find candidates with, widened by the smallest unit of the account's currency, so that nothing
is missed; what is called, closed or booked is decided in Decimal under the lock.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.groups.domain.terms import GroupSpec
from rtx.kernel.money import digits

FIRST = 64
NEVER = -np.inf
ALWAYS = np.inf
Indices = slice | NDArray[np.int64]


class Facts(NamedTuple):
    """
    One account as the database has it.

    `flow` is what was paid in or out (signed) since the `seq` known before, `in_call` whether a margin call
    is open.
    """

    id: int
    group_id: int
    currency: str
    balance: float
    credit: float
    margin: float
    seq: int
    flow: float = 0.0
    in_call: bool = False


class Accounts:
    """
    Elements `[:count]` of the arrays are accounts.

    `stop_at`: equity at or below it asks for a stop-out. `call_at`: at or below it, a margin call begins.
    `ends_at`: above it, one ends. Each is infinitely far away where it does not apply.
    """

    FLOATS = (
        "balance",
        "credit",
        "margin",
        "swap",
        "settled",
        "floating",
        "stop_at",
        "call_at",
        "alert_at",
        "ends_at",
        "unit",
    )
    INTEGERS = ("ids", "seq", "group", "currency", "positions", "missing")

    def __init__(self) -> None:
        self.count = 0
        self.index: dict[int, int] = {}
        self.currencies: dict[str, int] = {}
        self._size = 0
        self.in_call = np.zeros(0, np.bool_)
        for name in self.FLOATS:
            setattr(self, name, np.zeros(0))
        for name in self.INTEGERS:
            setattr(self, name, np.zeros(0, np.int64))
        self._groups: dict[int, GroupSpec] = {}

    balance: NDArray[np.float64]
    credit: NDArray[np.float64]
    margin: NDArray[np.float64]
    swap: NDArray[np.float64]
    settled: NDArray[np.float64]  # balance, credit and swap
    floating: NDArray[np.float64]
    stop_at: NDArray[np.float64]
    call_at: NDArray[np.float64]
    alert_at: NDArray[np.float64]  # the higher of both
    ends_at: NDArray[np.float64]
    unit: NDArray[np.float64]
    ids: NDArray[np.int64]
    seq: NDArray[np.int64]
    group: NDArray[np.int64]
    currency: NDArray[np.int64]
    positions: NDArray[np.int64]
    missing: NDArray[np.int64]  # positions without a price or a conversion

    @property
    def all(self) -> slice:
        """The elements in use."""
        return slice(0, self.count)

    def take_groups(self, groups: Mapping[int, GroupSpec]) -> None:
        """Follow other terms from now on."""
        self._groups = dict(groups)
        self.judge(np.arange(self.count))

    def put(self, facts: Facts) -> int:
        """Take an account over and return its place; thresholds follow when `judge` is called."""
        place = self.index.get(facts.id)
        if place is None:
            place = self.count
            self.reserve(place + 1)
            self.count += 1
            self.index[facts.id] = place
            self.ids[place] = facts.id
        self.group[place] = facts.group_id
        self.currency[place] = self.currency_number(facts.currency)
        self.unit[place] = 10.0 ** -digits(facts.currency)
        self.balance[place], self.credit[place] = facts.balance, facts.credit
        self.margin[place], self.seq[place] = facts.margin, facts.seq
        self.in_call[place] = facts.in_call
        return place

    def currency_number(self, currency: str) -> int:
        """Return the number that stands for a currency."""
        return self.currencies.setdefault(currency, len(self.currencies))

    def reserve(self, size: int) -> None:
        """Have room for so many accounts."""
        if size <= self._size:
            return
        self._size = max(FIRST, size, 2 * self._size)
        for name in (*self.FLOATS, *self.INTEGERS, "in_call"):
            array = getattr(self, name)
            grown = np.zeros(self._size, array.dtype)
            grown[: len(array)] = array
            setattr(self, name, grown)

    def equity(self, places: Indices) -> NDArray[np.float64]:
        """Return what accounts are worth now."""
        equity: NDArray[np.float64] = self.settled[places] + self.floating[places]
        return equity

    def levels(self, places: Indices, equity: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return margin levels in percent; those without margin are infinitely high, or low when broke."""
        margin = self.margin[places]
        bare = np.where(equity > 0.0, np.inf, -np.inf)
        return np.divide(100.0 * equity, margin, out=bare, where=margin > 0.0)

    def judge(self, places: NDArray[np.int64]) -> None:
        """Add up accounts' money and set their thresholds by what they hold and by their groups' terms."""
        if not len(places):
            return
        self.settled[places] = self.balance[places] + self.credit[places] + self.swap[places]
        stop_pct, call_pct, ends_pct, protects = self._rules(self.group[places])
        margin, unit = self.margin[places], self.unit[places]
        holds, has_margin = self.positions[places] > 0, self.margin[places] > 0.0
        stop_at = np.where(has_margin, margin * stop_pct / 100.0 + unit, np.where(holds, unit, NEVER))
        owes = ~holds & (self.balance[places] < 0.0) & protects
        self.stop_at[places] = np.where(owes, ALWAYS, stop_at)
        in_call = self.in_call[places]
        self.call_at[places] = np.where(has_margin & ~in_call, margin * call_pct / 100.0 + unit, NEVER)
        ends_at = np.where(has_margin, margin * ends_pct / 100.0 - unit, np.where(holds, 0.0, NEVER))
        self.ends_at[places] = np.where(in_call, ends_at, ALWAYS)
        blind = ~np.isfinite(self.settled[places] + margin + stop_pct)
        if blind.any() or self.missing[places].any():
            self._blind(places[blind | (self.missing[places] > 0)])
        self.alert_at[places] = np.maximum(self.stop_at[places], self.call_at[places])

    def _blind(self, places: NDArray[np.int64]) -> None:
        """What cannot be valued cannot be judged: it is counted and alarmed instead."""
        self.missing[places] = np.maximum(self.missing[places], 1)
        self.stop_at[places] = self.call_at[places] = NEVER
        self.ends_at[places] = ALWAYS

    def _rules(
        self, groups: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return per account: stop-out, margin call and its end in percent, and balance protection."""
        known, inverse = np.unique(groups, return_inverse=True)
        specs = [self._groups.get(int(group)) for group in known]
        values = np.array(
            [
                (np.nan, np.nan, np.nan, 0.0)
                if spec is None
                else (
                    float(spec.stop_out_pct),
                    float(spec.margin_call_pct),
                    float(spec.margin_call_ends_pct),
                    float(spec.protects_balance),
                )
                for spec in specs
            ]
        )[inverse]
        return values[:, 0], values[:, 1], values[:, 2], values[:, 3] > 0.0
