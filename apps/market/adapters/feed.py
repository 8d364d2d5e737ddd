"""What a price feed is: one object per symbol that hands out the ticks that are due. It is pulled."""

from decimal import Decimal
from typing import NamedTuple, Protocol

from django.conf import settings

NEVER_MS = 1 << 62


class FeedRefused(Exception):
    """A feed that may not run here, or a recording that cannot be read; the text says what to do."""


class RawTick(NamedTuple):
    """
    One tick as the provider sent it, before any filter.

    `after_break`: the first one after a session break or a loop's seam. `is_repeat`: the provider confirms
    that its last price still stands at `time_ms`; such a tick has no prices and counts in no candle.
    """

    time_ms: int
    bid: Decimal | None
    ask: Decimal | None
    after_break: bool = False
    is_repeat: bool = False


class SymbolFeed(Protocol):
    """One symbol's prices from one provider."""

    provider: str
    is_simulated: bool

    def next_due_ms(self) -> int:
        """Return when the next tick is due, milliseconds since the epoch."""

    def take(self, now_ms: int) -> list[RawTick]:
        """Return the ticks that fell due up to now, oldest first."""


def refuse_in_production(provider: str) -> None:
    """
    Stop a demo feed from pricing real accounts.

    :raises FeedRefused: the settings are not those of a demo.
    """
    if not settings.DEMO:
        raise FeedRefused(
            f"the {provider} feed only runs in a demo: set real feeds in RTX_FEED and RTX_FEED_BY_SYMBOL"
        )
