"""Every operation of staff is in the staff log, in the same transaction, and stays there."""

from decimal import Decimal
from functools import partial

import pytest
from django.db import DatabaseError, transaction

from apps.accounts.domain.ledger import BalanceKind
from apps.audit.models import StaffAction
from apps.audit.services import actions
from apps.trading.services import balances
from rtx.kernel.actor import Actor, ActorKind
from tests.factories.house import House, make_house

STAFF = Actor(kind=ActorKind.STAFF, name="user:7", ip="192.0.2.1", request_id="r-1", reason="by phone")


@pytest.fixture
def house(db: None) -> House:
    return make_house()


def withdraw(house: House, amount: str, *, reference: str, actor: Actor = STAFF) -> None:
    balances.change(
        account_id=house.anna.pk,
        kind=BalanceKind.WITHDRAWAL,
        amount=-Decimal(amount),
        reference=reference,
        actor=actor,
    )


def test_a_command_of_staff_is_logged_with_money_before_and_after(house: House) -> None:
    house.anna.state.refresh_from_db()
    balance = house.anna.state.balance

    withdraw(house, "100.25", reference="w1")

    entry = StaffAction.objects.get()
    assert (entry.user_id, entry.ip, entry.request_id, entry.reason) == (7, "192.0.2.1", "r-1", "by phone")
    assert (entry.operation, entry.outcome) == ("trading.change_balance", "done")
    assert (entry.account_id, entry.group_id) == (house.anna.pk, house.anna.group_id)
    assert Decimal(entry.before["balance"]) - Decimal(entry.after["balance"]) == Decimal("100.25")
    assert Decimal(entry.before["balance"]) == balance
    event = house.anna.events.latest("seq")
    assert (entry.command_id, entry.after["event_seq"]) == (event.command_id, event.seq)


def test_the_same_command_again_is_logged_once(house: House) -> None:
    withdraw(house, "1", reference="w1")
    withdraw(house, "1", reference="w1")

    assert StaffAction.objects.count() == 1


def test_a_refusal_of_the_book_is_logged_as_refused(house: House) -> None:
    withdraw(house, "99999999", reference="w1")

    entry = StaffAction.objects.get()
    assert (entry.outcome, entry.after["reject_reason"]) == ("refused", "no_money")
    assert entry.before["balance"] == entry.after["balance"]


def test_commands_of_the_system_are_not_staff_actions(house: House) -> None:
    withdraw(house, "1", reference="w1", actor=Actor.system("demo"))

    assert not StaffAction.objects.exists()


def test_an_entry_outside_a_transaction_is_refused(db: None) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        actions.record(actor=STAFF, operation="accounts.disable_user")


def test_an_entry_goes_with_its_operation(db: None) -> None:
    def fail() -> None:
        with transaction.atomic():
            actions.record(actor=STAFF, operation="accounts.disable_user")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert not StaffAction.objects.exists()


@pytest.mark.parametrize("deed", ["update", "delete"])
def test_an_entry_never_changes(db: None, deed: str) -> None:
    with transaction.atomic():
        actions.record(actor=STAFF, operation="accounts.disable_user")

    rows = StaffAction.objects.all()
    change = partial(rows.update, reason="another") if deed == "update" else rows.delete
    with pytest.raises(DatabaseError):
        change()
    assert StaffAction.objects.get().reason == "by phone"
