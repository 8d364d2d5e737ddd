"""Giving and withdrawing reach: a grant with its reason, and guardian's `manage_group` beside it."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q
from guardian.shortcuts import assign_perm, remove_perm

from apps.accounts.models import ReachGrant
from apps.accounts.selectors.reach import MANAGE_GROUP
from apps.audit.services import actions
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Invalid

CLOCK = Actor.system("reach")


class GrantOver(Invalid):
    """A grant must count for some time."""

    code = "grant_over"
    title = "Grant already over"


def give(grant: ReachGrant, *, actor: Actor) -> ReachGrant:
    """
    Store a new or changed grant and give the right; the staff log tells it of each person who gets it.

    :raises GrantOver: it would end before it begins.
    """
    now = clock.now()
    if grant.until is not None and grant.until <= now:
        raise GrantOver("`until` must lie in the future.")
    grant.given_by_id, grant.given_at = actor.user_id, now
    with transaction.atomic():
        grant.save()
        assign_perm(MANAGE_GROUP, _holder(grant), grant.trading_group)
        _log(grant, actor, "accounts.give_reach")
    return grant


def withdraw(grant: ReachGrant, *, actor: Actor) -> None:
    """Take the right away and drop the grant; the staff log tells it of each person who had it."""
    with transaction.atomic():
        _log(grant, actor, "accounts.withdraw_reach")
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
        withdraw(grant, actor=CLOCK)
    return over


def _log(grant: ReachGrant, actor: Actor, operation: str) -> None:
    told = {"group": grant.trading_group.name, "until": grant.until and grant.until.isoformat()}
    held = Q(groups=grant.staff_group_id) if grant.staff_group_id else Q(pk=grant.user_id)
    for person in get_user_model().objects.filter(held).distinct():
        actions.record(
            actor=actor, operation=operation, target=person, group_id=grant.trading_group_id, after=told
        )


def _holder(grant: ReachGrant) -> Any:
    return grant.user or grant.staff_group
