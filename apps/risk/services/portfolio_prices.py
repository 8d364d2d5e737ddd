"""
Prices and conversion rates of all groups as floats, kept up to date tick by tick for the margin monitor.

Follows the rules of trading/domain/pricing.py (markup, worse side, direct pair, else through USD, else the
shortest chain); a missing price or rate is NaN. Only finds and shows: nothing is booked at these numbers.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from apps.groups.selectors import TermsBook
from apps.market.domain.quotes import Quote
from apps.trading.selectors.markets import conversions

Floats = NDArray[np.float64]
Leg = tuple[str, bool, float, float]  # symbol, divides, markup of the bid, markup of the ask
IDENTITY = 0  # number of the way from a currency to itself


class Prices:
    """Quotes of the feed, markups by group, and the ways between currencies with their present rates."""

    def __init__(self, book: TermsBook) -> None:
        self.book = book
        self.quotes: dict[str, tuple[float, float]] = {}
        self.latest: dict[str, Quote] = {}
        self._table = conversions(book)
        self._numbers: dict[tuple[Leg, ...] | None, int] = {(): IDENTITY}
        self._legs: list[tuple[Leg, ...] | None] = [()]
        self._by_symbol: dict[str, list[int]] = {}
        self._rates: Floats = np.ones(2)  # of way i: 2i for a loss, 2i + 1 for a profit

    @property
    def rates(self) -> Floats:
        """The rate of every way: at 2i what a loss is converted at, at 2i + 1 what a profit is."""
        return self._rates

    def markup(self, group_id: int, symbol: str) -> tuple[float, float]:
        """Return by how much a group's bid is lower and its ask higher than the feed's."""
        terms = self.book.terms.get(group_id, {}).get(symbol)
        if terms is None:
            return 0.0, 0.0
        point = terms.symbol.point
        return float(terms.markup_bid_points * point), float(terms.markup_ask_points * point)

    def way(self, group_id: int, source: str, target: str) -> int:
        """Return the number of a group's way between two currencies; groups with the same prices share it."""
        if source == target:
            return IDENTITY
        path = self._table.path(source, target)
        legs = None
        if path is not None:
            legs = tuple((leg.symbol, leg.inverted, *self.markup(group_id, leg.symbol)) for leg in path)
        number = self._numbers.get(legs)
        if number is None:
            number = self._numbers[legs] = len(self._legs)
            self._legs.append(legs)
            for leg in legs or ():
                self._by_symbol.setdefault(leg[0], []).append(number)
            self._rates = np.concatenate([self._rates, self._both(number)])
        return number

    def symbols_of(self, number: int) -> list[str]:
        """Return the symbols whose prices a way's rates follow."""
        return [leg[0] for leg in self._legs[number] or ()]

    def take(self, latest: Mapping[str, Quote], names: Iterable[str]) -> set[str]:
        """Take over the latest quotes of some symbols; return those whose price did change."""
        moved = set()
        for name in names:
            quote, known = latest.get(name), self.latest.get(name)
            if quote is None or quote is known:
                continue
            self.latest[name] = quote
            if known is None or quote.bid != known.bid or quote.ask != known.ask:
                self.quotes[name] = (float(quote.bid), float(quote.ask))
                moved.add(name)
        for number in {number for name in moved for number in self._by_symbol.get(name, ())}:
            self._rates[2 * number : 2 * number + 2] = self._both(number)
        return moved

    def usd_per(self, currency: str) -> float:
        """Return what one unit is worth in USD at the feed's middle prices; NaN without a way or a price."""
        path = () if currency == "USD" else self._table.path(currency, "USD")
        if path is None:
            return math.nan
        rate = 1.0
        for leg in path:
            bid, ask = self.quotes.get(leg.symbol, (math.nan, math.nan))
            middle = (bid + ask) / 2
            rate = rate / middle if leg.inverted else rate * middle
        return rate

    def _both(self, number: int) -> list[float]:
        return [self._rate(number, selling=False), self._rate(number, selling=True)]

    def _rate(self, number: int, *, selling: bool) -> float:
        legs = self._legs[number]
        if legs is None:
            return math.nan
        rate = 1.0
        for symbol, divides, markup_bid, markup_ask in legs:
            quote = self.quotes.get(symbol)
            if quote is None:
                return math.nan
            bid, ask = quote[0] - markup_bid, quote[1] + markup_ask
            if bid <= 0.0:
                return math.nan
            if divides:
                rate /= ask if selling else bid
            else:
                rate *= bid if selling else ask
        return rate
