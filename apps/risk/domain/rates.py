"""
Amounts in another currency at mid prices. Pure.

For the eye, for limits and for estimates: nothing is booked by them (a booking takes the worse side, see
trading/domain/pricing.py).
"""

from collections.abc import Mapping
from decimal import Decimal

from apps.market.domain.quotes import Quote
from apps.trading.domain.pricing import ConversionTable

SHOWN_CURRENCY = "USD"


class Rates:
    """Converts amounts at the mid of the latest raw quotes."""

    def __init__(self, *, quotes: Mapping[str, Quote], table: ConversionTable) -> None:
        self._quotes = quotes
        self._table = table

    def mid(self, symbol: str) -> Decimal | None:
        """Return the middle of bid and ask."""
        quote = self._quotes.get(symbol)
        return None if quote is None else (quote.bid + quote.ask) / 2

    def convert(self, amount: Decimal, currency: str, target: str = SHOWN_CURRENCY) -> Decimal | None:
        """Return an amount in `target`; None without a way or a quote."""
        if currency == target:
            return amount
        path = self._table.path(currency, target)
        if path is None:
            return None
        for leg in path:
            mid = self.mid(leg.symbol)
            if not mid:
                return None
            amount = amount / mid if leg.inverted else amount * mid
        return amount
