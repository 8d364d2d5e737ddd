"""
Runs: passes over all customers of a connection, taken in turns by any worker. What a turn did and where the
run stands are written together.
"""

from apps.crm.models import SyncRun
from rtx.kernel.actor import Actor


def start(*, connection_id: int, kind: str, actor: Actor) -> SyncRun:
    """
    Queue a run (`SyncRun.Kind`); workers take it up within two seconds. A staff actor is logged.

    :raises NotFound: `connection_not_found`.
    :raises Conflict: `run_live`: another one is queued or running; `not_connected`.
    """
    raise NotImplementedError


def cancel(*, run_id: int, actor: Actor) -> SyncRun:
    """
    Ask a run to stop; it stops before its next batch, one that nobody is at stops at once.

    :raises NotFound: `run_not_found`.
    :raises Conflict: `run_ended`.
    """
    raise NotImplementedError


def carry_on(*, run_id: int, for_s: float | None = None) -> bool:
    """
    Take a run up where it stands, for `for_s` seconds or up to its end; return whether more is to be done
    now. One that another worker holds, or that waits for a limit, is left alone.
    """
    raise NotImplementedError
