"""
Ways around the second person, each tried and refused: in the shell, by SQL, over REST, on the page, in races.
The handler of these tests notes amounts in a table of its own making: the staff log's `after`.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.services import users
from apps.audit.models import Approval, StaffAction
from apps.audit.services import approvals
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import RtxError
from tests.factories.house import House, make_house, staff
from tests.factories.problems import is_problem
from tests.factories.rows import Trader
from tests.factories.staff import signed_in, token_of

RIGHT = "audit.decide_approval"
ACTION = "test.note.approved"


class Noting:
    """Carries out what these tests ask for; its entry in the staff log is the whole effect."""

    right = RIGHT
    needed = RIGHT

    def asking(self, approval: Approval) -> str:
        return self.needed

    def execute(self, approval: Approval, *, actor: Actor) -> dict[str, Any]:
        with transaction.atomic():
            outcome = {"amount": approvals.content_of(approval)["amount"]}
            approvals.consume(approval, actor=actor, outcome=outcome)
        return outcome


@pytest.fixture(autouse=True)
def _handler(settings: Any) -> None:
    settings.APPROVAL_HANDLERS = {"test.note": f"{__name__}.Noting"}
    Noting.needed = RIGHT


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def maker(house: House) -> User:
    return staff("maker@example.com", role="admin", groups=(house.usd,))


@pytest.fixture
def checker(house: House) -> User:
    return staff("checker@example.com", role="admin", groups=(house.usd,))


@pytest.fixture
def asked(house: House, maker: User) -> Approval:
    return ask(maker, house)


def ask(user: User, house: House, amount: str = "50000.00") -> Approval:
    with transaction.atomic():
        return approvals.request(
            kind="test.note",
            content={"amount": amount},
            summary=f"Note {amount}",
            actor=acting(user),
            group_id=house.usd.pk,
        )


def acting(user: User) -> Actor:
    return Actor(kind=ActorKind.STAFF, name=f"user:{user.pk}", reason="asked by the client")


def may(right: str) -> bool:
    return right == RIGHT


def noted() -> list[str]:
    """Return what was carried out."""
    done = StaffAction.objects.filter(operation=ACTION, outcome="done").order_by("id")
    return [one.after["amount"] for one in done]


def untouched(asked: Approval) -> bool:
    """Tell whether an approval still waits and nothing was carried out."""
    asked.refresh_from_db()
    return (asked.status, asked.checker_id, noted()) == ("pending", None, [])


def over_rest(user: User, asked: Approval, *, deed: str = "approve", key: str = "") -> Any:
    headers = {"Idempotency-Key": key or uuid4().hex}
    body = json.dumps({"reason": "seen and checked"})
    return Trader(token_of(user)).call("POST", f"/api/admin/approval/{asked.pk}/{deed}", body, **headers)


def on_the_page(http: Client, rows: list[Approval], deed: str = "approve") -> Any:
    data = {
        "action": deed,
        "_selected_action": [str(row.pk) for row in rows],
        "operator_confirmed": "1",
        "reason": "seen and checked",
        "request_key": str(uuid4()),
    }
    return http.post(reverse("admin:audit_approval_changelist"), data)


def test_01_the_same_person_in_a_second_session(asked: Approval, maker: User) -> None:
    on_the_page(signed_in(maker), [asked])

    assert untouched(asked)


def test_02_the_same_person_with_a_second_token(asked: Approval, maker: User) -> None:
    is_problem(over_rest(maker, asked), 403, "second_person_needed")
    is_problem(over_rest(maker, asked, deed="reject"), 403, "second_person_needed")

    assert untouched(asked)


def test_03_a_content_edited_by_the_orm(asked: Approval) -> None:
    text = approvals.canonical({"amount": "99999.00"})
    changes: list[dict[str, Any]] = [
        {"content": text},
        {"content": text, "content_hash": approvals.hash_of(text)},
    ]
    for change in changes:
        with pytest.raises(DatabaseError):
            Approval.objects.filter(pk=asked.pk).update(**change)

    assert untouched(asked)


def test_04_a_content_edited_by_sql_of_the_owner(asked: Approval, owner: psycopg.Connection) -> None:
    for change in ("content = '{}'", "maker_id = 999", "summary = 'Note 1'", "expires_at = now() + '9 days'"):
        with pytest.raises(psycopg.errors.RaiseException):
            owner.execute(f"UPDATE audit_approval SET {change} WHERE id = %s", [asked.pk])

    assert untouched(asked)


def test_05_an_amount_changed_with_triggers_off_is_not_carried_out(
    asked: Approval, owner: psycopg.Connection, checker: User
) -> None:
    owner.execute("ALTER TABLE audit_approval DISABLE TRIGGER USER")
    owner.execute("""UPDATE audit_approval SET content = '{"amount":"1.00"}' WHERE id = %s""", [asked.pk])
    owner.execute("ALTER TABLE audit_approval ENABLE TRIGGER USER")

    with pytest.raises(RuntimeError, match="tampered"):
        approvals.approve(approval_id=asked.pk, actor=acting(checker), may=may)

    assert untouched(asked)


def test_06_the_maker_writes_themselves_in_as_checker_in_the_shell(asked: Approval, maker: User) -> None:
    asked.status, asked.checker_id, asked.checked_at = "executed", maker.pk, clock.now()

    with pytest.raises(DatabaseError, match="approval_needs_another_person"):
        asked.save()

    assert untouched(asked)


@pytest.mark.parametrize("status", ["executed", "refused", "rejected"])
def test_07_a_decision_without_a_person(asked: Approval, status: str) -> None:
    with pytest.raises(DatabaseError, match="approval_needs_a_checker"):
        Approval.objects.filter(pk=asked.pk).update(status=status, checked_at=clock.now())

    assert untouched(asked)


def test_08_an_expired_one(house: House, maker: User, checker: User) -> None:
    with transaction.atomic():
        short = approvals.request(
            kind="test.note", content={"amount": "1"}, summary="Note", actor=acting(maker), lifetime_s=1
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep_until(%s)", [short.expires_at])

    with pytest.raises(approvals.ApprovalClosed, match="time is over"):
        approvals.approve(approval_id=short.pk, actor=acting(checker), may=may)
    with pytest.raises(DatabaseError, match="expired"):  # nor by hand
        Approval.objects.filter(pk=short.pk).update(
            status="executed", checker_id=checker.pk, checked_at=clock.now()
        )
    assert (approvals.expire_due(), noted()) == (1, [])


def test_09_a_replay_carries_nothing_out_again(asked: Approval, house: House, checker: User) -> None:
    first = over_rest(checker, asked, key="once").json()
    again = over_rest(checker, asked, key="once").json()
    other_key = over_rest(checker, asked, key="twice").json()
    third = staff("third@example.com", role="admin", groups=(house.usd,))

    assert first == again == other_key
    is_problem(over_rest(third, asked), 409, "approval_closed")
    assert noted() == ["50000.00"]


def test_10_two_checkers_at_once(asked: Approval, house: House, checker: User) -> None:
    other = staff("other@example.com", role="admin", groups=(house.usd,))

    with ThreadPoolExecutor(4) as pool:
        people = [checker, other, checker, other]
        got = list(pool.map(lambda person: over_rest(person, asked).status_code, people))

    assert noted() == ["50000.00"]
    assert sorted(set(got)) == [200, 409]


def test_11_approving_and_rejecting_at_once(asked: Approval, house: House, checker: User) -> None:
    other = staff("other@example.com", role="admin", groups=(house.usd,))

    with ThreadPoolExecutor(2) as pool:
        wishes = [(checker, "approve"), (other, "reject")]
        got = list(pool.map(lambda one: over_rest(one[0], asked, deed=one[1]).status_code, wishes))

    asked.refresh_from_db()
    assert sorted(got) == [200, 409]
    assert noted() == (["50000.00"] if asked.status == "executed" else [])


def test_12_a_raised_role_does_not_make_another_person_of_the_maker(asked: Approval, maker: User) -> None:
    users.change_role(user_id=maker.pk, role="superadmin")

    is_problem(over_rest(maker, asked), 403, "second_person_needed")
    assert untouched(asked)


def test_13_a_right_that_was_lost_meanwhile(asked: Approval, checker: User) -> None:
    users.change_role(user_id=checker.pk, role="auditor")

    is_problem(over_rest(checker, asked), 403, "forbidden")
    assert untouched(asked)


def test_14_a_reach_that_was_lost_meanwhile(asked: Approval, house: House) -> None:
    foreign = staff("foreign@example.com", role="admin", groups=(house.eur,))

    is_problem(over_rest(foreign, asked), 404, "approval_not_found")
    on_the_page(signed_in(foreign), [asked])
    assert untouched(asked)


def test_15_own_and_foreign_ones_approved_in_bulk(house: House, maker: User, checker: User) -> None:
    own, foreign = ask(checker, house, "1.00"), ask(maker, house, "2.00")

    on_the_page(signed_in(checker), [own, foreign])

    own.refresh_from_db()
    assert (own.status, noted()) == ("pending", ["2.00"])


@pytest.mark.parametrize("name", ["user:{id}", "user:{id} ", "user:0{id}", "USER:{id}", "user:{id}\n"])
def test_16_the_maker_under_another_spelling(asked: Approval, maker: User, name: str) -> None:
    spelled = replace(acting(maker), name=name.format(id=maker.pk))

    with pytest.raises(RtxError):
        approvals.approve(approval_id=asked.pk, actor=spelled, may=may)

    assert untouched(asked)


def row_of(asked: Approval, **changes: Any) -> dict[str, Any]:
    row = {field.name: getattr(asked, field.name) for field in Approval._meta.concrete_fields}
    return {**row, "id": uuid4(), **changes}


def test_17_one_that_is_born_executed(asked: Approval, checker: User) -> None:
    born = row_of(asked, status="executed", checker_id=checker.pk, checked_at=clock.now())

    with pytest.raises(DatabaseError, match="begins pending"):
        Approval.objects.create(**born)


def test_18_a_copy_of_an_executed_one_waits_again(asked: Approval, checker: User) -> None:
    approvals.approve(approval_id=asked.pk, actor=acting(checker), may=may)
    asked.refresh_from_db()

    with pytest.raises(DatabaseError, match="begins pending"):
        Approval.objects.create(**row_of(asked))
    assert noted() == ["50000.00"]


def test_19_a_content_whose_hash_is_another_ones(asked: Approval) -> None:
    forged = row_of(asked, content=approvals.canonical({"amount": "99999.00"}))

    with pytest.raises(DatabaseError, match="hash"):
        Approval.objects.create(**forged)


def test_20_a_closed_one_cannot_be_opened_again(asked: Approval, checker: User) -> None:
    approvals.reject(approval_id=asked.pk, actor=acting(checker), may=may)

    with pytest.raises(DatabaseError, match="changes once"):
        Approval.objects.filter(pk=asked.pk).update(status="pending", checker_id=None, checked_at=None)
    with pytest.raises(DatabaseError):
        Approval.objects.filter(pk=asked.pk).delete()


def test_21_a_process_that_is_no_person(asked: Approval) -> None:
    with pytest.raises(RtxError):
        approvals.approve(approval_id=asked.pk, actor=Actor.system("beat"), may=lambda right: True)

    assert untouched(asked)


def test_22_a_longer_life(asked: Approval) -> None:
    with pytest.raises(DatabaseError, match="cannot change"):
        Approval.objects.filter(pk=asked.pk).update(
            status="canceled", expires_at=asked.expires_at + timedelta(days=9)
        )
