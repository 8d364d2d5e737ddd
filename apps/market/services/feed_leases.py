"""
Leases of engine services that work on ticks: held where the feed leads, because only there ticks pass.

Decides nothing about what a leader does.
"""

import threading
from collections.abc import Callable

import structlog
from django.db import Error, connection

from apps.market.services.leases import Lease

EVERY_S = 1.5

FED_ELSEWHERE = """
SELECT 1 FROM market_enginelease
WHERE name = 'feed' AND expires_at > clock_timestamp() AND left(holder, length(%(us)s)) <> %(us)s
"""

log = structlog.get_logger(__name__)


class FeedLease(Lease):
    """A candidate that stands back while another process leads the feed."""

    def follow(self) -> bool:
        """
        Take or extend the lease, or give it up where the feed does not lead; False: it is not held here.

        :raises django.db.DatabaseError: PostgreSQL is away; what is held runs out by itself.
        """
        if not self._is_fed_elsewhere():
            return self.renew()
        if self.is_held:
            self.release()
        return False

    def keep(self, stopping: threading.Event, *, before: Callable[[], None] = lambda: None) -> None:
        """Follow the feed until `stopping` is set, whatever PostgreSQL does; call `before` each time."""
        while not stopping.is_set():
            try:
                before()
                self.follow()
            except Error as error:
                log.warning("lease_waits", lease=self.name, error=str(error))
                connection.close()
            stopping.wait(EVERY_S)
        connection.close()

    def end(self) -> None:
        """Let the next candidate in; without PostgreSQL the lease runs out by itself."""
        try:
            self.release()
        except Error as error:
            log.warning("lease_release_failed", lease=self.name, error=str(error))
        finally:
            connection.close()

    def _is_fed_elsewhere(self) -> bool:
        process = self.holder.rsplit(":", 1)[0] + ":"
        with connection.cursor() as cursor:
            cursor.execute(FED_ELSEWHERE, {"us": process})
            return cursor.fetchone() is not None
