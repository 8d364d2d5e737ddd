"""Chooses each symbol's feed by the settings. Knows the providers, not what is done with their ticks."""

import random
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import structlog
from django.conf import settings

from apps.market.adapters.feed import FeedRefused, SymbolFeed, refuse_in_production
from apps.market.adapters.library import Library
from apps.market.adapters.replay import ReplayFeed
from apps.market.adapters.simulated import SimulatedFeed
from apps.market.domain.symbols import SymbolSpec

SIMULATED, REPLAY = "simulated", "replay"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LastPrice:
    """The last price of a symbol and who gave it: a simulated price goes on from there."""

    bid: Decimal
    source: str


class FeedFactory:
    """
    Makes feeds. `RTX_FEED` names the default (`simulated` or `replay`), `RTX_FEED_BY_SYMBOL` exceptions.

    `replay` takes the symbol's first provider in the recordings; `EURUSD=fxcm` takes that one. A symbol
    without a recording uses the simulated model.
    """

    def __init__(self, *, waits: bool = False) -> None:
        """Look at the recordings; with `waits` a feed is handed out only when its recording is read."""
        self._waits = waits
        self._default = settings.FEED_DEFAULT
        self._by_symbol: dict[str, str] = dict(settings.FEED_BY_SYMBOL)
        for provider in {self._default, *self._by_symbol.values()}:
            refuse_in_production(provider)
        self._library = self._recordings({self._default, *self._by_symbol.values()} - {SIMULATED})

    @staticmethod
    def _recordings(providers: set[str]) -> Library | None:
        """Open the folder of recordings if any feed needs it, and check that it has every provider named."""
        if not providers:
            return None
        if not settings.TICKS_DIR or not Path(settings.TICKS_DIR).is_dir():
            raise FeedRefused(
                f"the {', '.join(sorted(providers))} feed needs RTX_TICKS_DIR, a folder of recordings; "
                f"it is {settings.TICKS_DIR or 'not set'}"
            )
        library = Library(settings.TICKS_DIR)
        if unknown := providers - {REPLAY} - library.providers():
            raise FeedRefused(f"{settings.TICKS_DIR} holds nothing by {', '.join(sorted(unknown))}")
        return library

    def make(self, spec: SymbolSpec, *, now_ms: int, last: LastPrice | None) -> SymbolFeed:
        """
        Return the feed of a symbol.

        :raises FeedRefused: the settings name a provider that has no recording of the symbol.
        """
        wanted = self._by_symbol.get(spec.name, self._default)
        if wanted != SIMULATED:
            replay = self._replay(spec, wanted, now_ms)
            if replay is not None:
                return replay
        start_bid = last.bid if last is not None and last.source == SIMULATED else None
        return SimulatedFeed(
            spec=spec,
            generator=random.Random(f"{settings.FEED_SEED}:{spec.name}:{now_ms}"),  # noqa: S311 - a model, no secret
            start_ms=now_ms,
            start_bid=start_bid,
            speed=settings.FEED_SPEED,
        )

    def _replay(self, spec: SymbolSpec, wanted: str, now_ms: int) -> SymbolFeed | None:
        assert self._library is not None  # a feed other than the simulated one opened it
        reel = self._library.reel(spec.name, None if wanted == REPLAY else wanted)
        if reel is None:
            if wanted == REPLAY:
                log.info("feed_without_recording", symbol=spec.name, provider=SIMULATED)
                return None
            raise FeedRefused(f"{settings.TICKS_DIR} holds no recording of {spec.name} by {wanted!r}")
        return ReplayFeed(
            load=reel.load,
            provider=reel.provider,
            digits=spec.digits,
            start_ms=now_ms,
            speed=settings.FEED_SPEED,
            waits=self._waits,
        )
