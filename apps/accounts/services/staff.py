"""New members of staff: user, role, reach and, for automation, an authenticator app, all or nothing."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.accounts.models import ReachGrant, User
from apps.accounts.services import reach, second_factors, users
from apps.audit.services import actions
from apps.groups.models import TradingGroup
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Invalid

ROLES = frozenset(str(role) for role in users.STAFF_ROLES)
CREATOR = Actor.system("create_staff")


class UnknownGroup(Invalid):
    """A trading group is not there."""

    code = "group_not_found"
    title = "Group not found"


@dataclass(frozen=True, slots=True, repr=False)
class NewStaff:
    """What is told once about a new member of staff."""

    user: User
    password: str
    totp_secret: str


def create(
    *,
    email: str,
    role: str,
    display_name: str = "",
    groups: Sequence[str] = (),
    until: datetime | None = None,
    reason: str,
    with_app: bool = False,
    dry_run: bool = False,
) -> NewStaff:
    """
    Create a member of staff with a random password. With `dry_run` everything is tried and taken back.

    :raises Conflict: the e-mail address is taken.
    :raises UnknownGroup: a trading group is not there.
    :raises GrantOver: `until` lies in the past.
    """
    password = secrets.token_urlsafe(15)
    with transaction.atomic():
        found = {group.name: group for group in TradingGroup.objects.filter(name__in=groups)}
        if missing := sorted(set(groups) - set(found)):
            raise UnknownGroup(f"There is no trading group {', '.join(missing)}.")
        user = users.create_user(email=email, password=password, role=role, display_name=display_name)
        for name in groups:
            grant = ReachGrant(user=user, trading_group=found[name], until=until, reason=reason)
            reach.give(grant, actor=CREATOR)
        secret = second_factors.enroll_totp(user=user) if with_app else ""
        after = {"role": role, "groups": list(groups), "until": until.isoformat() if until else ""}
        actions.record(actor=CREATOR, operation="accounts.create_staff", target=user, after=after)
        if dry_run:
            transaction.set_rollback(True)
    return NewStaff(user=user, password=password, totp_secret=secret)
