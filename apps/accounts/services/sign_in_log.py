"""
What the staff log tells of signing in: who, from where, and with what outcome, by pages and REST alike.

Failures are told of addresses that belong to staff; who tried is not known, so nobody is named as the actor.
Other failures stay with axes. Holds no password, no code, and no address that was typed.
"""

from datetime import timedelta
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.audit.models import StaffAction
from apps.audit.services import actions
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind

STRANGER = "sign_in"
TOLD_MAX = 5  # of one kind about one person from one address
TOLD_WITHIN = timedelta(minutes=10)


def note(operation: str, *, user: User, request: Any, by: str = "page", **after: Any) -> None:
    """Write what a member of staff did about signing in, in the present transaction if there is one."""
    meta = request.META
    actor = Actor(
        kind=ActorKind.STAFF,
        name=f"user:{user.pk}",
        ip=meta.get("REMOTE_ADDR", "") or "",
        request_id=meta.get("rtx.request_id", ""),
    )
    with transaction.atomic():
        actions.record(actor=actor, operation=f"accounts.{operation}", target=user, after={"by": by, **after})


def note_failure(*, email: str, request: Any, detail: str = "wrong password or code") -> None:
    """Write that somebody failed to sign in, or to go on, as a member of staff."""
    user = User.objects.filter(email=email.strip().lower(), is_staff=True).first()
    if user is None:
        return
    meta = getattr(request, "META", {})
    if _is_told_enough(user, meta.get("REMOTE_ADDR", "") or "", detail):
        return
    actor = Actor(
        kind=ActorKind.SYSTEM,
        name=STRANGER,
        ip=meta.get("REMOTE_ADDR", "") or "",
        request_id=meta.get("rtx.request_id", ""),
    )
    actions.record_refusal(
        actor=actor,
        operation="accounts.sign_in",
        detail=detail,
        target_type=User._meta.label_lower,
        target_id=str(user.pk),
        target_label=str(user),
        after={"by": "rest" if getattr(request, "path", "").startswith("/api/") else "page"},
    )


def _is_told_enough(user: User, ip: str, detail: str) -> bool:
    """Tell whether the log says it often enough: guessing must not fill what is never deleted."""
    told = StaffAction.objects.filter(target_type=User._meta.label_lower, target_id=str(user.pk))
    latest = told.filter(operation="accounts.sign_in", ip=ip, detail=detail, actor=f"system:{STRANGER}")
    return latest.filter(at__gt=clock.now() - TOLD_WITHIN)[:TOLD_MAX].count() == TOLD_MAX
