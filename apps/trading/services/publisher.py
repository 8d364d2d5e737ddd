"""
Tells the stream processes what was committed, through Redis. May lose messages: the journal is the truth.
"""

import logging
import os
import queue
import threading
import time

import redis
from django.conf import settings

from apps.trading import events
from apps.trading.services.rows import EventRow

log = logging.getLogger(__name__)

QUEUE_MAX = 10_000
TIMEOUT_S = 0.5
PAUSE_AFTER_FAILURE_S = 1.0


class Publisher:
    """
    One thread per process that publishes in the background; when Redis is down it drops and says so once.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[list[EventRow]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._silent_until = 0.0

    def publish(self, committed: list[EventRow]) -> None:
        """Hand over the events of one commit; never blocks."""
        if not committed or self._queue.qsize() > QUEUE_MAX:
            return
        if self._thread is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._thread = threading.Thread(target=self._work, name="rtx-publisher", daemon=True)
            self._thread.start()
        self._queue.put(committed)

    def _work(self) -> None:
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        while True:
            committed = self._queue.get()
            if time.monotonic() < self._silent_until:
                continue
            try:
                pipeline = client.pipeline(transaction=False)
                for event in committed:
                    message = events.stream_message(
                        login=event.login,
                        seq=event.seq,
                        type_=event.type,
                        at=event.at,
                        payload=event.payload,
                    )
                    pipeline.publish(events.account_channel(event.account_id), message)
                pipeline.execute()
            except (redis.RedisError, OSError) as error:
                self._silent_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
                log.warning("account messages not published: %s", type(error).__name__)


_publisher = Publisher()


def publisher() -> Publisher:
    """Return this process's publisher."""
    return _publisher
