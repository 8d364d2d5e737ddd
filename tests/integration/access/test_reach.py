"""Reach: given with a reason, until an instant, and gone the moment it ends."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from guardian.models import UserObjectPermission

from apps.accounts.models import ReachGrant, User
from apps.accounts.services import reach
from apps.audit.models import StaffAction
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.admin import reachable_groups
from tests.factories.house import House, staff
from tests.factories.rows import Trader
from tests.factories.staff import signed_in, token_of

ADD = "admin:accounts_reachgrant_add"


@pytest.fixture
def helper(house: House) -> User:
    return staff("helper@example.com")


def grant(user: User | None, group: Any, *, until: Any = None, **more: Any) -> ReachGrant:
    made = ReachGrant(user=user, trading_group=group, until=until, reason="tests", **more)
    return reach.give(made, actor=Actor.system("tests"))


def reached(user: User) -> frozenset[int] | None:
    return reachable_groups(User.objects.get(pk=user.pk))


def test_a_grant_of_the_admin_gives_reach_and_tells_who_gave_it(
    house: House, helper: User, boss: User
) -> None:
    fields = {"user": helper.pk, "trading_group": house.usd.pk, "reason": "holiday cover"}
    answer = signed_in(boss).post(reverse(ADD), fields)

    made = ReachGrant.objects.get()
    assert answer.status_code == 302
    assert reached(helper) == {house.usd.pk}
    assert (made.given_by_id, made.reason, made.until) == (boss.pk, "holiday cover", None)
    assert StaffAction.objects.filter(operation="accounts.add_reachgrant", user_id=boss.pk).exists()


def test_it_ends_at_its_instant_on_pages_and_over_rest(house: House, helper: User) -> None:
    made = grant(helper, house.usd, until=clock.now() + timedelta(hours=1))
    page, rest = signed_in(helper), Trader(token_of(helper))
    url = reverse("admin:accounts_tradingaccount_change", args=[house.anna.pk])
    call = f"/api/admin/risk/account/{house.anna.login}"
    before = (page.get(url).status_code, rest.call("GET", call).status_code)
    ReachGrant.objects.filter(pk=made.pk).update(until=clock.now() - timedelta(milliseconds=1))
    after = (page.get(url).status_code, rest.call("GET", call).status_code)

    assert before == (200, 200)
    assert after == (404, 404)
    reach.withdraw_expired()
    told = StaffAction.objects.get(operation="accounts.withdraw_reach")
    assert (told.actor, told.target_id, told.group_id) == ("system:reach", str(helper.pk), house.usd.pk)
    assert not UserObjectPermission.objects.filter(user=helper).exists()
    assert not ReachGrant.objects.exists()


def test_a_staff_groups_reach_is_its_members(house: House, helper: User) -> None:
    team = Group.objects.create(name="night desk")
    helper.groups.add(team)
    grant(None, house.usd, staff_group=team)
    made = grant(None, house.eur, staff_group=team)
    both = reached(helper)
    ReachGrant.objects.filter(pk=made.pk).update(until=clock.now() - timedelta(seconds=1))
    own = grant(helper, house.eur)

    assert both == {house.usd.pk, house.eur.pk}
    assert reached(helper) == both  # through a grant of their own
    reach.withdraw(own, actor=Actor.system("tests"))
    assert reached(helper) == {house.usd.pk}


def test_nobody_widens_their_own_reach(house: House, helper: User) -> None:
    manager = staff("manager@example.com", role="admin", groups=(house.usd,))
    equal = staff("equal@example.com", role="admin")
    http = signed_in(manager)
    for holder, group in ((manager, house.usd), (equal, house.usd), (helper, house.eur)):
        fields = {"user": holder.pk, "trading_group": group.pk, "reason": "why not"}
        assert http.post(reverse(ADD), fields).status_code == 200
    fields = {"user": helper.pk, "trading_group": house.usd.pk, "reason": "cover"}
    given = http.post(reverse(ADD), fields)

    assert (given.status_code, reached(helper)) == (302, {house.usd.pk})
    assert ReachGrant.objects.count() == 1


def test_a_grant_is_withdrawn_and_moved_with_its_right(house: House, helper: User, boss: User) -> None:
    made = grant(helper, house.usd)
    http = signed_in(boss)
    change = reverse("admin:accounts_reachgrant_change", args=[made.pk])
    http.post(change, {"user": helper.pk, "trading_group": house.eur.pk, "reason": "moved"})
    moved = reached(helper)
    http.post(
        reverse("admin:accounts_reachgrant_delete", args=[ReachGrant.objects.get().pk]),
        {"post": "yes", "change_reason": "not needed any more"},
    )

    assert moved == {house.eur.pk}
    assert reached(helper) == frozenset()


def test_a_grant_in_the_past_is_refused(house: House, helper: User, boss: User) -> None:
    fields = {"user": helper.pk, "trading_group": house.usd.pk, "reason": "cover"}
    answer = signed_in(boss).post(reverse(ADD), {**fields, "until_0": "2020-01-01", "until_1": "00:00:00"})

    assert "lies in the past" in answer.content.decode()
    assert not ReachGrant.objects.exists()
