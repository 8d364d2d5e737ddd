"""Reads of fund operations: whose they are, who may see them, how interfaces show them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountEvent
from apps.audit.models import Approval
from apps.funds.domain.operations import Status, said
from apps.funds.models import FundOperation
from rtx.kernel.errors import NotFound
from rtx.kernel.money import text

Payload = dict[str, Any]


class FundOperationNotFound(NotFound):
    """There is no such operation, or it is not within the caller's reach."""

    code = "fund_operation_not_found"
    title = "Fund operation not found"


def all_operations() -> QuerySet[FundOperation]:
    """Return operations with what their pages show."""
    return FundOperation.objects.select_related("account__group", "approval", "requested_by", "decided_by")


def current(operation_id: int) -> FundOperation:
    """Return an operation as it stands now."""
    return all_operations().get(pk=operation_id)


def of_client(*, user_id: int) -> QuerySet[FundOperation]:
    """Return the operations of a client's accounts."""
    return FundOperation.objects.select_related("account").filter(account__client__user_id=user_id)


def owned(*, user_id: int, operation_id: int) -> FundOperation:
    """
    Return one operation of a client's account.

    :raises FundOperationNotFound: unknown, or somebody else's.
    """
    return _one(of_client(user_id=user_id), operation_id)


def within(*, reach: frozenset[int] | None, operation_id: int) -> FundOperation:
    """
    Return one operation within a member of staff's reach.

    :raises FundOperationNotFound: unknown, or outside.
    """
    rows = all_operations()
    return _one(rows if reach is None else rows.filter(account__group_id__in=reach), operation_id)


def _one(rows: QuerySet[FundOperation], operation_id: int) -> FundOperation:
    found = rows.filter(pk=operation_id).first()
    if found is None:
        raise FundOperationNotFound(f"There is no fund operation {operation_id}.")
    return found


def event_of(operation: FundOperation) -> AccountEvent | None:
    """Return the journal's event that booked an operation: the truth about its amount and its time."""
    if operation.status != Status.POSTED or operation.event_seq is None:
        return None
    found = AccountEvent.objects.filter(
        account_id=operation.account_id, seq=operation.event_seq, type="balance_changed"
    ).first()
    told = {} if found is None else found.payload
    asked = operation.asked.content()
    if any(told.get(name) != asked[name] for name in ("kind", "amount", "reference")):
        return None
    return found


def client_view(operation: FundOperation) -> Payload:
    """Return an operation as its client sees it: nothing of who decided it and why."""
    return {
        "id": operation.pk,
        "account": operation.account.login,
        "kind": operation.kind,
        "amount": text(said(BalanceKind(operation.kind), operation.amount)),
        "currency": operation.currency,
        "reference": operation.reference,
        "comment": operation.comment,
        "status": operation.status,
        "reject_reason": operation.reject_reason or None,
        "message": operation.message,
        "requested_at": _instant(operation.requested_at),
        "decided_at": _instant(operation.decided_at),
        "event_seq": operation.event_seq,
    }


def staff_view(operation: FundOperation) -> Payload:
    """Return an operation as staff see it; `waits_for` tells who has to act next."""
    approval = operation.approval
    return {
        **client_view(operation),
        "group": operation.account.group.name,
        "by_client": operation.by_client,
        "requested_by": operation.requested_by_id,
        "reason": operation.reason,
        "decided_by": operation.decided_by_id,
        "waits_for": waits_for(operation),
        "approval": None if approval is None else str(approval.pk),
        "approval_expires_at": None if approval is None else _instant(approval.expires_at),
    }


def waits_for(operation: FundOperation) -> str | None:
    """Return who has to act next: `decision` of one person, a `second_person`, or nobody (None)."""
    if not operation.is_waiting:
        return None
    return "second_person" if has_pending_approval(operation) else "decision"


def outcome_said(operation: FundOperation) -> str:
    """Say in a sentence what became of an operation."""
    if operation.status == Status.POSTED:
        return f"posted as event {operation.event_seq} of the account"
    if operation.reject_reason == "no_money":
        return "refused: margin or a loss needs the money (no_money)"
    waits = {"decision": "waits for somebody who may post it", "second_person": "waits for a second person"}
    return waits.get(waits_for(operation) or "", f"is {operation.get_status_display().lower()}")


def has_pending_approval(operation: FundOperation) -> bool:
    """Tell whether it waits for a second person."""
    return operation.approval is not None and operation.approval.status == Approval.Status.PENDING


def _instant(at: datetime | None) -> str | None:
    return (
        None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def still_asked(account_ids: Sequence[int]) -> list[str]:
    """Name requests of accounts that nobody has decided yet (one of the `CLOSING_CHECKS`)."""
    open_ = [FundOperation.Status.REQUESTED, FundOperation.Status.APPROVED]
    count = FundOperation.objects.filter(account_id__in=list(account_ids), status__in=open_).count()
    return [f"{count} fund request{'' if count == 1 else 's'}"] if count else []
