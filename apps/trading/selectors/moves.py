"""
In which trading group accounts were: the present one stands in their row, earlier ones in the journal. Reads.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from apps.accounts.models import AccountEvent


class Moved(NamedTuple):
    """When an account left a group."""

    at: datetime
    group_id: int


def moves_of(account_ids: Sequence[int]) -> dict[int, list[Moved]]:
    """Return the groups that accounts have left, oldest first; an account that never moved is left out."""
    rows = AccountEvent.objects.filter(account_id__in=list(account_ids), type="account_moved")
    found: dict[int, list[Moved]] = {}
    for account_id, at, left in rows.order_by("account_id", "seq").values_list(
        "account_id", "at", "payload__house__from_group_id"
    ):
        found.setdefault(account_id, []).append(Moved(at, int(left)))
    return found


def group_at(moves: Sequence[Moved], at: datetime, *, present: int) -> int:
    """Return the group at an instant of an account that has left these groups and now is in `present`."""
    return next((moved.group_id for moved in moves if moved.at > at), present)
