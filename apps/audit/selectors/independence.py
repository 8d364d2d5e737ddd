"""
Whether two members of staff are two people to the house: a maker whose password, second factor, role or
reach the checker set lately may be the checker's puppet. Read from the staff log, which nobody can clean.
Knows only the entries whose target is a user's record.
"""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Q

from apps.audit.models import StaffAction
from rtx.kernel import clock


def are_independent(one: int, other: int) -> bool:
    """Tell that neither did anything to the other's record within `APPROVAL_DISTANCE_DAYS`."""
    acted = StaffAction.objects.filter(
        Q(user_id=one, target_id=str(other)) | Q(user_id=other, target_id=str(one)),
        target_type=get_user_model()._meta.label_lower,
        outcome=StaffAction.Outcome.DONE,
        at__gte=clock.now() - timedelta(days=settings.APPROVAL_DISTANCE_DAYS),
    )
    return not acted.exists()


def may_still_ask(user_id: int, right: str) -> bool:
    """Tell whether somebody is active staff and has the right to ask for what they asked for."""
    person = get_user_model().objects.filter(pk=user_id, is_active=True, is_staff=True).first()
    return person is not None and bool(person.has_perm(right))
