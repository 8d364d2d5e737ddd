"""What waits for a second person: asked for, decided once, by somebody else."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from apps.audit.models import Approval, StaffAction
from apps.audit.services import approvals
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import Forbidden, Invalid
from tests.factories.house import staff

MAKER = Actor(kind=ActorKind.STAFF, name="user:1", reason="client called")
CHECKER = Actor(kind=ActorKind.STAFF, name="user:2", reason="seen")
done: list[str] = []


class Noting:
    """Carries a test's operation out by noting it."""

    right = "audit.decide_approval"

    def asking(self, approval: Approval) -> str:
        return "audit.decide_approval"

    def execute(self, approval: Approval, *, actor: Actor) -> dict[str, Any]:
        with transaction.atomic():
            outcome = {"amount": approvals.content_of(approval)["amount"]}
            approvals.consume(approval, actor=actor, outcome=outcome)
            done.append(outcome["amount"])
        return outcome


@pytest.fixture(autouse=True)
def _handler(settings: Any) -> None:
    settings.APPROVAL_HANDLERS = {"test.note": f"{__name__}.Noting"}
    done.clear()


def may(right: str) -> bool:
    return right == "audit.decide_approval"


@pytest.fixture
def asked(db: None) -> Approval:
    assert staff("maker@example.com", role="admin").pk == MAKER.user_id
    with transaction.atomic():
        return approvals.request(
            kind="test.note", content={"amount": "10.00"}, summary="Note 10.00", actor=MAKER
        )


def test_another_person_lets_it_happen_once(asked: Approval) -> None:
    first = approvals.approve(approval_id=asked.pk, actor=CHECKER, may=may)
    again = approvals.approve(approval_id=asked.pk, actor=CHECKER, may=may)

    assert (first.status, first.checker_id, first.check_reason) == ("executed", 2, "seen")
    assert (again.status, again.outcome, done) == ("executed", {"amount": "10.00"}, ["10.00"])
    told = [(one.operation, one.outcome, one.user_id) for one in StaffAction.objects.order_by("id")]
    assert told == [("test.note.requested", "requested", 1), ("test.note.approved", "done", 2)]


def test_whoever_asked_cannot_decide(asked: Approval) -> None:
    with pytest.raises(approvals.SamePerson):
        approvals.approve(approval_id=asked.pk, actor=replace(CHECKER, name="user:1"), may=may)
    assert done == []


def test_a_third_person_comes_too_late(asked: Approval) -> None:
    approvals.approve(approval_id=asked.pk, actor=CHECKER, may=may)

    with pytest.raises(approvals.ApprovalClosed):
        approvals.approve(approval_id=asked.pk, actor=replace(CHECKER, name="user:3"), may=may)
    assert done == ["10.00"]


def test_the_right_is_needed(asked: Approval) -> None:
    with pytest.raises(Forbidden, match="decide_approval"):
        approvals.approve(approval_id=asked.pk, actor=CHECKER, may=lambda right: False)


def test_a_rejected_one_stays_so(asked: Approval) -> None:
    approvals.reject(approval_id=asked.pk, actor=CHECKER, may=may)

    with pytest.raises(approvals.ApprovalClosed):
        approvals.approve(approval_id=asked.pk, actor=CHECKER, may=may)
    assert (Approval.objects.get().status, done) == ("rejected", [])


def test_only_the_maker_takes_it_back(asked: Approval) -> None:
    with pytest.raises(Forbidden):
        approvals.cancel(approval_id=asked.pk, actor=CHECKER)
    assert approvals.cancel(approval_id=asked.pk, actor=MAKER).status == "canceled"


def test_without_a_reason_nothing_is_asked_for(db: None) -> None:
    with pytest.raises(Invalid, match="reason"), transaction.atomic():
        approvals.request(kind="test.note", content={}, summary="Note", actor=replace(MAKER, reason=" "))
