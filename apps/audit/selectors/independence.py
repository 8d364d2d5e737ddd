"""
Whether two members of staff are two people to the house: a maker whose password, second factor, role or
reach the checker set lately may be the checker's puppet, and two whose passwords or factors one third person
set may both be that person. Read from the staff log, which nobody can clean. Knows only the entries whose
target is a user's record.
"""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Q

from apps.audit.models import StaffAction
from rtx.kernel import clock

TAKES_OVER = Q(operation__in=("accounts.set_password", "accounts.reset_second_factors")) | Q(
    operation="accounts.change_user",
    after__has_key="password",  # the page for it
)


def are_independent(one: int, other: int) -> bool:
    """
    Tell that within `APPROVAL_DISTANCE_DAYS` neither did, or asked for, anything to the other's record, and
    that nobody else set the password or reset the second factors of both.
    """
    acted = StaffAction.objects.filter(
        target_type=get_user_model()._meta.label_lower,
        outcome__in=(StaffAction.Outcome.DONE, StaffAction.Outcome.REQUESTED),
        at__gte=clock.now() - timedelta(days=settings.APPROVAL_DISTANCE_DAYS),
    )
    if acted.filter(Q(user_id=one, target_id=str(other)) | Q(user_id=other, target_id=str(one))).exists():
        return False
    third = acted.filter(TAKES_OVER).exclude(user_id__in=(one, other)).exclude(user_id=None)
    masters = third.filter(target_id=str(one)).order_by().values("user_id")
    return not third.filter(target_id=str(other), user_id__in=masters).exists()


def may_still_ask(user_id: int, right: str) -> bool:
    """Tell whether somebody is active staff and has the right to ask for what they asked for."""
    person = get_user_model().objects.filter(pk=user_id, is_active=True, is_staff=True).first()
    return person is not None and bool(person.has_perm(right))
