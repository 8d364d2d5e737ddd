"""Giving and withdrawing reach: a grant with its reason, and guardian's `manage_group` beside it."""

from typing import Any

from django.db import transaction
from guardian.shortcuts import assign_perm, remove_perm

from apps.accounts.models import ReachGrant
from apps.accounts.selectors.reach import MANAGE_GROUP
from rtx.kernel import clock
from rtx.kernel.errors import Invalid


class GrantOver(Invalid):
    """A grant must count for some time."""

    code = "grant_over"
    title = "Grant already over"


def give(grant: ReachGrant, *, given_by_id: int | None) -> ReachGrant:
    """
    Store a new or changed grant and give the right.

    :raises GrantOver: it would end before it begins.
    """
    now = clock.now()
    if grant.until is not None and grant.until <= now:
        raise GrantOver("`until` must lie in the future.")
    grant.given_by_id, grant.given_at = given_by_id, now
    with transaction.atomic():
        grant.save()
        assign_perm(MANAGE_GROUP, _holder(grant), grant.trading_group)
    return grant


def withdraw(grant: ReachGrant) -> None:
    """Take the right away and drop the grant."""
    with transaction.atomic():
        remove_perm(MANAGE_GROUP, _holder(grant), grant.trading_group)
        grant.delete()


def withdraw_expired() -> list[ReachGrant]:
    """Tidy up grants that have run out: they gave nothing any more. Returns them."""
    over = list(
        ReachGrant.objects.filter(until__lte=clock.now()).select_related(
            "user", "staff_group", "trading_group"
        )
    )
    for grant in over:
        withdraw(grant)
    return over


def _holder(grant: ReachGrant) -> Any:
    return grant.user or grant.staff_group
