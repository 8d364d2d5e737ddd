"""
The database backend: Django's own, but a pooled connection that the server has closed is not handed out.

Nothing is asked of the server for it: a closed connection can be read from without waiting (its end, or the
server's last words), an idle one that lives cannot. So a restart of PostgreSQL costs the requests that were
running and no later one.
"""

import select
from typing import Any

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL, with connections from a pool that lives through a restart of the server."""

    def get_new_connection(self, conn_params: Any) -> Any:
        """Take a connection; one that the server has closed goes back to the pool, which drops it."""
        while True:
            taken = super().get_new_connection(conn_params)
            if not self.pool or not _is_closed_by_server(taken):
                return taken
            taken.close()
            self.pool.putconn(taken)


def _is_closed_by_server(connection: Any) -> bool:
    watched = select.poll()
    watched.register(connection.fileno(), select.POLLIN)
    return bool(watched.poll(0))
