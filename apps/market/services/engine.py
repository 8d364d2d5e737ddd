"""
The engine: hosts the services named in `ENGINE_SERVICES` and passes accepted tick batches between them.

Defines what a hosted service is: the market's feed is one, upper apps add triggers and the margin monitor.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from apps.market.domain.quotes import Quote

log = structlog.get_logger(__name__)


class TickBatch(NamedTuple):
    """Accepted ticks in order of arrival, repeats included, and every symbol's latest quote after them."""

    quotes: list[Quote]
    latest: dict[str, Quote]


TickListener = Callable[[TickBatch], None]


class EngineService(Protocol):
    """
    What the engine hosts.

    `start` must not wait for PostgreSQL or Redis and must not fail when they are away; `stop` returns when
    the service's threads have ended. `health` is read by operators: plain values only.
    """

    name: str

    def start(self, engine: "Engine") -> None:
        """Begin to work in threads of one's own; subscribe to ticks through the engine."""

    def stop(self) -> None:
        """Finish what is at hand and end."""

    def health(self) -> dict[str, Any]:
        """Return how the service is."""


class Engine:
    """One process's services, their common tick stream, and their life."""

    def __init__(self, paths: list[str] | None = None) -> None:
        self._paths = settings.ENGINE_SERVICES if paths is None else paths
        self._listeners: tuple[TickListener, ...] = ()
        self._failed: set[TickListener] = set()
        self._stopping = threading.Event()
        self.failure = ""
        self.services: list[EngineService] = []

    def on_ticks(self, listener: TickListener) -> None:
        """Call a listener with every batch, in the feed's thread: it must be quick."""
        self._listeners = (*self._listeners, listener)

    def publish(self, batch: TickBatch) -> None:
        """Pass a batch to every listener."""
        for listener in self._listeners:
            try:
                listener(batch)
            except Exception:  # one service's fault must not stop the prices of all others
                if listener not in self._failed:
                    self._failed.add(listener)
                    log.exception("tick_listener_failed", listener=repr(listener))

    def stop(self) -> None:
        """Let `run` end. May be called from a signal handler."""
        self._stopping.set()

    def fail(self, service: str, error: Exception) -> None:
        """End the engine because a service met what it cannot handle: whoever started us starts us again."""
        log.error("engine_service_failed", service=service, exc_info=error)
        self.failure = f"{service}: {error!r}"
        self._stopping.set()

    def run(self, *, on_ready: Callable[["Engine"], None]) -> None:
        """Start all services, wait for `stop` or a failure, stop them in the opposite order."""
        try:
            for path in self._paths:
                service: EngineService = import_string(path)()
                self.services.append(service)
                service.start(self)
            on_ready(self)
            self._stopping.wait()
        finally:
            for service in reversed(self.services):
                service.stop()

    def health(self) -> dict[str, dict[str, Any]]:
        """Return every service's health by name."""
        return {service.name: service.health() for service in self.services}
