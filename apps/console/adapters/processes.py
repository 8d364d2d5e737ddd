"""
Whether Redis and the task workers answer. Asked in a thread of its own: a dashboard never waits for a dead
process.

The answer is that of the last probe, a few seconds old; before the first one ends it is unknown (None).
"""

import threading
import time
from dataclasses import dataclass
from typing import Any

import celery
import kombu.exceptions
import redis
import structlog
from django.conf import settings

PROBE_EVERY_S = 5.0
REDIS_TIMEOUT_S = 0.5
WORKER_TIMEOUT_S = 1.0
BROKER_TIMEOUT_S = 3.0  # a read for answers lasts WORKER_TIMEOUT_S
BROKER_OPTIONS = {"socket_timeout": BROKER_TIMEOUT_S, "socket_connect_timeout": REDIS_TIMEOUT_S}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Processes:
    """The last probe. None: not known yet."""

    redis: bool | None = None
    workers: int | None = None
    queued: int | None = None


class Probe:
    """Asks when somebody wants to know, at most every few seconds, never twice at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_running = False
        self._next_at = 0.0
        self._latest = Processes()

    def latest(self) -> Processes:
        """Return the last answers and begin to ask again when they are old."""
        with self._lock:
            if not self._is_running and time.monotonic() >= self._next_at:
                self._is_running = True
                threading.Thread(target=self._run, name="console-probe", daemon=True).start()
            return self._latest

    def _run(self) -> None:
        found = Processes(redis=False, workers=None, queued=None)
        try:
            found = ask()
        except (redis.RedisError, kombu.exceptions.OperationalError, OSError) as error:
            log.warning("console_probe_failed", error=str(error))
        finally:
            with self._lock:
                self._latest = found
                self._is_running = False
                self._next_at = time.monotonic() + PROBE_EVERY_S


def ask() -> Processes:
    """
    Ask Redis for the length of the queues and the workers for a sign of life.

    :raises redis.RedisError: Redis does not answer; then nobody can know about the workers.
    """
    client = redis.Redis.from_url(
        settings.CELERY_BROKER_URL,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )
    try:
        client.ping()
        queued = sum(_length(client.llen(name)) for name in settings.CELERY_TASK_QUEUES_NAMES)
    finally:
        client.close()
    return Processes(redis=True, workers=_workers(), queued=queued)


def _workers() -> int:
    """
    Count the workers that answer, over a connection that ends with the question.

    One of the pool would stay in the middle of a read for answers: a process forked later waits for ever when
    it closes what it inherited.
    """
    app = celery.current_app
    with app.connection_for_write(transport_options=BROKER_OPTIONS) as broker:
        return len(app.control.ping(timeout=WORKER_TIMEOUT_S, connection=broker) or [])


def _length(reply: Any) -> int:
    return int(reply)


probe = Probe()
