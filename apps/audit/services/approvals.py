"""
Maker and checker: what one member of staff asks for, another one lets happen. Deciding and carrying out are
one step in one transaction; the database refuses what this file forgets. Knows no single kind of operation.

A kind has a handler, named by dotted path in `APPROVAL_HANDLERS`; the app that owns the operation writes it.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model
from django.utils.module_loading import import_string

from apps.audit.models import Approval, StaffAction
from apps.audit.selectors import independence
from apps.audit.services import actions
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Forbidden, Invalid, NotFound

log = structlog.get_logger(__name__)
Status = Approval.Status
May = Callable[[str], bool]
Effect = Callable[[list[tuple[Any, Any]]], None]
TARGET = "audit.approval"


class ApprovalNotFound(NotFound):
    """There is no such approval, or it is not within the caller's reach."""

    code = "approval_not_found"
    title = "Approval not found"


class ApprovalClosed(Conflict):
    """It was decided before, taken back, or its time is over."""

    code = "approval_closed"
    title = "No longer waiting"


class SamePerson(Forbidden):
    """Whoever asked cannot be the one who decides."""

    code = "second_person_needed"
    title = "A second person is needed"


class NotIndependent(Forbidden):
    """One of the two lately set the other's access up, or one third person that of both."""

    code = "second_person_not_independent"
    title = "An independent second person is needed"


class MakerNotEntitled(Conflict):
    """Whoever asked was disabled, or lost the right to ask, meanwhile."""

    code = "maker_not_entitled"
    title = "No longer asked by anybody who may"


class Handler(Protocol):
    """
    Carries out one kind of operation once it is approved. `right` is what a checker needs. A handler with a
    method `closed(approval, *, status, actor)` is told, in the same transaction, of an approval that was
    rejected, taken back or has expired.
    """

    right: str

    def asking(self, approval: Approval) -> str:
        """Return the right that whoever asked must still have when it is carried out."""

    def execute(self, approval: Approval, *, actor: Actor) -> dict[str, Any]:
        """
        Carry it out, with `consume` (or the effect `consuming`) in the same transaction; return its outcome.
        """


def handler_of(kind: str) -> Handler:
    """
    Return what carries out a kind of approval.

    :raises Invalid: nothing does.
    """
    path = settings.APPROVAL_HANDLERS.get(kind)
    if path is None:
        raise Invalid(f"Nothing carries out {kind}.", code="approval_kind_unknown")
    return _handler(path)


@cache
def _handler(path: str) -> Handler:
    made: Handler = import_string(path)()
    return made


def canonical(content: dict[str, Any]) -> str:
    """Return content as the one text that is hashed; numbers of money are texts already."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(content: str) -> str:
    """Return the SHA-256 of a canonical content, in hex."""
    return sha256(content.encode()).hexdigest()


def content_of(approval: Approval) -> dict[str, Any]:
    """
    Return what an approval is about.

    :raises RuntimeError: the stored content is not what was asked for.
    """
    if hash_of(approval.content) != approval.content_hash:
        raise RuntimeError(f"approval {approval.pk} was tampered with")
    found: dict[str, Any] = json.loads(approval.content)
    return found


def request(
    *,
    kind: str,
    content: dict[str, Any],
    summary: str,
    actor: Actor,
    group_id: int | None = None,
    account_id: int | None = None,
    lifetime_s: int | None = None,
    target: Model | None = None,
) -> Approval:
    """
    Ask for a second person, within the caller's transaction.

    :raises Invalid: no reason was given, or nothing carries out such a kind.
    """
    handler_of(kind)
    if actor.user_id is None or not actor.reason.strip():
        raise Invalid("What waits for a second person needs a person and a reason.", code="reason_required")
    now = clock.now()
    text = canonical(content)
    approval = Approval.objects.create(
        kind=kind,
        content=text,
        content_hash=hash_of(text),
        summary=summary,
        group_id=group_id,
        account_id=account_id,
        maker_id=actor.user_id,
        maker=actor.as_text(),
        reason=actor.reason,
        created_at=now,
        expires_at=now + timedelta(seconds=lifetime_s or settings.APPROVAL_LIFETIME_S),
    )
    _log(approval, actor, f"{kind}.requested", StaffAction.Outcome.REQUESTED, target=target)
    return approval


def approve(*, approval_id: UUID, actor: Actor, may: May) -> Approval:
    """
    Let it happen: the handler carries it out at once. A repeat by the same person returns what came of it.

    :raises ApprovalNotFound: there is none.
    :raises SamePerson: the caller asked for it.
    :raises Forbidden: the caller lacks the right of its kind.
    :raises NotIndependent: one of the two lately set the other up.
    :raises MakerNotEntitled: whoever asked could not ask for it any more.
    :raises ApprovalClosed: somebody decided before, or it has expired.
    """
    found = _found(approval_id)
    _check_person(found, actor, may)
    if found.status in (Status.EXECUTED, Status.REFUSED) and found.checker_id == actor.user_id:
        return found
    _check_open(found)
    _check_maker(found, actor)
    handler_of(found.kind).execute(found, actor=actor)
    done = _found(approval_id)
    if done.status == Status.PENDING:
        raise RuntimeError(f"the handler of {found.kind} carried it out without consuming it")
    if done.checker_id != actor.user_id:
        raise ApprovalClosed(f"It is {done.get_status_display().lower()} already.")
    return done


def consume(approval: Approval, *, actor: Actor, outcome: dict[str, Any], is_refused: bool = False) -> None:
    """
    Note the decision, in the transaction that carries it out; so nothing happens twice.

    :raises SamePerson, NotIndependent, MakerNotEntitled: see `approve`.
    :raises ApprovalClosed: somebody decided before, or it has expired.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("an approval is consumed in the transaction that carries it out")
    if actor.user_id is None or actor.user_id == approval.maker_id:
        raise SamePerson
    _check_maker(approval, actor)
    now = clock.now()
    changed = Approval.objects.filter(
        pk=approval.pk,
        status=Status.PENDING,
        expires_at__gt=now,
        content_hash=approval.content_hash,
    ).update(
        status=Status.REFUSED if is_refused else Status.EXECUTED,
        checker_id=actor.user_id,
        checker=actor.as_text(),
        checked_at=now,
        check_reason=actor.reason,
        outcome=outcome,
    )
    if not changed:
        raise ApprovalClosed
    done = StaffAction.Outcome.REFUSED if is_refused else StaffAction.Outcome.DONE
    _log(approval, actor, f"{approval.kind}.approved", done, after=outcome)


class _Consuming:
    """The effect of a command that carries out an approval."""

    def __init__(self, approval: Approval, actor: Actor) -> None:
        self._approval, self._actor = approval, actor

    def __call__(self, answered: list[tuple[Any, Any]]) -> None:
        for _command, outcome in answered:
            told = {"event_seq": outcome.seq, "event": outcome.type}
            if outcome.refusal:
                told["reject_reason"] = str(outcome.refusal.value)
            consume(self._approval, actor=self._actor, outcome=told, is_refused=bool(outcome.refusal))


def consuming(approval: Approval, *, actor: Actor) -> Effect:
    """Return the effect with which a command of the executor consumes its approval, or rolls back."""
    return _Consuming(approval, actor)


def reject(*, approval_id: UUID, actor: Actor, may: May) -> Approval:
    """
    Refuse to let it happen.

    :raises ApprovalNotFound, SamePerson, Forbidden, ApprovalClosed: see `approve`.
    """
    return _close(approval_id, actor, Status.REJECTED, may)


def cancel(*, approval_id: UUID, actor: Actor) -> Approval:
    """
    Take back what one asked for.

    :raises Forbidden: somebody else asked for it.
    :raises ApprovalNotFound, ApprovalClosed: see `approve`.
    """
    return _close(approval_id, actor, Status.CANCELED, None)


def _close(approval_id: UUID, actor: Actor, status: str, may: May | None) -> Approval:
    with transaction.atomic():
        found = _found(approval_id)
        if may is not None:
            _check_person(found, actor, may)
        elif found.maker_id != actor.user_id:
            raise Forbidden("Only whoever asked for it may take it back.")
        if found.status == status and actor.user_id in (found.checker_id, found.maker_id):
            return found
        _check_open(found)
        decided = {} if may is None else {"checker_id": actor.user_id, "checker": actor.as_text()}
        changed = Approval.objects.filter(pk=found.pk, status=Status.PENDING).update(
            status=status, checked_at=clock.now(), check_reason=actor.reason, **decided
        )
        if not changed:
            raise ApprovalClosed
        _log(found, actor, f"{found.kind}.{status}", StaffAction.Outcome.DONE)
        _tell_closed(found, status, actor)
    return _found(approval_id)


def expire_due() -> int:
    """Close what nobody decided in time; return how many. One that fails does not keep the others."""
    closed = 0
    due = Approval.objects.filter(status=Status.PENDING, expires_at__lte=clock.now())
    for found in due.order_by("expires_at"):
        try:
            closed += _expire(found)
        except Exception as error:  # noqa: BLE001 - whatever its handler raises
            told = {"approval": str(found.pk), "kind": found.kind, "error": type(error).__name__}
            log.error("approval_not_expired", **told)
    return closed


def _expire(found: Approval) -> int:
    with transaction.atomic():
        changed = Approval.objects.filter(pk=found.pk, status=Status.PENDING).update(
            status=Status.EXPIRED, checked_at=clock.now()
        )
        if changed:
            _tell_closed(found, Status.EXPIRED, Actor.system("approvals"))
    return changed


def lock(approval_id: UUID) -> None:
    """Lock an approval before the rows of its operation: the order in which they are all locked."""
    Approval.objects.select_for_update().filter(pk=approval_id).values_list("pk").first()


def _tell_closed(approval: Approval, status: str, actor: Actor) -> None:
    """Tell the handler of an approval that will not be carried out, if it wants to know."""
    path = settings.APPROVAL_HANDLERS.get(approval.kind)
    told = None if path is None else getattr(_handler(path), "closed", None)
    if told is not None:
        told(approval, status=status, actor=actor)


def _found(approval_id: UUID) -> Approval:
    found = Approval.objects.filter(pk=approval_id).first()
    if found is None:
        raise ApprovalNotFound
    return found


def _check_person(found: Approval, actor: Actor, may: May) -> None:
    if not may(handler_of(found.kind).right):
        raise Forbidden(f"This needs the right {handler_of(found.kind).right}.")
    if actor.user_id is None or found.maker_id == actor.user_id:
        raise SamePerson("Whoever asked for it cannot decide it too.")


def _check_maker(found: Approval, actor: Actor) -> None:
    """Go on only if the maker may still ask, and is not the checker by another name, nor the reverse."""
    if not independence.may_still_ask(found.maker_id, handler_of(found.kind).asking(found)):
        raise MakerNotEntitled("Whoever asked for it may not ask for it any more; let somebody else ask.")
    if actor.user_id is None or not independence.are_independent(found.maker_id, actor.user_id):
        raise NotIndependent(
            "One of you two lately set the other's access up (password, second factor, role or reach), or "
            "one other person the password or second factors of you both: somebody else must decide."
        )


def _check_open(found: Approval) -> None:
    if found.status != Status.PENDING:
        raise ApprovalClosed(f"It is {found.get_status_display().lower()} already.")
    if found.expires_at <= clock.now():
        raise ApprovalClosed("Its time is over; it must be asked for anew.")


def _log(
    approval: Approval,
    actor: Actor,
    operation: str,
    outcome: str,
    *,
    after: dict[str, Any] | None = None,
    target: Model | None = None,
) -> None:
    actions.record(
        actor=actor,
        operation=operation,
        target=target,
        target_type="" if target is not None else TARGET,
        target_id="" if target is not None else str(approval.pk),
        target_label="" if target is not None else approval.summary,
        group_id=approval.group_id,
        account_id=approval.account_id,
        before={"content": json.loads(approval.content)},
        after=after,
        outcome=outcome,
        detail=approval.summary,
        approval_id=approval.pk,
    )
