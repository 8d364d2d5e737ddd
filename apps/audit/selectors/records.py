"""
What a member of staff sees of the staff log and of approvals: what lies in the trading groups within reach;
what lies in none is seen by who reaches everything, and by whom it is about. What was done stays with the
group of that time; what waits goes with its account. Reads only; `ACCOUNTS_WITHIN` knows the accounts.
"""

from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.module_loading import import_string

from apps.audit.models import Approval, StaffAction

Reach = frozenset[int] | None


def actions_within(rows: QuerySet[Any], *, reach: Reach, user_id: int) -> QuerySet[Any]:
    """Limit entries of the staff log to what a member of staff may see."""
    return (
        rows
        if reach is None
        else rows.filter(Q(group_id__in=reach) | Q(user_id=user_id, group_id__isnull=True))
    )


def approvals_within(rows: QuerySet[Any], *, reach: Reach, user_id: int) -> QuerySet[Any]:
    """Limit approvals to what a member of staff may see: an account's by the group that it is in now."""
    if reach is None:
        return rows
    of_account = Q(account_id__in=import_string(settings.ACCOUNTS_WITHIN)(reach))
    of_group = Q(account_id__isnull=True, group_id__in=reach)
    own = Q(maker_id=user_id) | Q(checker_id=user_id)
    return rows.filter(of_account | of_group | Q(own, account_id__isnull=True, group_id__isnull=True))


def actions(*, reach: Reach, user_id: int) -> QuerySet[StaffAction]:
    """Return the entries of the staff log that a member of staff may see."""
    return actions_within(StaffAction.objects.all(), reach=reach, user_id=user_id)


def approvals(*, reach: Reach, user_id: int) -> QuerySet[Approval]:
    """Return the approvals that a member of staff may see."""
    return approvals_within(Approval.objects.all(), reach=reach, user_id=user_id)
