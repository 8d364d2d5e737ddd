"""The pages of the audit: the staff log and its export, the queue of approvals, integrity, histories."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AccountEvent, User
from apps.audit.models import Approval, IntegrityCheck, StaffAction
from apps.audit.services import actions, sealing
from apps.audit.tasks import verify
from rtx.kernel.actor import Actor, ActorKind
from tests.factories.house import PASSWORD, House, make_house, staff
from tests.factories.staff import signed_in
from tests.integration.audit import test_four_eyes as eyes
from tests.integration.audit.conftest import await_settled
from tests.integration.audit.test_four_eyes import _handler as _handler

LOG = "admin:audit_staffaction_changelist"


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def boss(house: House) -> Client:
    return signed_in(User.objects.create_superuser("boss@example.com", PASSWORD))


def note(house: House, *, user_id: int = 1, **more: Any) -> StaffAction:
    actor = Actor(kind=ActorKind.STAFF, name=f"user:{user_id}", reason="=HYPERLINK(1)", request_id="req-1")
    told = {"operation": "trading.change_position", "target": house.anna, "group_id": house.usd.pk, **more}
    with transaction.atomic():
        return actions.record(
            actor=actor,
            account_id=house.anna.pk,
            before={"position": {"stop_loss": "1.09"}, "side": "buy"},
            after={"position": {"stop_loss": "1.08"}, "side": "buy"},
            **told,
        )


def test_an_entry_shows_before_and_after_side_by_side(house: House, boss: Client) -> None:
    entry = note(house)

    page = boss.get(reverse("admin:audit_staffaction_change", args=[entry.pk])).content.decode()

    changed = page[page.index('class="rtx-diff-changed"') :]
    assert "position.stop_loss" in changed[:120]
    assert changed.index("1.09") < changed.index("1.08")
    assert page.count('class="rtx-diff-changed"') == 1


@pytest.mark.parametrize("term", ["boss@", "login", "req-1", "ticket", "command"])
def test_the_log_is_searched_by_what_people_know(term: str, house: House, boss: Client) -> None:
    user = User.objects.get(email="boss@example.com")
    command = uuid4()
    entry = note(house, user_id=user.pk, command_id=command, target_type="trading.position", target_id="77")
    with transaction.atomic():
        actions.record(actor=Actor(kind=ActorKind.STAFF, name="user:999"), operation="accounts.disable_user")
    known = {"login": str(house.anna.login), "ticket": "#77", "command": str(command)}

    found = boss.get(reverse(LOG), {"q": known.get(term, term)}).context["cl"].result_list

    assert [row.pk for row in found] == [entry.pk]


def test_the_log_ends_at_reach(house: House) -> None:
    dealer = signed_in(staff("auditor@example.com", role="auditor", groups=(house.eur,)))
    entry = note(house)

    assert list(dealer.get(reverse(LOG)).context["cl"].result_list) == []
    assert dealer.get(reverse("admin:audit_staffaction_change", args=[entry.pk])).status_code == 404


def test_the_export_is_safe_to_open_and_logged(house: House, boss: Client) -> None:
    entry = note(house)
    data = {"action": "export_csv", "_selected_action": [str(entry.pk)]}

    answer = boss.post(reverse(LOG), data)

    text = answer.content.decode()
    assert answer["Content-Type"].startswith("text/csv")
    assert "'=HYPERLINK(1)" in text
    assert ",=HYPERLINK" not in text
    assert StaffAction.objects.latest("id").operation == "audit.export_staff_log"


def test_what_waits_comes_first_and_is_decided_on_its_page(house: House, boss: Client) -> None:
    maker = staff("maker@example.com", role="admin", groups=(house.usd,))
    waiting = eyes.ask(maker, house)
    with transaction.atomic():
        later = eyes.ask(maker, house, "1.00")
    Approval.objects.filter(pk=later.pk).update(status="canceled")

    shown = boss.get(reverse("admin:audit_approval_changelist")).context["cl"].result_list
    page = boss.get(reverse("admin:audit_approval_change", args=[waiting.pk])).content.decode()
    eyes.on_the_page(boss, [waiting])

    assert [row.pk for row in shown] == [waiting.pk, later.pk]
    assert "50000.00" in page
    assert "maker@example.com" in page
    waiting.refresh_from_db()
    assert (waiting.status, eyes.noted()) == ("executed", ["50000.00"])


def test_only_the_maker_takes_back(house: House, boss: Client) -> None:
    maker = staff("maker@example.com", role="admin", groups=(house.usd,))
    asked = eyes.ask(maker, house)

    eyes.on_the_page(boss, [asked], "cancel")
    assert eyes.untouched(asked)
    eyes.on_the_page(signed_in(maker), [asked], "cancel")

    asked.refresh_from_db()
    assert asked.status == "canceled"


def test_integrity_is_shown_and_checked(house: House, boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(verify, "delay", asked.append)
    await_settled(AccountEvent.objects.count())
    sealing.seal_all()

    boss.post(reverse("admin:audit_integrity"))
    verify(asked[0])

    live = boss.get(reverse("admin:audit_integrity_live")).json()
    assert (live["check"]["status"], live["heads"][0]["unsealed"]) == ("intact", 0)
    assert live["heads"][0]["tree_size"] > 0
    assert "Sealed logs" in boss.get(reverse("admin:audit_integrity")).content.decode()


def test_integrity_needs_its_right(house: House) -> None:
    support = signed_in(staff("support@example.com", role="support"))

    assert support.get(reverse("admin:audit_integrity")).status_code == 403
    assert support.get(reverse("admin:audit_integrity_live")).status_code == 403
    assert support.post(reverse("admin:audit_integrity")).status_code == 403
    assert not IntegrityCheck.objects.exists()


def test_a_rows_history_tells_what_staff_did_to_it(house: House, boss: Client) -> None:
    entry = note(house)

    page = boss.get(reverse("admin:accounts_tradingaccount_history", args=[house.anna.pk])).content.decode()

    assert "trading.change_position" in page
    assert reverse("admin:audit_staffaction_change", args=[entry.pk]) in page
    assert "<del>1.09</del>" in page


def test_taking_back_is_offered_to_whoever_asked_and_the_decision_to_others(house: House) -> None:
    boss, other = (User.objects.create_superuser(f"{name}@example.com", PASSWORD) for name in ("one", "two"))
    waiting = eyes.ask(boss, house)
    address = reverse("admin:audit_approval_change", args=[waiting.pk])

    offered = {
        user.email: {name for name in ("approve", "reject", "cancel") if f"/{name}/" in page}
        for user in (boss, other)
        for page in [signed_in(user).get(address).content.decode()]
    }

    assert offered == {"one@example.com": {"cancel"}, "two@example.com": {"approve", "reject"}}
