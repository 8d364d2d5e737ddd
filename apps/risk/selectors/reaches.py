"""Whom the reach of staff lets touch what concerns more than single groups. Reads only."""

from typing import Any

from django.db.models import Q, QuerySet

from apps.groups.models import TradingGroup
from rtx.kernel.admin import reachable_groups

Reach = frozenset[int] | None
OF_NO_ACCOUNT = (
    "monitor_late",
    "breaker_open",
    "kill_switch",
    "log_integrity",
    "crm_access",
    "crm_fault",
)  # tell nothing about single accounts


def reaches_everyone(user: Any) -> bool:
    """Tell whether every trading group is within reach: what concerns everyone is changed only then."""
    groups = reachable_groups(user)
    return groups is None or not TradingGroup.objects.exclude(pk__in=groups).exists()


def alarms_within(rows: QuerySet[Any], reach: Reach) -> QuerySet[Any]:
    """Keep alarms of groups and accounts within reach, and those that tell about nobody's."""
    if reach is None:
        return rows
    of_nobody = Q(account__isnull=True, group__isnull=True, kind__in=OF_NO_ACCOUNT)
    return rows.filter(Q(account__group__in=reach) | Q(group__in=reach) | of_nobody)
