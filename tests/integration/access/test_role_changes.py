"""Roles of staff: changed with a reason; dealers are made by an administrator and a super administrator."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from apps.accounts.models import StaffSession, User
from apps.accounts.services import users
from apps.audit.models import Approval, StaffAction
from rtx.kernel import clock
from tests.factories.house import House, staff
from tests.factories.staff import signed_in

NEW = {"email": "new@example.com", "password1": "another battery 18", "password2": "another battery 18"}


@pytest.fixture
def manager(house: House) -> User:
    return staff("manager@example.com", role="admin", groups=(house.usd,))


def give(by: User, to: User, role: str, *, reason: str = "she passed her exam") -> Any:
    url = reverse("admin:accounts_user_change_role", args=[to.pk])
    sent = {"operator_confirmed": "1", "reason": reason, "request_key": "0" * 32, "role": role}
    return signed_in(by).post(url, sent)


def decide(by: User, deed: str = "approve") -> Any:
    waiting = Approval.objects.get(status="pending")
    url = reverse(f"admin:audit_approval_{deed}", args=[waiting.pk])
    return signed_in(by).post(
        url, {"operator_confirmed": "1", "reason": "I know her", "request_key": "0" * 32}
    )


def role_of(user: User) -> str:
    return User.objects.get(pk=user.pk).role


def test_a_dealer_is_made_by_two(house: House, manager: User, boss: User) -> None:
    helper = staff("helper@example.com", role="support", groups=(house.usd,))
    signed_in(helper)
    give(manager, helper, "dealer")
    asked = role_of(helper), StaffSession.objects.get(user=helper).ended_at
    decide(boss)

    wanted = StaffAction.objects.get(operation="accounts.change_role", user_id=manager.pk)
    told = StaffAction.objects.get(operation="accounts.change_role", user_id=boss.pk)
    done = Approval.objects.get()
    assert asked == ("support", None)
    assert (role_of(helper), done.status, done.reason) == ("dealer", "executed", "she passed her exam")
    assert (wanted.outcome, wanted.before) == ("requested", {"role": "support"})
    assert (told.before, told.after, told.reason) == ({"role": "support"}, {"role": "dealer"}, "I know her")
    assert StaffSession.objects.get(user=helper).ended_at is not None


def test_another_administrator_is_not_the_second_person(house: House, manager: User) -> None:
    helper = staff("helper@example.com", role="support", groups=(house.usd,))
    second = staff("second@example.com", role="admin", groups=(house.usd,))
    give(manager, helper, "dealer")
    waiting = Approval.objects.get()

    assert decide(second).status_code == 404
    assert decide(manager).status_code == 302
    assert give(manager, helper, "dealer").status_code == 302  # asked again, refused
    assert (role_of(helper), Approval.objects.get(), waiting.status) == ("support", waiting, "pending")


def test_who_was_changed_meanwhile_gets_no_role(house: House, manager: User, boss: User) -> None:
    helper = staff("helper@example.com", role="support", groups=(house.usd,))
    give(manager, helper, "dealer")
    give(boss, helper, "auditor")
    decide(boss)

    assert (role_of(helper), Approval.objects.get().status) == ("auditor", "refused")


def test_a_lower_role_needs_one_person_and_a_reason(house: House, manager: User, dealer: User) -> None:
    give(manager, dealer, "support", reason="")
    without = role_of(dealer)
    give(manager, dealer, "support")

    told = StaffAction.objects.get(operation="accounts.change_role")
    assert (without, role_of(dealer)) == ("dealer", "support")
    assert (told.reason, told.outcome, told.after) == ("she passed her exam", "done", {"role": "support"})
    assert not Approval.objects.exists()


@pytest.mark.parametrize("by", ["manager", "boss"])
def test_a_trader_never_becomes_staff(by: str, house: House, request: pytest.FixtureRequest) -> None:
    trader = house.anna.client.user
    give(request.getfixturevalue(by), trader, "auditor")

    assert (role_of(trader), User.objects.get(pk=trader.pk).is_staff) == ("trader", False)


def test_no_role_is_chosen_because_it_stands_first(boss: User, house: House) -> None:
    http = signed_in(boss)
    change = reverse("admin:accounts_user_change_role", args=[staff("clerk@example.com", role="support").pk])

    for page in (reverse("admin:accounts_user_add"), change):
        text = http.get(page).content.decode()
        select = text[text.index('<select name="role"') :]
        select = select[: select.index("</select>")]
        assert re.findall(r'value="(\w*)"', select)[0] == ""
        assert "selected" not in select.partition('value="superadmin"')[2]
    http.post(reverse("admin:accounts_user_add"), {**NEW, "change_reason": "for the night desk"})
    assert not User.objects.filter(email=NEW["email"]).exists()


@pytest.mark.parametrize(("role", "first"), [("dealer", "auditor"), ("support", "support")])
def test_a_new_dealer_begins_as_auditor(role: str, first: str, manager: User, boss: User) -> None:
    add = reverse("admin:accounts_user_add")
    http = signed_in(manager)
    http.post(add, {**NEW, "role": role})
    without_reason = User.objects.filter(email=NEW["email"]).exists()
    http.post(add, {**NEW, "role": role, "change_reason": "for the night desk"})
    made = User.objects.get(email=NEW["email"])
    waiting = Approval.objects.filter(status="pending").count()
    if waiting:
        decide(boss)

    told = StaffAction.objects.get(operation="accounts.add_user")
    assert not without_reason
    assert (made.role, waiting, role_of(made)) == (first, int(role == "dealer"), role)
    assert (told.reason, told.target_id) == ("for the night desk", str(made.pk))
    assert told.after["role"] == first


@pytest.mark.parametrize(("role", "keeps"), [("support", False), ("admin", True)])
def test_a_lower_role_keeps_nothing_that_was_given_besides(
    role: str, keeps: bool, dealer: User, boss: User
) -> None:
    desk = Group.objects.create(name="night desk")
    dealer.groups.add(desk)
    users.set_personal_data(user_id=dealer.pk, is_granted=True, by_role="superadmin")
    give(boss, dealer, role)

    dealer.refresh_from_db()
    assert (role_of(dealer), desk.user_set.exists(), dealer.user_permissions.exists()) == (role, keeps, keeps)


def test_a_request_that_is_over_holds_up_no_other(house: House, manager: User, time_machine: Any) -> None:
    helper = staff("helper@example.com", role="support", groups=(house.usd,))
    now = clock.now()
    time_machine.move_to(now - timedelta(days=10))
    give(manager, helper, "dealer")
    time_machine.move_to(now)
    give(manager, helper, "dealer")

    assert Approval.objects.count() == 2
