"""Which trading groups a member of staff may operate: guardian's `manage_group`, as long as it counts."""

from typing import Any

from django.db.models import QuerySet
from guardian.models import GroupObjectPermission
from guardian.shortcuts import get_objects_for_user

from apps.accounts.models import ReachGrant, TradingAccount
from apps.groups.models import TradingGroup
from rtx.kernel import clock

MANAGE_GROUP = "groups.manage_group"


def accounts_within(groups: frozenset[int]) -> QuerySet[TradingAccount, Any]:
    """Return the ids of the accounts that are in these trading groups now."""
    return TradingAccount.objects.filter(group_id__in=groups).order_by().values("pk")


def group_ids(user: Any) -> frozenset[int]:
    """Return the ids of the trading groups within reach; grants that have run out give nothing."""
    expired = ReachGrant.objects.filter(until__lte=clock.now())
    own: QuerySet[TradingGroup] = get_objects_for_user(
        user, MANAGE_GROUP, use_groups=False, with_superuser=False, accept_global_perms=False
    )
    gone = expired.filter(user_id=user.pk).values("trading_group_id")
    found = set(own.exclude(pk__in=gone).values_list("pk", flat=True))
    sets = list(user.groups.values_list("pk", flat=True))
    if sets:
        app, codename = MANAGE_GROUP.split(".")
        shared = GroupObjectPermission.objects.filter(
            group__in=sets, permission__codename=codename, permission__content_type__app_label=app
        )
        pairs = {(set_id, int(key)) for set_id, key in shared.values_list("group_id", "object_pk")}
        pairs -= set(expired.filter(staff_group__in=sets).values_list("staff_group_id", "trading_group_id"))
        found |= {group_id for _set_id, group_id in pairs}
    return frozenset(found)
