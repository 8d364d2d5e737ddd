"""
Writes the staff log: in the transaction of the operation that it tells of, so that neither is there without
the other. What the executor does for staff is logged by the executor itself. Masks nothing: whoever calls
hands over neither secrets nor personal data.
"""

from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model

from apps.audit.models import StaffAction
from rtx.kernel import clock
from rtx.kernel.actor import Actor

LABEL_CHARS = 120
REASON_CHARS = 400


def record(
    *,
    actor: Actor,
    operation: str,
    target: Model | None = None,
    target_type: str = "",
    target_id: str = "",
    target_label: str = "",
    group_id: int | None = None,
    account_id: int | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    outcome: str = StaffAction.Outcome.DONE,
    detail: str = "",
    command_id: UUID | None = None,
    approval_id: UUID | None = None,
) -> StaffAction:
    """
    Write one entry about `target`, or about what `target_type`, `target_id` and `target_label` name.

    :raises RuntimeError: there is no open transaction that the entry could belong to.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("an entry of the staff log belongs into the transaction of what it tells")
    if target is not None:
        target_type = target_type or target._meta.label_lower
        target_id = target_id or str(target.pk)
        target_label = target_label or str(target)
    return StaffAction.objects.create(
        at=clock.now(),
        actor=actor.as_text(),
        user_id=actor.user_id,
        ip=actor.ip,
        request_id=actor.request_id,
        operation=operation,
        target_type=target_type,
        target_id=target_id,
        target_label=target_label[:LABEL_CHARS],
        group_id=group_id,
        account_id=account_id,
        reason=actor.reason[:REASON_CHARS],
        before=before or {},
        after=after or {},
        outcome=outcome,
        detail=detail,
        command_id=command_id,
        approval_id=approval_id,
    )


def record_refusal(*, actor: Actor, operation: str, detail: str, **about: Any) -> StaffAction:
    """Write that somebody tried and was refused, in a transaction of its own (see `record`)."""
    with transaction.atomic():
        return record(
            actor=actor,
            operation=operation,
            detail=detail,
            outcome=StaffAction.Outcome.REFUSED,
            **about,
        )
