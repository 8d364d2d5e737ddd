"""Remembers what is dear to compute and asked for every second. Per process; holds nothing that is booked."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

KEPT_MAX = 512


class Kept:
    """Remembers a result for at least `seconds`, and for ten times as long as it took to compute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Hashable, tuple[float, Any]] = {}

    def get(self, key: Hashable, seconds: float, compute: Callable[[], Any]) -> Any:
        """Return the remembered result, or compute it. Two threads may compute at once; neither waits."""
        entry = self._entries.get(key)
        began = time.monotonic()
        if entry is not None and entry[0] > began:
            return entry[1]
        result = compute()
        took = time.monotonic() - began
        with self._lock:
            if len(self._entries) >= KEPT_MAX:
                self._entries.clear()
            self._entries[key] = (time.monotonic() + max(seconds, 10 * took), result)
        return result

    def forget(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()


kept = Kept()
