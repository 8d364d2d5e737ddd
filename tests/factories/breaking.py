"""A watch over circuit breakers whose clock and ticks the test makes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from apps.market.domain.quotes import Quote
from apps.market.services.board import own_board
from apps.risk.services.breaker_watch import Watch

START = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)


def ms(seconds: float) -> int:
    """Return an instant of the scene as quotes tell it."""
    return int((START + timedelta(seconds=seconds)).timestamp() * 1000)


class Scene:
    """A watch whose clock and ticks the test makes."""

    def __init__(self, travel: Callable[[datetime], None]) -> None:
        self.travel = travel
        self.watch = Watch(verify=lambda: None)
        self.watch.begin()
        self.at(0)

    def at(self, seconds: float) -> None:
        """Go to an instant and look once; everything that is read now and then is read."""
        self.travel(START + timedelta(seconds=seconds))
        self.watch._read_at = self.watch._world_at = self.watch._losses_at = -1e9
        self.watch.run()

    def tick(self, seconds: float, bid: str, ask: str, symbol: str = "EURUSD") -> None:
        """Let one tick pass, and look."""
        quote = Quote(symbol, Decimal(bid), Decimal(ask), ms(seconds))
        own_board().put(quote)
        self.watch.offer([quote])
        self.at(seconds)
