"""
Leases of engine services: one leader at a time, decided by PostgreSQL, with a fencing number.

The database's clock decides about expiry; the holder counts its own time from before it asked, so it stops
earlier than anyone else may start. A deposed leader sees a changed fence and stops.
"""

import os
import socket
import time
import uuid

import structlog
from django.db import connection, transaction

TTL_S = 6.0

TAKE = """
INSERT INTO market_enginelease (name, holder, fence, expires_at)
VALUES (%(name)s, %(holder)s, 1, clock_timestamp() + %(ttl)s * interval '1 second')
ON CONFLICT (name) DO UPDATE SET
    fence = market_enginelease.fence + (market_enginelease.holder <> excluded.holder)::int,
    holder = excluded.holder,
    expires_at = excluded.expires_at
WHERE market_enginelease.holder = excluded.holder OR market_enginelease.expires_at < clock_timestamp()
RETURNING fence
"""

# A leader that freezes within a transaction must not keep its successor from the lease for ever.
HOLD = """
SELECT (SELECT set_config('idle_in_transaction_session_timeout', '10s', true))
FROM market_enginelease WHERE name = %s AND holder = %s AND fence = %s FOR SHARE
"""

log = structlog.get_logger(__name__)


class Lease:
    """One candidate for the leadership of a service. `renew` is called every second or two."""

    def __init__(self, name: str, *, ttl_s: float = TTL_S) -> None:
        self.name = name
        self._ttl_s = ttl_s
        self._held_until = 0.0
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.fence = 0

    @property
    def is_held(self) -> bool:
        """Tell, without asking anyone, whether this candidate may act as the leader right now."""
        return time.monotonic() < self._held_until

    def renew(self) -> bool:
        """
        Take or extend the lease; False: another one leads.

        :raises django.db.DatabaseError: PostgreSQL is away; what is held runs out by itself.
        """
        asked = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(TAKE, {"name": self.name, "holder": self.holder, "ttl": self._ttl_s})
            row = cursor.fetchone()
        if row is None:
            if self.is_held:
                log.warning("lease_lost", lease=self.name, fence=self.fence)
            self._held_until = 0.0
            return False
        if row[0] != self.fence:
            log.info("lease_taken", lease=self.name, fence=row[0], holder=self.holder)
        self.fence = row[0]
        self._held_until = asked + self._ttl_s
        return True

    def verify(self) -> None:
        """
        Hold the lease's row until the present transaction ends: what is written in it is the leader's.

        :raises NotLeading: another one leads.
        """
        if not connection.in_atomic_block:
            raise transaction.TransactionManagementError(
                "a lease is verified within the transaction it guards"
            )
        with connection.cursor() as cursor:
            cursor.execute(HOLD, [self.name, self.holder, self.fence])
            if cursor.fetchone() is None:
                self._held_until = 0.0
                raise NotLeading(f"{self.name} is led by another engine")

    def release(self) -> None:
        """Let the next candidate in at once."""
        self._held_until = 0.0
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE market_enginelease SET expires_at = clock_timestamp() - interval '1 second' "
                "WHERE name = %s AND holder = %s",
                [self.name, self.holder],
            )


class NotLeading(Exception):
    """Another engine leads: what this one wanted to write is not its to write."""
