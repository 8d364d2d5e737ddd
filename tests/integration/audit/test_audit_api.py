"""The audit over REST: the staff log, integrity, approvals, within right and reach."""

from typing import Any

import pytest
from django.db import transaction

from apps.accounts.models import User
from apps.audit.models import Approval, IntegrityCheck, StaffAction
from apps.audit.services import actions
from apps.audit.tasks import verify
from rtx.kernel.actor import Actor, ActorKind
from tests.factories.house import PASSWORD, House, make_house, staff
from tests.factories.problems import is_problem
from tests.factories.rows import Trader
from tests.factories.staff import token_of
from tests.integration.audit import test_four_eyes as eyes
from tests.integration.audit.test_four_eyes import _handler as _handler

pytestmark = pytest.mark.django_db


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the checks that workers are asked for."""
    asked: list[int] = []
    monkeypatch.setattr(verify, "delay", asked.append)
    return asked


def get(user: User, path: str) -> Any:
    return Trader(token_of(user)).call("GET", f"/api/admin/{path}")


def note(user_id: int, operation: str, group_id: int | None, **more: Any) -> StaffAction:
    actor = Actor(kind=ActorKind.STAFF, name=f"user:{user_id}", reason="by phone", request_id="r-1")
    with transaction.atomic():
        return actions.record(actor=actor, operation=operation, group_id=group_id, **more)


def test_the_staff_log_is_read_within_reach(house: House) -> None:
    auditor = staff("auditor@example.com", role="auditor", groups=(house.usd,))
    near = note(1, "trading.close_position", house.usd.pk, account_id=house.anna.pk)
    note(1, "trading.close_position", house.eur.pk)
    note(1, "accounts.disable_user", None)
    own = note(auditor.pk, "audit.verify", None)

    rows = get(auditor, "audit").json()["results"]
    of_all = get(User.objects.create_superuser("boss@example.com", PASSWORD), "audit").json()["results"]

    assert [row["id"] for row in rows] == [own.pk, near.pk]
    assert (rows[1]["operation"], rows[1]["reason"], rows[1]["request_id"]) == (
        "trading.close_position",
        "by phone",
        "r-1",
    )
    assert len(of_all) == 4


def test_the_staff_log_is_filtered(house: House) -> None:
    auditor = staff("auditor@example.com", role="auditor", groups=(house.usd,))
    first = note(1, "trading.close_position", house.usd.pk, account_id=house.anna.pk)
    note(2, "trading.place_order", house.usd.pk, outcome="refused")

    def ids(query: str) -> list[int]:
        return [row["id"] for row in get(auditor, f"audit?{query}").json()["results"]]

    for query in (
        f"account={house.anna.login}",
        "user=1",
        "operation=trading.close_position",
        "outcome=done",
    ):
        assert ids(query) == [first.pk], query
    assert ids("to=2020-01-01T00:00:00Z") == []
    is_problem(get(auditor, f"audit?account={house.bruno.login}"), 404, "account_not_found")
    is_problem(get(auditor, "audit?outcome=maybe"), 400, "invalid")
    is_problem(get(auditor, "audit?user=x"), 400, "invalid")


def test_the_audit_needs_its_rights(house: House) -> None:
    support = staff("support@example.com", role="support", groups=(house.usd,))
    dealer = staff("dealer@example.com", groups=(house.usd,))

    is_problem(get(support, "audit"), 403, "forbidden")
    is_problem(get(support, "audit/verify"), 403, "forbidden")
    is_problem(get(support, "approvals"), 403, "forbidden")
    is_problem(Trader(token_of(dealer)).call("POST", "/api/admin/audit/verify"), 403, "forbidden")
    assert not IntegrityCheck.objects.exists()


def test_a_check_is_started_once_and_logged(house: House, published: list[int]) -> None:
    auditor = staff("auditor@example.com", role="auditor")
    http = Trader(token_of(auditor))

    first = http.call("POST", "/api/admin/audit/verify")
    again = http.call("POST", "/api/admin/audit/verify")

    assert (first.status_code, again.json()["id"], published) == (
        202,
        first.json()["id"],
        [first.json()["id"]],
    )
    verify(published[0])
    state = get(auditor, "audit/verify").json()
    assert (state["check"]["status"], state["check"]["findings"]) == ("intact", [])
    assert [head["log"] for head in state["heads"]] == ["journal", "staff_log"]
    assert StaffAction.objects.get().operation == "audit.verify"


def test_approvals_are_listed_within_reach(house: House) -> None:
    maker = staff("maker@example.com", role="admin", groups=(house.usd,))
    foreign = staff("foreign@example.com", role="admin", groups=(house.eur,))
    asked = eyes.ask(maker, house)

    (shown,) = get(maker, "approvals?status=pending&kind=test.note").json()["results"]

    assert (shown["id"], shown["status"], shown["content"]) == (
        str(asked.pk),
        "pending",
        {"amount": "50000.00"},
    )
    assert get(foreign, "approvals").json()["results"] == []
    is_problem(get(maker, "approvals?status=maybe"), 400, "invalid")


def test_a_decision_needs_a_key_a_reason_and_a_fresh_sign_in(house: House) -> None:
    maker = staff("maker@example.com", role="admin", groups=(house.usd,))
    checker = staff("checker@example.com", role="admin", groups=(house.usd,))
    support = staff("support@example.com", role="support", groups=(house.usd,))
    first, second = eyes.ask(maker, house), eyes.ask(maker, house, "1.00")
    path = f"/api/admin/approval/{first.pk}/approve"
    fresh, old = Trader(token_of(checker)), Trader(token_of(checker, proved_s_ago=7200))

    is_problem(fresh.call("POST", path, '{"reason": "seen"}'), 400, "invalid")
    is_problem(fresh.call("POST", path, "{}", **{"Idempotency-Key": "k"}), 400, "invalid")
    is_problem(
        old.call("POST", path, '{"reason": "seen"}', **{"Idempotency-Key": "k"}),
        401,
        "reauthentication_required",
    )
    is_problem(eyes.over_rest(support, first), 403, "forbidden")
    assert eyes.over_rest(checker, first, key="k").json()["status"] == "executed"
    is_problem(eyes.over_rest(checker, second, key="k"), 409, "idempotency_key_reused")
    assert eyes.over_rest(checker, second, deed="reject").json()["status"] == "rejected"
    assert Approval.objects.filter(status="pending").count() == 0
