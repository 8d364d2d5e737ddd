"""Roles in the database: as the code says, repaired when they drift, and nobody raises their own."""

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.permissions import ROLE_RIGHTS, rights_of
from apps.accounts.services import roles
from tests.factories.house import PASSWORD, House, staff
from tests.factories.staff import signed_in

CONFIRMED = {"operator_confirmed": "1", "reason": "as agreed", "request_key": "0" * 32}
PERSONAL = "accounts.view_personal_data"


def run(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_a_migrated_database_has_the_roles_of_the_code(db: None) -> None:
    known = {f"{one.content_type.app_label}.{one.codename}" for one in Permission.objects.all()}
    held = {
        role: {
            f"{one.content_type.app_label}.{one.codename}"
            for one in Group.objects.get(name=f"role:{role}").permissions.all()
        }
        for role in ROLE_RIGHTS
    }

    assert held == {role: rights_of(role, known) for role in ROLE_RIGHTS}
    assert roles.unknown() == []
    assert run("sync_roles") == "The roles are as the code says.\n"


def test_an_auditor_changes_nothing(db: None) -> None:
    codes = Group.objects.get(name="role:auditor").permissions.values_list("codename", flat=True)

    assert {code.partition("_")[0] for code in codes} - {"view"} <= {"verify"}  # of the seals
    assert "view_personal_data" not in codes


def test_drift_is_shown_by_a_trial_run_and_repaired_by_a_real_one(house: House) -> None:
    group = Group.objects.get(name="role:support")
    close = Permission.objects.get(content_type__app_label="trading", codename="close_position")
    group.permissions.add(close)
    group.permissions.remove(Permission.objects.get(codename="view_deal"))
    helper = staff("support@example.com", role="support", groups=(house.usd,))
    helper.groups.add(Group.objects.get(name="role:admin"))

    tried = run("sync_roles", "--dry-run")
    drifted = User.objects.get(pk=helper.pk).has_perm("trading.close_position")
    run("sync_roles")
    after = User.objects.get(pk=helper.pk)

    assert "support: + trading.view_deal\nsupport: - trading.close_position\n" in tried
    assert "admin: - 1 members" in tried
    assert "Nothing was changed." in tried
    assert drifted
    assert (after.has_perm("trading.close_position"), after.has_perm("trading.view_deal")) == (False, True)
    assert not after.has_perm("risk.release_killswitch")


def test_roles_are_not_edited_in_the_admin_nor_given_as_sets(boss: User, dealer: User) -> None:
    http = signed_in(boss)
    role = Group.objects.get(name="role:admin")
    page = reverse("admin:auth_group_change", args=[role.pk])
    http.post(page, {"name": "role:admin", "permissions": []})
    user = reverse("admin:accounts_user_change", args=[dealer.pk])
    fields = {
        "email": dealer.email,
        "role": "dealer",
        "is_active": "on",
        "is_staff": "on",
        "change_reason": "new",
    }
    refused = http.post(user, {**fields, "groups": [role.pk]})

    assert role.permissions.exists()
    assert not dealer.groups.exists()
    assert refused.status_code == 200


@pytest.mark.parametrize("role", ["admin", "dealer", "support", "auditor"])
def test_nobody_raises_their_own_role(role: str, house: House) -> None:
    person = staff("self@example.com", role=role, groups=(house.usd,))
    url = reverse("admin:accounts_user_change", args=[person.pk])
    raising = reverse("admin:accounts_user_change_role", args=[person.pk])
    fields = {"email": person.email, "role": "superadmin", "is_active": "on", "is_staff": "on"}
    http = signed_in(person)
    http.post(url, {**fields, "is_superuser": "on"})
    http.post(raising, {**CONFIRMED, "role": "superadmin"})

    kept = User.objects.get(pk=person.pk)
    assert (kept.role, kept.is_superuser) == (role, False)


@pytest.mark.parametrize("role", ["admin", "superadmin"])
def test_an_administrator_gives_no_role_of_their_rank_or_above(role: str, house: House) -> None:
    http = signed_in(staff("manager@example.com", role="admin", groups=(house.usd,)))
    other = staff("dealer2@example.com", groups=(house.usd,))
    url = reverse("admin:accounts_user_change_role", args=[other.pk])
    http.post(url, {**CONFIRMED, "role": role})
    new = {"email": "x@example.com", "role": role, "password1": "another battery 18", "change_reason": "new"}
    http.post(reverse("admin:accounts_user_add"), {**new, "password2": "another battery 18"})
    kept = User.objects.get(pk=other.pk).role
    http.post(url, {**CONFIRMED, "role": "auditor"})

    assert kept == "dealer"
    assert not User.objects.filter(email="x@example.com").exists()
    assert User.objects.get(pk=other.pk).role == "auditor"


def test_the_right_to_personal_data_is_given_to_one_person(house: House, boss: User) -> None:
    helper = staff("support@example.com", role="support", groups=(house.usd,))
    before = helper.has_perm(PERSONAL)
    for action in ("grant", "withdraw"):
        url = reverse(f"admin:accounts_user_{action}_personal_data", args=[helper.pk])
        signed_in(boss).post(
            url, {"operator_confirmed": "1", "reason": "complaints", "request_key": "0" * 32}
        )
        if action == "grant":
            granted = User.objects.get(pk=helper.pk).has_perm(PERSONAL)

    assert (before, granted) == (False, True)
    assert not User.objects.get(pk=helper.pk).has_perm(PERSONAL)


def test_staff_are_created_from_the_command_line(house: House, caplog: Any) -> None:
    arguments = ("new@example.com", "--role", "dealer", "--group", "usd", "--totp")
    tried = run("create_staff", *arguments, "--dry-run")
    nothing = User.objects.filter(email="new@example.com").exists()
    said = run("create_staff", *arguments)

    made = User.objects.get(email="new@example.com")
    password = said.split("initial password: ")[1].split("\n")[0]
    assert (nothing, tried) == (False, "would create new@example.com, dealer, reach: usd\n")
    assert (made.role, made.is_staff, made.check_password(password)) == ("dealer", True, True)
    assert [grant.trading_group_id for grant in made.reach_grants.all()] == [house.usd.pk]
    assert made.authenticator_set.get().type == "totp"
    secret = said.split("authenticator app: ")[1].split("\n")[0]
    for hidden in (password, secret):
        assert hidden not in caplog.text
    with pytest.raises(CommandError, match="taken"):
        run("create_staff", *arguments)
    with pytest.raises(CommandError, match="no trading group nowhere"):
        run("create_staff", "b@example.com", "--role", "dealer", "--group", "nowhere")
    assert PASSWORD not in said
