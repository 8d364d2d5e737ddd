"""
The margin monitor of the engine: `RTX_RISK_SHARDS` shards, each with its own lease, portfolio and threads.

It leads where the feed leads, because only there ticks pass: all shards are one process's. They part the work
into threads, locks and leases, not over machines. See monitor_shard.py for what a shard does.
"""

from typing import Any

from django.conf import settings

from apps.market.services.engine import Engine, TickBatch
from apps.market.services.feeding import FeedService
from apps.risk.services import liquidation
from apps.risk.services.monitor_shard import Shard


class MonitorService:
    """Hosts the shards in one engine."""

    name = "margin"

    def __init__(self) -> None:
        count = settings.RISK_SHARDS
        self.shards = [
            Shard(number, of=count, fail=self._fail, is_fed=self._is_fed) for number in range(count)
        ]
        self._engine: Engine | None = None

    def start(self, engine: Engine) -> None:
        """Start every shard and listen to ticks."""
        self._engine = engine
        for shard in self.shards:
            shard.start()
        engine.on_ticks(self._on_ticks)

    def stop(self) -> None:
        """Stop every shard; what is being liquidated is waited for a few seconds."""
        for shard in self.shards:
            shard.stop()
        liquidation.stop()

    def health(self) -> dict[str, Any]:
        """Return how every shard is, and what becomes of liquidations."""
        return {
            "leading": all(shard.is_leading for shard in self.shards),
            "shards": {str(shard.number): shard.health() for shard in self.shards},
            "liquidation": liquidation.health(),
        }

    def _on_ticks(self, batch: TickBatch) -> None:
        for shard in self.shards:
            shard.on_ticks(batch)

    def _is_fed(self) -> bool:
        """Tell whether this engine's feed leads, so that its board has taken over the last quotes."""
        services = self._engine.services if self._engine is not None else []
        return all(service.health()["leading"] for service in services if service.name == FeedService.name)

    def _fail(self, shard: str, error: Exception) -> None:
        if self._engine is not None:
            self._engine.fail(f"{self.name}:{shard}", error)
