"""
Takes records of a CRM over: joins them to clients, compares three ways, changes clients, notes conflicts.
"""

from collections.abc import Sequence
from datetime import datetime

from apps.crm.adapters.provider import Provider
from apps.crm.models import Connection


def pull_named(
    connection: Connection, provider: Provider, *, object_name: str, crm_ids: Sequence[str], cause: str
) -> int:
    """
    Read records anew and take them over; those that are not there (any more) count as deleted. Return how
    many of them are customers here. For webhooks: an event names records, its fields are not trusted.
    """
    raise NotImplementedError


def note_deleted(
    connection: Connection,
    *,
    object_name: str,
    crm_ids: Sequence[str],
    cause: str,
    occurred_at: datetime | None = None,
) -> int:
    """Mark the links of records that were deleted in the CRM: they are not made anew unless staff ask."""
    raise NotImplementedError
