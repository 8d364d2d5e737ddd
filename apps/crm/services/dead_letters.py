"""What was given up, as staff operate it: sent again or dropped."""

from django.db import transaction

from apps.audit.services import actions
from apps.crm.models import DeadLetter, Link
from apps.crm.services import erasing, webhooks
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, NotFound


def replay(*, dead_letter_id: int, actor: Actor) -> DeadLetter:
    """
    Let what was given up be tried again at once. Logged.

    :raises NotFound: `dead_letter_not_found`.
    :raises Conflict: `dead_letter_resolved`, or `nothing_to_replay`: what it tells of is not kept any more.
    """
    with transaction.atomic():
        letter = _resolved(dead_letter_id, actor, DeadLetter.Status.REPLAYED, "crm.replay_dead_letter")
        if letter.link_id:
            now, links = clock.now(), Link.objects.filter(pk=letter.link_id)
            if links.filter(status=Link.Status.ERASED).exists():
                text = "RTX has deleted what it may. See by hand what is left there, then drop it."
                raise Conflict(text, code="nothing_to_replay")
            is_erasure = letter.direction == DeadLetter.Direction.ERASE
            if is_erasure and letter.connection.status not in erasing.REACHED:
                text = "RTX has no access: it is deleted there once it has. Drop it when you have seen to it."
                raise Conflict(text, code="nothing_to_replay")
            links.filter(status=Link.Status.DEAD).update(
                status=Link.Status.ACTIVE, attempts=0, due_at=now, claim=None, claimed_until=None
            )
        elif letter.delivery_id is None or not webhooks.retry(delivery_id=letter.delivery_id):
            raise Conflict("What it tells of is not kept any more; drop it.", code="nothing_to_replay")
        return letter


def drop(*, dead_letter_id: int, actor: Actor) -> DeadLetter:
    """
    Leave what was given up as it is; the next change of the customer is sent again, a delivery's body goes.
    Logged.

    :raises NotFound: `dead_letter_not_found`.
    :raises Conflict: `dead_letter_resolved`.
    """
    with transaction.atomic():
        letter = _resolved(dead_letter_id, actor, DeadLetter.Status.DROPPED, "crm.drop_dead_letter")
        if letter.delivery_id:
            webhooks.forget(delivery_id=letter.delivery_id)
        return letter


def _resolved(dead_letter_id: int, actor: Actor, status: str, operation: str) -> DeadLetter:
    letter = DeadLetter.objects.select_for_update().filter(pk=dead_letter_id).first()
    if letter is None:
        raise NotFound("There is no such dead letter.", code="dead_letter_not_found")
    if letter.status != DeadLetter.Status.OPEN:
        raise Conflict("This dead letter was dealt with before.", code="dead_letter_resolved")
    letter.status, letter.resolved_by_id, letter.resolved_at = status, actor.user_id, clock.now()
    letter.save(update_fields=["status", "resolved_by", "resolved_at"])
    actions.record(
        actor=actor, operation=operation, target=letter, before={"status": "open"}, after={"status": status}
    )
    return letter
