"""
Prices as one group sees them at one instant: client quotes, sessions, freshness, currency conversion.
Pure.

Conversion takes the side that is worse for the client (the rule of the MetaTrader 5 help): what the
client sells goes at the bid of X/ACC or is divided by the ask of ACC/X; what the client buys goes at the
ask of X/ACC or is divided by the bid of ACC/X. The way is the direct pair, else through USD, else the
shortest chain of pairs. All prices are the group's own, so a client can recompute every rate.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.groups.domain.terms import GroupSpec, Terms, client_quote
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import SymbolSpec

PIVOT = "USD"
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Leg:
    """One pair on the way from a currency to another; `inverted`: the price divides."""

    symbol: str
    inverted: bool


Path = tuple[Leg, ...]


class ConversionTable:
    """Finds and remembers the chain of pairs between two currencies; valid for one version of all terms."""

    def __init__(self, symbols: Iterable[SymbolSpec]) -> None:
        self._edges: dict[str, list[tuple[str, Leg]]] = {}
        self._paths: dict[tuple[str, str], Path | None] = {}
        for spec in sorted(symbols, key=lambda found: found.name):
            if spec.base_currency == spec.profit_currency:
                continue
            self._edges.setdefault(spec.base_currency, []).append(
                (spec.profit_currency, Leg(spec.name, False))
            )
            self._edges.setdefault(spec.profit_currency, []).append(
                (spec.base_currency, Leg(spec.name, True))
            )

    def path(self, source: str, target: str) -> Path | None:
        """
        Return the legs from `source` to `target`: direct, else through USD, else the shortest; None if none.
        """
        key = (source, target)
        if key not in self._paths:
            self._paths[key] = self._find(source, target)
        return self._paths[key]

    def _find(self, source: str, target: str) -> Path | None:
        direct = self._direct(source, target)
        if direct:
            return (direct,)
        first, second = self._direct(source, PIVOT), self._direct(PIVOT, target)
        if first and second:
            return (first, second)
        seen = {source}
        queue: deque[tuple[str, Path]] = deque([(source, ())])
        while queue:
            currency, path = queue.popleft()
            for neighbor, leg in self._edges.get(currency, ()):
                if neighbor == target:
                    return (*path, leg)
                if neighbor not in seen:
                    seen.add(neighbor)
                    queue.append((neighbor, (*path, leg)))
        return None

    def _direct(self, source: str, target: str) -> Leg | None:
        return next((leg for currency, leg in self._edges.get(source, ()) if currency == target), None)


class MarketView:
    """What one group's accounts see at one instant. Quotes, terms and sessions never change within a view."""

    __slots__ = (
        "_client",
        "_conversions",
        "_open",
        "_quotes",
        "_rates",
        "_symbols",
        "_terms",
        "_variants",
        "group",
        "now",
        "now_ms",
        "version",
    )

    def __init__(
        self,
        *,
        quotes: Mapping[str, Quote],
        terms: Mapping[str, Terms],
        symbols: Mapping[str, SymbolSpec],
        conversions: ConversionTable,
        now: datetime,
        now_ms: int,
        version: int,
        group: GroupSpec | None = None,
    ) -> None:
        self._quotes = quotes
        self._terms = terms
        self._symbols = symbols
        self._conversions = conversions
        self._client: dict[str, Quote | None] = {}
        self._open: dict[str, bool] = {}
        self._rates: dict[tuple[str, str, bool, bool], Decimal | None] = {}
        self._variants: dict[Quote, MarketView] = {}
        self.group = group or next((found.group for found in terms.values()), None)
        self.now = now
        self.now_ms = now_ms
        self.version = version

    def at(self, raw: Quote) -> "MarketView":
        """Return the same view with one symbol at another quote: the one that set something off."""
        if self._quotes.get(raw.symbol) == raw:
            return self
        found = self._variants.get(raw)
        if found is None:
            found = self._variants[raw] = MarketView(
                quotes={**self._quotes, raw.symbol: raw},
                terms=self._terms,
                symbols=self._symbols,
                conversions=self._conversions,
                now=self.now,
                now_ms=self.now_ms,
                version=self.version,
                group=self.group,
            )
        return found

    def terms(self, symbol: str) -> Terms | None:
        """Return the group's terms of a symbol; None when it is not offered."""
        return self._terms.get(symbol)

    def spec(self, symbol: str) -> SymbolSpec | None:
        """Return a symbol as it is, offered to the group or not; None: there is no such symbol."""
        return self._symbols.get(symbol)

    def raw(self, symbol: str) -> Quote | None:
        """Return the feed's latest quote."""
        return self._quotes.get(symbol)

    def client(self, symbol: str) -> Quote | None:
        """
        Return the group's price: the raw quote widened by the markup, or as it is for a symbol not offered.
        """
        if symbol not in self._client:
            raw, terms = self._quotes.get(symbol), self._terms.get(symbol)
            self._client[symbol] = client_quote(raw=raw, terms=terms) if raw and terms else raw
        return self._client[symbol]

    def in_session(self, symbol: str) -> bool:
        """Say whether the symbol trades at the view's instant."""
        known = self._open.get(symbol)
        if known is None:
            spec = self._symbols.get(symbol)
            known = self._open[symbol] = spec is not None and spec.calendar.is_open(self.now)
        return known

    def is_usable(self, symbol: str) -> bool:
        """Say whether a price may be used: it is there, positive after markup, and in session it is young."""
        quote, spec = self.client(symbol), self._symbols.get(symbol)
        if quote is None or spec is None or quote.bid <= 0:
            return False
        if not self.in_session(symbol):
            return True
        return abs(self.now_ms - quote.time_ms) <= spec.quote_age_max_ms

    def path(self, source: str, target: str) -> Path | None:
        """Return the pairs on the way from one currency to another, none for the same one; None: no way."""
        return () if source == target else self._conversions.path(source, target)

    def rate(self, source: str, target: str, *, selling: bool, fresh: bool = False) -> Decimal | None:
        """
        Return how much `target` one unit of `source` is worth to the client, unrounded.

        `selling`: the client sells `source` (a profit, a short's margin), else buys it. None when there is no
        way, no quote, or (with `fresh`) a quote in session is too old.
        """
        if source == target:
            return ONE
        key = (source, target, selling, fresh)
        if key not in self._rates:
            self._rates[key] = self._rate(source, target, selling=selling, fresh=fresh)
        return self._rates[key]

    def _rate(self, source: str, target: str, *, selling: bool, fresh: bool) -> Decimal | None:
        path = self._conversions.path(source, target)
        if path is None:
            return None
        rate = ONE
        for leg in path:
            quote = self.client(leg.symbol)
            if quote is None or quote.bid <= 0 or (fresh and not self.is_usable(leg.symbol)):
                return None
            if leg.inverted:
                rate /= quote.ask if selling else quote.bid
            else:
                rate *= quote.bid if selling else quote.ask
        return rate
