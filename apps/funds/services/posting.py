"""
Booking fund operations: at once, or after a second person. The only file of funds that moves money, and it
does so through the executor alone.

Whether one person is enough is decided here first and by the database at last: when it refuses a posting
(somebody else's went in between), the operation waits for a second person as if it had been seen before.
"""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from apps.audit.models import Approval, StaffAction
from apps.audit.services import actions, approvals
from apps.funds.domain.operations import OPEN, Asked, OperationClosed, Status, said
from apps.funds.models import FundOperation, FundStep
from apps.funds.permissions import APPROVE, POST, POSTING, REQUEST
from apps.funds.selectors.operations import current
from apps.funds.selectors.policies import policy_of, waits_for_second_person
from apps.trading.domain.commands import ChangeBalance, Command, Outcome, balance_command_id
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import RtxError
from rtx.kernel.money import text

May = Callable[[str], bool]
SECOND_PERSON = "second_person_needed"  # what the database calls its refusal
RETURNED = (Approval.Status.EXPIRED, Approval.Status.CANCELED)


class Posted:
    """The effect of a command that books an operation: its row follows in the same transaction."""

    def __init__(self, operation_id: int, actor: Actor) -> None:
        self._operation_id, self._actor = operation_id, actor

    def __call__(self, answered: list[tuple[Command, Outcome]]) -> None:
        for _command, outcome in answered:
            refusal = outcome.refusal
            now = clock.now()
            changed = FundOperation.objects.filter(pk=self._operation_id, status__in=OPEN).update(
                status=Status.REJECTED if refusal else Status.POSTED,
                event_seq=outcome.seq,
                decided_by_id=self._actor.user_id,
                decided_at=now,
                reject_reason=refusal.value if refusal else "",
            )
            if not changed:
                raise OperationClosed(f"Operation {self._operation_id} was decided meanwhile.")
            FundStep.objects.create(
                operation_id=self._operation_id,
                at=now,
                kind=FundStep.Kind.REFUSED if refusal else FundStep.Kind.POSTED,
                actor=self._actor.as_text(),
                reason=self._actor.reason,
                detail=refusal.value if refusal else f"event {outcome.seq} of the account",
            )


def proceed(operation: FundOperation, *, actor: Actor, alone: bool = True) -> FundOperation:
    """
    Post an operation, or ask for a second person where one is needed (always, unless the caller may post
    `alone`).

    :raises OperationClosed: somebody decided it before.
    """
    account = operation.account
    if not alone or waits_for_second_person(account, operation.asked, now=clock.now()):
        return _ask_second_person(operation, actor)
    command_id = balance_command_id(account_id=account.pk, reference=operation.reference)
    try:
        executor.run(_command(operation.asked, command_id, actor), effects=(Posted(operation.pk, actor),))
    except RtxError as error:
        if error.code != SECOND_PERSON:
            raise
        return _ask_second_person(operation, actor)
    done = current(operation.pk)
    if done.is_waiting:  # the reference was booked past this queue
        raise OperationClosed(f"{account.login} has a booking under the reference {operation.reference}.")
    return done


def _command(asked: Asked, command_id: Any, actor: Actor) -> ChangeBalance:
    return ChangeBalance(
        account_id=asked.account_id,
        command_id=command_id,
        actor=actor,
        kind=asked.kind,
        amount=asked.amount,
        reference=asked.reference,
        comment=asked.comment,
    )


def _ask_second_person(operation: FundOperation, actor: Actor) -> FundOperation:
    account = operation.account
    asked = operation.asked
    with transaction.atomic():
        row = FundOperation.objects.select_for_update().get(pk=operation.pk)
        if row.status not in OPEN:
            raise OperationClosed(f"Operation {row.pk} was decided meanwhile.")
        if row.approval_id is None:
            row.approval = approvals.request(
                kind=POSTING,
                content={"fund_operation": row.pk, "currency": row.currency, **asked.content()},
                summary=summary_of(row, account.login),
                actor=actor,
                group_id=account.group_id,
                account_id=account.pk,
                lifetime_s=policy_of(account.group_id).approval_hours * 3600,
                target=row,
            )
            if row.requested_by_id != actor.user_id:
                row.status = Status.APPROVED
            row.save(update_fields=["approval", "status"])
            _step(row, FundStep.Kind.APPROVED, actor)
    return current(operation.pk)


def summary_of(operation: FundOperation, login: int) -> str:
    """Say in one line what a second person is asked to let happen."""
    amount = f"{text(said(operation.asked.kind, operation.amount))} {operation.currency}"
    return f"{operation.get_kind_display()} of {amount} on account {login}, reference {operation.reference}"


class PostingHandler:
    """Carries out what a second person let happen; the content of the approval is what is booked."""

    right = APPROVE

    def asking(self, approval: Approval) -> str:
        """Whoever asked could ask for operations; who gave the first word for somebody else's, post them."""
        operation = FundOperation.objects.get(pk=approvals.content_of(approval)["fund_operation"])
        return REQUEST if operation.requested_by_id == approval.maker_id else POST

    def execute(self, approval: Approval, *, actor: Actor) -> dict[str, Any]:
        """Book it under the approval's own id, in the transaction that consumes the approval."""
        content = approvals.content_of(approval)
        outcome = executor.run(
            _command(Asked.read(content), approval.pk, actor),
            effects=(approvals.consuming(approval, actor=actor), Posted(content["fund_operation"], actor)),
        )
        return {"event_seq": outcome.seq, "event": outcome.type}

    def closed(self, approval: Approval, *, status: str, actor: Actor) -> None:
        """
        Follow an approval that was rejected, taken back or has expired, in its transaction: what a client
        asked for goes back into the queue unless it was rejected.
        """
        content = approvals.content_of(approval)
        row = FundOperation.objects.select_for_update().get(pk=content["fund_operation"])
        if row.approval_id != approval.pk or row.status not in OPEN:
            return
        if status in RETURNED and row.requested_by_id != approval.maker_id:
            row.status, row.approval = Status.REQUESTED, None
            row.save(update_fields=["status", "approval"])
        else:
            row.status = Status.REJECTED if status == Approval.Status.REJECTED else Status.CANCELED
            row.reject_reason, row.decided_at = str(status), clock.now()
            row.decided_by_id = actor.user_id
            row.save(update_fields=["status", "reject_reason", "decided_at", "decided_by"])
        _step(row, FundStep.Kind(str(status)), actor)


def reject(operation: FundOperation, *, actor: Actor, message: str = "") -> FundOperation:
    """
    Refuse a request; `message` is what the client is told.

    :raises OperationClosed: somebody decided it before.
    """
    return _close(operation, Status.REJECTED, actor=actor, message=message)


def cancel(operation: FundOperation, *, actor: Actor) -> FundOperation:
    """
    Take a request back, as long as nobody gave a word for it.

    :raises OperationClosed: somebody decided it before.
    """
    return _close(operation, Status.CANCELED, actor=actor)


def _close(operation: FundOperation, status: Status, *, actor: Actor, message: str = "") -> FundOperation:
    with transaction.atomic():
        row = FundOperation.objects.select_for_update().get(pk=operation.pk)
        if row.status != Status.REQUESTED or row.approval_id is not None:
            raise OperationClosed(f"It is {row.get_status_display().lower()} already.")
        row.status, row.reject_reason, row.message = status, status.value, message
        row.decided_by_id, row.decided_at = actor.user_id, clock.now()
        row.save(update_fields=["status", "reject_reason", "message", "decided_by", "decided_at"])
        _step(row, FundStep.Kind(status.value), actor)
        if actor.kind == "staff":
            account = operation.account
            actions.record(
                actor=actor,
                operation=f"funds.{'reject' if status is Status.REJECTED else 'cancel'}",
                target=row,
                group_id=account.group_id,
                account_id=account.pk,
                before={"status": Status.REQUESTED.value, **row.asked.content()},
                after={"status": status.value, "message": message},
                outcome=StaffAction.Outcome.DONE,
            )
    return current(operation.pk)


def _step(row: FundOperation, kind: FundStep.Kind, actor: Actor) -> None:
    FundStep.objects.create(
        operation=row, at=clock.now(), kind=kind, actor=actor.as_text(), reason=actor.reason
    )
