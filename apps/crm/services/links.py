"""Links as staff operate them."""

from uuid import UUID

from django.db import transaction

from apps.audit.services import actions
from apps.crm.models import Link
from apps.crm.services import giving_up
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, NotFound


def send_again(*, link_id: UUID, actor: Actor) -> Link:
    """
    Send a customer at once and whole; a record that was deleted in the CRM is made anew. Logged.

    :raises NotFound: `link_not_found`.
    :raises Conflict: `link_erased`.
    """
    with transaction.atomic():
        link = Link.objects.select_for_update(of=("self",)).filter(pk=link_id).first()
        if link is None:
            raise NotFound("There is no such customer in the CRM.", code="link_not_found")
        if link.status == Link.Status.ERASED:
            raise Conflict("The client was erased.", code="link_erased")
        before = link.status
        if link.status == Link.Status.GONE:
            link.crm_id, link.crm_changed_at = "", None
        now = clock.now()
        link.status, link.base_sealed, link.in_step_at, link.attempts = Link.Status.ACTIVE, b"", None, 0
        link.wanted, link.wanted_at, link.due_at = link.wanted + 1, now, now
        link.save()
        giving_up.settle([link.pk])
        actions.record(
            actor=actor, operation="crm.send_again", target=link, before={"status": before}, after={}
        )
        return link
