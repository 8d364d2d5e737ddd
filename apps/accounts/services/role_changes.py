"""
Changes of the role of staff. What lets somebody deal or manage (any role above support) is given by a super
administrator, or asked for by an administrator and let happen by one. A trader never becomes staff.
"""

from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.permissions import RANKS, may_manage
from apps.accounts.services import users
from apps.audit.models import Approval
from apps.audit.services import actions, approvals
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Forbidden, Invalid

KIND = "accounts.role"
MANAGE_STAFF = "accounts.add_user"


class RoleChangeWaits(Conflict):
    """Another change of this person's role waits for its second person."""

    code = "role_change_waits"
    title = "Such a change waits already"


def waits(*, by_role: str, role: str) -> bool:
    """Tell whether a role is given only with a second person's word."""
    return by_role != User.Role.SUPERADMIN and RANKS[role] > RANKS["support"]


def change(*, user_id: int, role: str, actor: Actor) -> Approval | None:
    """
    Give a member of staff another role, or ask for it; return what waits.

    :raises Invalid: it is a trader, or the role is theirs already.
    :raises Forbidden: the person or the role is not for the caller to manage.
    :raises RoleChangeWaits: another change waits.
    """
    with transaction.atomic():
        user = users.locked(user_id)
        by_role = _role_of(actor)
        _check(user, role, by_role=by_role, actor=actor)
        if not waits(by_role=by_role, role=role):
            users.change_role(user_id=user_id, role=role)
            return None
        return _ask(user, role, actor)


def open_staff(*, email: str, password: str | None, role: str, display_name: str, actor: Actor) -> User:
    """
    Create a member of staff with a first password. A role that waits for a second person is asked for, and
    the person begins as auditor.

    :raises Conflict: the e-mail address is taken.
    :raises Forbidden: the role is not for the caller to give.
    """
    by_role = _role_of(actor)
    if not may_manage(by_role, role):
        raise Forbidden("This role is not for you to give.")
    is_asked = waits(by_role=by_role, role=role)
    with transaction.atomic():
        user = users.create_user(
            email=email,
            password=password,
            role=User.Role.AUDITOR if is_asked else role,
            display_name=display_name,
        )
        if is_asked:
            _ask(user, role, actor)
    return user


class RoleApproval:
    """Carries out an approved change of a role (`APPROVAL_HANDLERS`)."""

    right = MANAGE_STAFF

    def asking(self, approval: Approval) -> str:
        """Whoever asked could manage staff."""
        return MANAGE_STAFF

    def execute(self, approval: Approval, *, actor: Actor) -> dict[str, Any]:
        """
        Give the role, unless the person's role has changed since.

        :raises Forbidden: the caller may not give this role alone either.
        """
        content = approvals.content_of(approval)
        by_role = _role_of(actor)
        if waits(by_role=by_role, role=content["role"]):
            raise Forbidden("A super administrator decides this.")
        with transaction.atomic():
            approvals.lock(approval.pk)
            user = users.locked(content["user"])
            if not user.is_active or user.role != content["before"]:
                outcome: dict[str, Any] = {"refused": "The person was changed meanwhile: ask anew."}
                approvals.consume(approval, actor=actor, outcome=outcome, is_refused=True)
                return outcome
            _check(user, content["role"], by_role=by_role, actor=actor)
            outcome = {"user": user.pk, "role": content["role"]}
            approvals.consume(approval, actor=actor, outcome=outcome)
            users.change_role(user_id=user.pk, role=content["role"])
            actions.record(
                actor=actor,
                operation="accounts.change_role",
                target=user,
                before={"role": content["before"]},
                after={"role": content["role"]},
                approval_id=approval.pk,
            )
        return outcome


def _check(user: User, role: str, *, by_role: str, actor: Actor) -> None:
    if user.role == User.Role.TRADER or role not in users.STAFF_ROLES:
        raise Invalid("A trader stays one: staff get a login of their own.", code="trader_stays_trader")
    if user.pk == actor.user_id or not (may_manage(by_role, user.role) and may_manage(by_role, role)):
        raise Forbidden("This person, or this role, is not for you to manage.")
    if user.role == role:
        raise Invalid("That is their role already.")


def _ask(user: User, role: str, actor: Actor) -> Approval:
    about = {"user": user.pk, "before": user.role, "role": role}
    pending = Approval.objects.filter(kind=KIND, status=Approval.Status.PENDING)
    waiting = pending.filter(expires_at__gt=clock.now())  # what is over is closed within a minute
    if any(approvals.content_of(found)["user"] == user.pk for found in waiting):
        raise RoleChangeWaits("Another change of their role waits already. Decide it, or take it back.")
    return approvals.request(
        kind=KIND,
        content=about,
        summary=f"Role of {user}: {user.role} → {role}"[:300],
        actor=actor,
        target=user,
    )


def _role_of(actor: Actor) -> str:
    person = User.objects.get(pk=actor.user_id or 0)
    return User.Role.SUPERADMIN if person.is_superuser else person.role
