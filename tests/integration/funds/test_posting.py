"""Deposits, withdrawals, adjustments and credit are booked once, and above the threshold by two people."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.accounts.domain.ledger import BalanceKind
from apps.audit.models import Approval, StaffAction
from apps.audit.services import approvals
from apps.audit.services.requests import KeyReused
from apps.funds.models import FundOperation
from apps.funds.services import decisions, posting, requests
from apps.funds.services.requests import ReferenceUsed
from apps.trading.domain.operations import AmountInvalid
from apps.trading.selectors import verification
from rtx.kernel import clock
from rtx.kernel.errors import Forbidden
from tests.factories import rows
from tests.factories.funds import acting, approve, ask, balance, postings

pytestmark = pytest.mark.django_db
D = Decimal


def steps(operation: FundOperation) -> list[str]:
    return list(operation.steps.values_list("kind", flat=True))


def test_an_approval_that_cannot_be_closed_keeps_no_other(policy, holder, maker, time_machine, monkeypatch):
    broken, kept = (ask(holder, maker, "5000") for _ in range(2))
    closed = posting.PostingHandler.closed

    def close(self, approval, **said):
        if approval.pk == broken.approval_id:
            raise RuntimeError("broken")
        closed(self, approval, **said)

    monkeypatch.setattr(posting.PostingHandler, "closed", close)
    time_machine.move_to(clock.now() + timedelta(days=2))

    assert approvals.expire_due() == 1
    kept.refresh_from_db()
    assert kept.status == "canceled"
    assert Approval.objects.get(pk=broken.approval_id).status == "pending"


@pytest.mark.parametrize(
    ("kind", "amount", "after", "credit"),
    [
        ("deposit", "250.50", "10250.50", "0"),
        ("withdrawal", "250.50", "9749.50", "0"),
        ("adjustment", "-1.25", "9998.75", "0"),
        ("credit", "100", "10000", "100"),
    ],
)
def test_below_the_threshold_one_person_posts(policy, holder, maker, kind, amount, after, credit):
    done = ask(holder, maker, amount, kind)

    assert (done.status, done.decided_by_id, done.approval_id) == ("posted", maker.pk, None)
    assert (balance(holder), holder.row.state.credit) == (D(after), D(credit))
    assert steps(done) == ["requested", "posted"]
    logged = StaffAction.objects.get(operation="trading.change_balance")
    assert (logged.user_id, logged.reason, logged.outcome) == (maker.pk, "bank statement 17", "done")


def test_above_the_threshold_nothing_moves_until_a_second_person_agrees(policy, holder, maker, checker):
    assert ask(holder, maker, "1000").status == "posted"

    waiting = ask(holder, maker, "0.01", reference="swift-1")

    assert (waiting.status, balance(holder)) == ("requested", D("11000"))
    assert waiting.approval.summary == "Deposit of 0.01 USD on account 100001, reference swift-1"
    approve(waiting, checker)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.decided_by_id, balance(holder)) == ("posted", checker.pk, D("11000.01"))
    assert waiting.approval.status == "executed"
    assert steps(waiting) == ["requested", "approved", "posted"]
    with verification.snapshot() as cursor:
        verification.verify(cursor, verification.account_ids(cursor))


def test_what_two_people_posted_leaves_room_for_one(policy, holder, maker, checker):
    approve(ask(holder, maker, "50000"), checker)

    assert ask(holder, maker, "1000").status == "posted"
    assert ask(holder, maker, "1").status == "requested"


def test_the_same_key_is_the_same_request(policy, holder, maker):
    first = ask(holder, maker, "100", key="k-1", reference="r-1")
    again = ask(holder, maker, "100", key="k-1", reference="r-1")

    assert (first.pk, first.status) == (again.pk, "posted")
    assert postings(holder) == 1
    with pytest.raises(KeyReused):
        ask(holder, maker, "101", key="k-1", reference="r-1")


def test_a_reference_is_booked_once(policy, holder, maker, checker):
    ask(holder, maker, "100", reference="wire-7")

    for who in (maker, checker):
        with pytest.raises(ReferenceUsed):
            ask(holder, who, "100", reference="wire-7")
    rows.deposit(holder.id, "1")  # past the queue, under a reference of its own
    assert postings(holder) == 2


@pytest.mark.parametrize("amount", ["0", "-5", "1.001"])
def test_an_amount_fits_its_kind_and_currency(policy, holder, maker, amount):
    with pytest.raises(AmountInvalid):
        ask(holder, maker, amount)

    assert FundOperation.objects.count() == 0


@pytest.mark.parametrize(("amount", "status"), [("9888.28", "posted"), ("9888.29", "rejected")])
def test_a_withdrawal_leaves_what_margin_and_a_loss_need(holder, maker, amount, status):
    # A buy of 0.10 EURUSD at 1.10017 holds 110.02 and is 1.70 down at the bid: 10,000 - 110.02 - 1.70.
    rows.executor.run(rows.market_order(holder))

    done = ask(holder, maker, amount, "withdrawal")

    assert (done.status, done.reject_reason) == (status, "" if status == "posted" else "no_money")


@pytest.mark.parametrize(("amount", "status"), [("9888.28", "executed"), ("9888.29", "refused")])
def test_a_withdrawal_is_looked_at_again_when_the_second_person_agrees(
    policy, holder, maker, checker, amount, status
):
    waiting = ask(holder, maker, amount, "withdrawal")
    rows.executor.run(rows.market_order(holder))

    approve(waiting, checker)

    waiting.refresh_from_db()
    assert (waiting.approval.status, waiting.reject_reason) == (
        status,
        "" if status == "executed" else "no_money",
    )
    assert balance(holder) == D("10000") - (D(amount) if status == "executed" else 0)


def test_a_rejected_approval_ends_the_operation(policy, holder, maker, checker):
    waiting = ask(holder, maker, "5000")

    approvals.reject(approval_id=waiting.approval_id, actor=acting(checker, "no"), may=checker.has_perm)

    waiting.refresh_from_db()
    assert (waiting.status, waiting.reject_reason, balance(holder)) == ("rejected", "rejected", D("10000"))
    assert steps(waiting) == ["requested", "approved", "rejected"]


def test_an_approval_that_expires_ends_the_operation(policy, holder, maker, checker, time_machine):
    waiting = ask(holder, maker, "5000")
    time_machine.move_to(clock.now() + timedelta(hours=24, seconds=1))

    assert approvals.expire_due() == 1

    waiting.refresh_from_db()
    assert (waiting.status, waiting.reject_reason) == ("canceled", "expired")
    assert Approval.objects.get().status == "expired"
    with pytest.raises(approvals.ApprovalClosed):
        approve(waiting, checker)


def test_without_a_policy_one_person_is_enough(holder, maker):
    assert ask(holder, maker, "5000000").status == "posted"
    assert not posting.waits_for_second_person(holder.row, FundOperation.objects.get().asked, now=clock.now())


def test_a_clients_request_whose_approval_expired_is_in_the_queue_again(
    policy, holder, maker, checker, time_machine
):
    asked = requests.by_client(
        account=holder.row,
        kind=BalanceKind.DEPOSIT,
        amount=D("5000"),
        comment="",
        key="k",
        actor=holder.actor,
    )
    first = decisions.approve(asked, actor=acting(maker), may=maker.has_perm, key="a")
    assert (first.status, first.approval.maker_id) == ("approved", maker.pk)
    time_machine.move_to(clock.now() + timedelta(hours=24, seconds=1))

    approvals.expire_due()

    asked.refresh_from_db()
    assert (asked.status, asked.approval_id, asked.is_waiting) == ("requested", None, True)
    again = decisions.approve(asked, actor=acting(checker), may=checker.has_perm, key="b")
    assert (again.status, again.approval.maker_id) == ("approved", checker.pk)
    assert steps(again) == ["requested", "approved", "expired", "approved"]


def test_whoever_asked_takes_it_back(policy, holder, maker, checker):
    waiting = ask(holder, maker, "5000")

    with pytest.raises(Forbidden):
        decisions.take_back(waiting, actor=acting(checker))
    done = decisions.take_back(waiting, actor=acting(maker, "the client changed his mind"))

    assert (done.status, done.approval.status) == ("canceled", "canceled")
    assert ask(holder, maker, "5000", reference=waiting.reference).status == "requested"
