"""
Blocks of open positions: all that is held in one symbol by accounts of one currency, as NumPy arrays.

A row is appended at the end and deleted by moving the last one into its place: both take the same time
however many there are. Positions share cells (trading group and side), which carry price and conversion.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.risk.services.portfolio_prices import Floats, Prices

FIRST = 16
Rows = slice | NDArray[np.int64]


class Held(NamedTuple):
    """
    One open position: what it is worth is `slope` x price + `base`, in the profit currency.

    `slope` is lots x contract size with the sign of the side, `base` minus the cost in the same measure.
    """

    id: int
    symbol: str
    profit_currency: str
    is_buy: bool
    slope: float
    base: float
    swap: float
    is_own: bool  # B-book: the house stands against it


class Block:
    """Rows `[:count]` of its arrays are positions; `accounts` holds the account's place in the portfolio."""

    ARRAYS = ("ids", "accounts", "cells", "slope", "base", "swap", "is_own", "value", "is_bad")

    def __init__(self, number: int, symbol: str, profit_currency: str, currency: str) -> None:
        self.number = number
        self.symbol = symbol
        self.profit_currency = profit_currency
        self.currency = currency
        self.count = 0
        self.bad = 0  # rows without a price or a conversion
        self.ids = np.zeros(FIRST, np.int64)
        self.accounts = np.zeros(FIRST, np.int64)
        self.cells = np.zeros(FIRST, np.int32)
        self.slope = np.zeros(FIRST)
        self.base = np.zeros(FIRST)
        self.swap = np.zeros(FIRST)
        self.is_own = np.zeros(FIRST, np.bool_)
        self.value = np.zeros(FIRST)
        self.is_bad = np.zeros(FIRST, np.bool_)
        self._numbers: dict[tuple[int, bool], int] = {}
        self._is_buy = np.zeros(0, np.bool_)
        self._markup = np.zeros(0)
        self._ways = np.zeros(0, np.int64)

    # -- cells

    def cell(self, group_id: int, is_buy: bool, prices: Prices) -> tuple[int, bool]:
        """Return the number of a cell, and whether it is new."""
        number = self._numbers.get((group_id, is_buy))
        if number is not None:
            return number, False
        self._numbers[(group_id, is_buy)] = len(self._numbers)
        self.arm(prices)
        return len(self._numbers) - 1, True

    def arm(self, prices: Prices) -> None:
        """Take markups and ways of the present terms."""
        markups, ways = [], []
        for group_id, is_buy in self._numbers:
            bid, ask = prices.markup(group_id, self.symbol)
            markups.append(-bid if is_buy else ask)
            ways.append(prices.way(group_id, self.profit_currency, self.currency))
        self._is_buy = np.array([is_buy for _, is_buy in self._numbers], np.bool_)
        self._markup = np.array(markups, np.float64)
        self._ways = np.array(ways, np.int64)

    def symbols(self, prices: Prices) -> set[str]:
        """Return every symbol whose price moves the block's values."""
        return {self.symbol}.union(*(prices.symbols_of(int(way)) for way in set(self._ways.tolist())))

    # -- rows

    def append(self, held: Held, account: int, cell: int) -> int:
        """Add a position and return its row; its value is not known yet."""
        row = self.count
        if row == len(self.ids):
            self._grow(2 * row)
        self.ids[row], self.accounts[row], self.cells[row] = held.id, account, cell
        self.slope[row], self.base[row] = held.slope, held.base
        self.swap[row], self.is_own[row] = held.swap, held.is_own
        self.value[row], self.is_bad[row] = 0.0, False
        self.count += 1
        return row

    def is_same(self, row: int, held: Held, cell: int) -> bool:
        """Tell whether a row is what the position is now."""
        return (
            self.slope[row] == held.slope
            and self.base[row] == held.base
            and self.swap[row] == held.swap
            and self.cells[row] == cell
            and self.is_own[row] == held.is_own
        )

    def change(self, row: int, held: Held, cell: int) -> None:
        """Let a row be what the position has become."""
        self.cells[row] = cell
        self.slope[row], self.base[row] = held.slope, held.base
        self.swap[row], self.is_own[row] = held.swap, held.is_own

    def remove(self, row: int) -> int | None:
        """Delete a row; return the id of the position that moved into its place."""
        last = self.count - 1
        self.count = last
        self.bad -= int(self.is_bad[row])
        if row == last:
            return None
        for name in self.ARRAYS:
            array = getattr(self, name)
            array[row] = array[last]
        return int(self.ids[row])

    def fill(self, **arrays: NDArray[np.generic]) -> None:
        """Take all rows at once; `cells` are those that `cell` gave out."""
        self.count = len(arrays["ids"])
        self._grow(max(FIRST, self.count + self.count // 4))
        for name, given in arrays.items():
            getattr(self, name)[: self.count] = given

    def _grow(self, size: int) -> None:
        for name in self.ARRAYS:
            array = getattr(self, name)
            grown = np.zeros(size, array.dtype)
            kept = min(len(array), size)
            grown[:kept] = array[:kept]
            setattr(self, name, grown)

    # -- values

    def worth(self, prices: Prices, rows: Rows) -> Floats:
        """Return what rows are worth now in the account's currency; NaN without a price or a conversion."""
        bid, ask = prices.quotes.get(self.symbol, (np.nan, np.nan))
        closing = np.where(self._is_buy, bid, ask) + self._markup
        cells = self.cells[rows]
        worth: Floats = closing.take(cells)
        worth *= self.slope[rows]
        worth += self.base[rows]
        if self.profit_currency == self.currency:
            return worth
        rates = prices.rates
        first = self._ways[0]
        if (self._ways == first).all():
            worth *= np.where(worth > 0.0, rates[2 * first + 1], rates[2 * first])
        else:
            worth *= rates.take(2 * self._ways.take(cells) + (worth > 0.0))
        return worth
