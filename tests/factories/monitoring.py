"""A margin monitor inside the test's process, fed tick by tick."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from apps.accounts.models import AccountEvent
from apps.market.domain.quotes import Quote
from apps.market.services.board import own_board
from apps.market.services.engine import Engine, TickBatch
from apps.risk.services.monitor import MonitorService
from apps.risk.services.monitor_shard import Shard
from rtx.kernel import clock
from tests.factories.rows import Holder
from tests.factories.triggering import eventually


class Watched:
    """An engine whose ticks the test makes, with one margin monitor or several."""

    def __init__(self) -> None:
        self.engine = Engine(paths=[])

    def start(self) -> MonitorService:
        """Host one more monitor."""
        service = MonitorService()
        self.engine.services.append(service)
        service.start(self.engine)
        return service

    def leads(self, service: MonitorService) -> Shard:
        """Wait until a monitor leads all its shards, and return the first."""
        eventually(lambda: service.health()["leading"])
        return service.shards[0]

    def tick(self, bid: str, ask: str, symbol: str = "EURUSD") -> Quote:
        """Let one quote pass as the feed does: board first, then the listeners."""
        quote = Quote(symbol, Decimal(bid), Decimal(ask), clock.now_ms())
        own_board().put(quote)
        self.engine.publish(TickBatch([quote], own_board().latest))
        return quote


@contextmanager
def watching() -> Iterator[Watched]:
    """Open an engine; what it hosts is stopped at the end."""
    watched = Watched()
    try:
        yield watched
    finally:
        for service in watched.engine.services:
            service.stop()


def types_of(holder: Holder) -> list[str]:
    """Return the types of an account's events in order."""
    found = AccountEvent.objects.filter(account_id=holder.id).order_by("seq")
    return list(found.values_list("type", flat=True))


def equity_of(shard: Shard, holder: Holder) -> Any:
    """Return what a monitor takes an account's equity for, rounded to the cent; None: it knows it not."""
    portfolio = shard.portfolio
    assert portfolio is not None
    with shard.lock:
        place = portfolio.accounts.index.get(holder.id)
        if place is None:
            return None
        return round(float(portfolio.accounts.settled[place] + portfolio.accounts.floating[place]), 2)


def knows(shard: Shard, holder: Holder) -> None:
    """Wait until a monitor has read an account's latest event."""

    def is_read() -> bool:
        assert shard.portfolio is not None
        latest = AccountEvent.objects.filter(account_id=holder.id).order_by("-seq").first()
        known = shard.portfolio.known([holder.id])[holder.id]
        return latest is not None and known == latest.seq

    eventually(is_read)
