"""
Prices for seeding: the configured feeds, run ahead in steps, shown on this process's board as of now. Demo
only.
"""

from decimal import Decimal

from apps.market.adapters.feeds import FeedFactory
from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import SymbolSpec
from apps.market.selectors.symbols import symbol_specs
from apps.market.services.board import own_board
from rtx.kernel import clock
from rtx.kernel.money import rounded

TICK_STEP_MS = 1_000
WARM_UP_STEPS = 120


class DemoMarket:
    """The feeds that the engine will use, a little ahead of it, so that seeded trades have real prices."""

    def __init__(self) -> None:
        factory = FeedFactory(waits=True)
        self._now_ms = clock.now_ms()
        self._specs = symbol_specs()
        self._feeds = {
            name: factory.make(spec, now_ms=self._now_ms, last=None) for name, spec in self._specs.items()
        }
        self._latest: dict[str, Quote] = {}
        self.advance(WARM_UP_STEPS)

    @property
    def priced(self) -> list[str]:
        """Return the names of the symbols that have a price."""
        return sorted(self._latest)

    @property
    def simulated(self) -> dict[str, tuple[SymbolSpec, Decimal]]:
        """Return the symbols whose prices are simulated, with their present bids."""
        return {
            name: (self._specs[name], quote.bid)
            for name, quote in self._latest.items()
            if self._feeds[name].is_simulated
        }

    def sized(self, lots: dict[str, str]) -> list[tuple[str, Decimal]]:
        """Return the priced symbols with a usual volume by asset class, on the symbol's step."""
        found = []
        for name in self.priced:
            spec = self._specs[name]
            wanted = Decimal(lots[spec.asset_class])
            found.append((name, max(spec.volume_min, wanted - wanted % spec.volume_step)))
        return found

    def price(self, symbol: str, *, off_pct: Decimal) -> Decimal:
        """Return a price `off_pct` percent above (or below) the present bid, on the symbol's grid."""
        return rounded(self._latest[symbol].bid * (1 + off_pct / 100), self._specs[symbol].digits)

    def points(self, symbol: str, *, pct: Decimal) -> int:
        """Return how many points a percentage of the present bid is."""
        return int(self._latest[symbol].bid * pct / 100 / self._specs[symbol].point)

    def advance(self, steps: int) -> None:
        """Let `steps` seconds pass for the feeds and show the resulting prices with the present time."""
        for _ in range(steps):
            self._now_ms += TICK_STEP_MS
            for name, feed in self._feeds.items():
                for tick in feed.take(self._now_ms):
                    if tick.bid and tick.ask and tick.ask >= tick.bid:
                        self._latest[name] = Quote(name, tick.bid, tick.ask, 0)
        self.refresh()

    def refresh(self) -> None:
        """Show the latest prices with the present time."""
        now_ms = clock.now_ms()
        shown = own_board()
        for quote in self._latest.values():
            shown.put(Quote(quote.symbol, quote.bid, quote.ask, now_ms))
