"""
The control service of the engine: evaluates circuit breakers and does what kill switches ask for besides.

Three threads: `controls-lease` (one leader, where the feed leads, because only there ticks pass),
`controls-watch` (breakers) and `controls-work` (kill switches, which may wait for the executor). Guards do
not need it: they read PostgreSQL by themselves. Nothing here needs Redis.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.db import Error, connection

from apps.market.services.engine import Engine, TickBatch
from apps.market.services.feed_leases import FeedLease
from apps.market.services.leases import NotLeading
from apps.risk.models import RiskAlarm
from apps.risk.selectors.controls import ControlsMissing
from apps.risk.services import alarms
from apps.risk.services.breaker_watch import Watch
from apps.risk.services.kill_switch_work import Worker

WATCH_S = 0.05
WORK_S = 0.2
RETRY_S = 0.3
BROKEN_S = 5.0
WORK_STOPPED = "work of kill switches"

log = structlog.get_logger(__name__)


class ControlService:
    """Watches breakers and works off kill switches while it leads. See the module for its threads."""

    name = "controls"

    def __init__(self) -> None:
        self._lease = FeedLease(self.name)
        self._watch = Watch(verify=self._lease.verify)
        self._worker = Worker(may_act=lambda: self._lease.is_held and not self._stopping.is_set())
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._leading = False
        self._open_work = 0
        self._watched_at = 0.0
        self._engine: Engine | None = None
        self.last_error = ""

    def start(self, engine: Engine) -> None:
        """Start the threads and listen to ticks."""
        self._engine = engine
        engine.on_ticks(self._on_ticks)
        for name, loop in (
            ("lease", self._keep_lease),
            ("watch", self._keep_watching),
            ("work", self._keep_working),
        ):
            thread = threading.Thread(target=self._guard, args=(loop,), name=f"controls-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Begin nothing more, let what is under way end, let the next engine in."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=15)
        self._lease.end()

    def health(self) -> dict[str, Any]:
        """Return who leads, what is watched, what kill switches still ask for."""
        return {
            "leading": self._leading,
            "fence": self._lease.fence,
            "watch_lag_s": round(time.monotonic() - self._watched_at, 3) if self._leading else None,
            **self._watch.health(),
            "kill_switches_at_work": self._open_work,
            **{f"work_{name}": count for name, count in self._worker.counted.items()},
            "last_error": self.last_error,
        }

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except Exception as error:  # noqa: BLE001 - ends the engine, loudly
            if self._engine is not None:
                self._engine.fail(self.name, error)

    def _on_ticks(self, batch: TickBatch) -> None:
        if self._leading:
            self._watch.offer(batch.quotes)

    def _keep_lease(self) -> None:
        self._lease.keep(self._stopping)

    def _keep_watching(self) -> None:
        """Evaluate breakers while leading."""
        while not self._stopping.is_set():
            wait_s = WATCH_S
            try:
                if not self._lease.is_held:
                    self._leading = False
                else:
                    if not self._leading:
                        self._watch.begin()
                        self._leading = True
                    self._watch.run()
                    self._watched_at = time.monotonic()
            except NotLeading as error:
                self._leading = False
                log.warning("controls_deposed", error=str(error))
            except (Error, ControlsMissing) as error:
                wait_s = self._note(error)
            self._stopping.wait(wait_s)
        connection.close()

    def _keep_working(self) -> None:
        """Do what kill switches ask for while leading; what breaks a pass is alarmed and tried again."""
        is_broken = False
        while not self._stopping.is_set():
            wait_s = WORK_S
            try:
                self._open_work = self._worker.run() if self._lease.is_held else 0
                if is_broken and self._lease.is_held:
                    alarms.clear(kind=RiskAlarm.Kind.KILL_SWITCH, subject=WORK_STOPPED)
                    is_broken = False
            except Error as error:
                wait_s = self._note(error)
            except Exception as error:
                log.exception("kill_switch_work_failed")
                self.last_error, wait_s, is_broken = repr(error), BROKEN_S, True
                alarms.raise_alarm(
                    kind=RiskAlarm.Kind.KILL_SWITCH,
                    severity=RiskAlarm.Severity.CRITICAL,
                    subject=WORK_STOPPED,
                    message=f"Kill switches refuse orders, but cancel and close nothing: {error!r}",
                )
            self._stopping.wait(wait_s)
        connection.close()

    def _note(self, error: Exception) -> float:
        """Remember a database that is away, and return how long to wait for it."""
        self.last_error = repr(error)
        log.warning("controls_wait", error=str(error))
        connection.close()
        return RETRY_S
