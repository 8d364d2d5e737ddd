"""
Market views for the writer path and for reads: the board's quotes under one group's terms at one instant.
"""

from collections.abc import Mapping
from datetime import datetime

from apps.groups.selectors import TermsBook, terms_book
from apps.market.domain.quotes import Quote
from apps.market.services.board import board
from apps.trading.domain.pricing import ConversionTable, MarketView

_conversions: tuple[TermsBook, ConversionTable] | None = None


class Markets:
    """
    All groups' views of one instant: quotes are read once (the board's, when none are given), views are made
    when first asked for.
    """

    def __init__(self, *, book: TermsBook, now: datetime, quotes: Mapping[str, Quote] | None = None) -> None:
        self.book = book
        self.now = now
        self._now_ms = int(now.timestamp() * 1000)
        self._quotes = dict(board().latest) if quotes is None else quotes
        self._table = conversions(book)
        self._views: dict[int, MarketView] = {}

    def of_group(self, group_id: int) -> MarketView:
        """Return what a group sees."""
        view = self._views.get(group_id)
        if view is None:
            view = self._views[group_id] = MarketView(
                quotes=self._quotes,
                terms=self.book.terms.get(group_id, {}),
                symbols=self.book.symbols,
                conversions=self._table,
                now=self.now,
                now_ms=self._now_ms,
                version=self.book.version,
                group=self.book.groups.get(group_id),
            )
        return view


def conversions(book: TermsBook) -> ConversionTable:
    """Return the conversion table of a book of terms, kept until another one is asked for."""
    global _conversions
    known = _conversions
    if known is None or known[0] is not book:
        known = _conversions = (book, ConversionTable(book.symbols.values()))
    return known[1]


def markets(*, now: datetime, version: int | None = None) -> Markets:
    """Return the views of one instant under the terms of `version` (the present ones when not given)."""
    return Markets(book=terms_book(version), now=now)
