"""
Sends links that wait to their CRM, in full batches; results are written in one transaction per batch. A link
that fails is tried again later, and becomes a dead letter in the end; the others go on.
"""

from dataclasses import dataclass

from apps.crm.adapters.provider import Provider
from apps.crm.models import Connection, SyncRun


@dataclass(slots=True)
class Pushed:
    """What became of the links of some batches. `taken`: how many were claimed."""

    taken: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    conflicts: int = 0
    failed: int = 0


def push_due(connection: Connection, provider: Provider, *, run: SyncRun | None = None) -> Pushed:
    """
    Send one batch of links that are due (clients first, then accounts); nothing taken: nothing is due.

    :raises ProviderError: the CRM cannot be called now; the claims were given back.
    """
    raise NotImplementedError
