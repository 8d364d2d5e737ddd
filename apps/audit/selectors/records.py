"""
What a member of staff sees of the staff log and of approvals: what lies in the trading groups within reach;
what lies in none is seen by who reaches everything, and by whom it is about. Reads only.
"""

from typing import Any

from django.db.models import Q, QuerySet

from apps.audit.models import Approval, StaffAction

Reach = frozenset[int] | None


def _within(reach: frozenset[int], own: Q) -> Q:
    return Q(group_id__in=reach) | Q(own, group_id__isnull=True)


def actions_within(rows: QuerySet[Any], *, reach: Reach, user_id: int) -> QuerySet[Any]:
    """Limit entries of the staff log to what a member of staff may see."""
    return rows if reach is None else rows.filter(_within(reach, Q(user_id=user_id)))


def approvals_within(rows: QuerySet[Any], *, reach: Reach, user_id: int) -> QuerySet[Any]:
    """Limit approvals to what a member of staff may see."""
    return rows if reach is None else rows.filter(_within(reach, Q(maker_id=user_id) | Q(checker_id=user_id)))


def actions(*, reach: Reach, user_id: int) -> QuerySet[StaffAction]:
    """Return the entries of the staff log that a member of staff may see."""
    return actions_within(StaffAction.objects.all(), reach=reach, user_id=user_id)


def approvals(*, reach: Reach, user_id: int) -> QuerySet[Approval]:
    """Return the approvals that a member of staff may see."""
    return approvals_within(Approval.objects.all(), reach=reach, user_id=user_id)
