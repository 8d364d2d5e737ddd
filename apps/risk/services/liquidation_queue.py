"""
Tries again what could not be liquidated: when a market opens, a price comes back, and after growing pauses.

An engine service with one thread. It works where the feed leads, because only there prices are the newest;
the sweep tries again by itself, so either one suffices. Closes nothing itself (liquidation.py) and never
gives an account up: a row ends when the account is above its level or nothing of it is open.
"""

import threading
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import Error, connection
from django.db.models import F

from apps.market.services.engine import Engine
from apps.market.services.feed_leases import EVERY_S, FeedLease
from apps.risk.models import QueuedLiquidation
from apps.risk.services import liquidation
from apps.risk.services.liquidation_asks import WORST, Rank
from apps.risk.services.liquidation_records import PAUSE_CLOSED_MAX_S
from apps.trading.domain.market_record import OPEN, state_of
from apps.trading.selectors.markets import Markets, markets
from rtx.kernel import clock

LOOK_S = 0.5
PAUSE_BELIEVED = timedelta(
    seconds=PAUSE_CLOSED_MAX_S + 60
)  # a longer one was noted by a clock that ran ahead

log = structlog.get_logger(__name__)

Place = tuple[int, str]  # group id, symbol


class Openings:
    """Tells which symbols of which groups can be closed since the last look, and could not before."""

    def __init__(self) -> None:
        self._open: set[Place] = set()

    def new(self, places: Iterable[Place], views: Markets) -> set[Place]:
        """Look at some symbols; those that are not asked for are forgotten."""
        now_open = {place for place in set(places) if state_of(views.of_group(place[0]), place[1]) == OPEN}
        found = now_open - self._open
        self._open = now_open
        return found


def due(*, now: datetime, views: Markets, openings: Openings) -> dict[int, Rank]:
    """Return the accounts to try again now: their pause is over or a market has opened."""
    rows = (
        QueuedLiquidation.objects.filter(resolved_at__isnull=True)
        .order_by(F("level_pct").asc(nulls_first=True), "id")
        .values_list("account_id", "level_pct", "account__group_id", "waiting", "next_try_at")
    )
    waiting = [
        (account_id, level, {(group_id, symbol) for symbol, _ in held.values()}, next_try_at)
        for account_id, level, group_id, held, next_try_at in rows
    ]
    opened = openings.new((place for _, _, places, _ in waiting for place in places), views)
    return {
        account_id: WORST if level is None else Rank(float(level))
        for account_id, level, places, next_try_at in waiting
        if not now < next_try_at < now + PAUSE_BELIEVED or not places.isdisjoint(opened)
    }


class LiquidationQueueService:
    """Looks at the queue twice a second while it leads."""

    name = "liquidation_queue"

    def __init__(self) -> None:
        self._lease = FeedLease(self.name)
        self._openings = Openings()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._engine: Engine | None = None
        self._renewed_at = float("-inf")
        self._looked_at = 0.0
        self.retried = 0
        self.last_error = ""

    def start(self, engine: Engine) -> None:
        """Start the thread."""
        self._engine = engine
        self._thread = threading.Thread(target=self._guarded, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is under way in this process is waited for a few seconds."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        liquidation.stop()
        self._lease.end()

    def health(self) -> dict[str, Any]:
        """Return who leads, when the queue was looked at, and how this process's liquidations are."""
        looked = self._lease.is_held and self._looked_at
        return {
            "leading": self._lease.is_held,
            "fence": self._lease.fence,
            "looked_ago_s": round(time.monotonic() - self._looked_at, 3) if looked else None,
            "retried_again": self.retried,
            **liquidation.health(),
            "last_error": self.last_error or liquidation.health()["last_error"],
        }

    def _guarded(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - ends the engine, loudly
            if self._engine is not None:
                self._engine.fail(self.name, error)
        finally:
            connection.close()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._leads():
                    self._look()
                else:
                    self._openings = Openings()
            except Error as error:
                self.last_error = repr(error)
                log.warning("liquidation_queue_waits", error=str(error))
                connection.close()
            self._stopping.wait(LOOK_S)

    def _leads(self) -> bool:
        """Keep the lease, where the feed leads."""
        if time.monotonic() < self._renewed_at + EVERY_S:
            return self._lease.is_held
        self._renewed_at = time.monotonic()
        return self._lease.follow()

    def _look(self) -> None:
        now = clock.now()
        found = due(now=now, views=markets(now=now), openings=self._openings)
        self._looked_at = time.monotonic()
        if found:
            self.retried += len(found)
            liquidation.retry(found, fence=self._lease.fence)
