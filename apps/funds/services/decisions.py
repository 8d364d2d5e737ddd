"""
Deciding what waits in the queue: approve, reject, take back. The same key of the same person is the same
decision. Books nothing by itself.
"""

from typing import Any

from django.db import transaction

from apps.audit.services import approvals, requests
from apps.funds.domain.operations import OPEN, OperationClosed, Status
from apps.funds.models import FundOperation
from apps.funds.permissions import POST
from apps.funds.selectors.operations import current, has_pending_approval
from apps.funds.services import posting
from apps.funds.services.posting import May
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Forbidden


def approve(operation: FundOperation, *, actor: Actor, may: May, key: str) -> FundOperation:
    """
    Let an operation happen: as the second person of one that waits for one, else as the first, who posts it
    unless it exceeds what one person may let happen.

    :raises Forbidden: the caller lacks the right.
    :raises SamePerson: the caller gave the first word.
    :raises OperationClosed, ApprovalClosed: somebody decided before.
    """
    is_repeat = _is_repeat(operation, "approve", actor, key)
    approval = operation.approval
    if is_repeat and (not operation.is_waiting or (approval and approval.maker_id == actor.user_id)):
        return operation
    if approval is not None and has_pending_approval(operation):
        approvals.approve(approval_id=approval.pk, actor=actor, may=may)
        return current(operation.pk)
    _require(may, POST)
    if operation.status != Status.REQUESTED:
        raise OperationClosed(f"It is {operation.get_status_display().lower()} already.")
    return posting.proceed(operation, actor=actor)


def reject(operation: FundOperation, *, actor: Actor, may: May, key: str, message: str = "") -> FundOperation:
    """
    Refuse an operation: as the second person of one that waits for one, else as the first.

    :raises Forbidden, SamePerson, OperationClosed, ApprovalClosed: see `approve`.
    """
    if _is_repeat(operation, "reject", actor, key) and not operation.is_waiting:
        return operation
    approval = operation.approval
    if approval is not None and has_pending_approval(operation):
        with transaction.atomic():
            approvals.lock(approval.pk)  # before the operation, as whoever approves does
            FundOperation.objects.filter(pk=operation.pk, status__in=OPEN).update(message=message)
            approvals.reject(approval_id=approval.pk, actor=actor, may=may)
        return current(operation.pk)
    _require(may, POST)
    return posting.reject(operation, actor=actor, message=message)


def take_back(operation: FundOperation, *, actor: Actor) -> FundOperation:
    """
    Take back what one asked for. Doing it again changes nothing.

    :raises OperationClosed: somebody decided it, or gave a first word for it.
    :raises Forbidden: somebody else asked for it.
    """
    if operation.status == Status.CANCELED:
        return operation
    approval = operation.approval
    if approval is not None and has_pending_approval(operation) and approval.maker_id == actor.user_id:
        approvals.cancel(approval_id=approval.pk, actor=actor)
        return current(operation.pk)
    if operation.requested_by_id != actor.user_id:
        raise Forbidden("Only whoever asked for it may take it back.")
    return posting.cancel(operation, actor=actor)


def _is_repeat(operation: FundOperation, deed: str, actor: Actor, key: str) -> bool:
    """Claim a key for a decision; say whether it was claimed for the same before."""
    claimed: list[bool] = []

    def act() -> dict[str, Any]:
        claimed.append(True)
        return {}

    if actor.user_id is None:
        raise Forbidden("Fund operations are decided by people.")
    requests.once(user_id=actor.user_id, key=key, content={deed: operation.pk}, act=act)
    return not claimed


def _require(may: May, right: str) -> None:
    if not may(right):
        raise Forbidden(f"This needs the right {right}.")
