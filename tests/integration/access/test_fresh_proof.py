"""
What sets up another's access, and what takes personal data away as a file, asks for a recent sign-in: else a
session left open makes a puppet, or tells everything.
"""

import json

import pytest
from django.urls import reverse

from apps.accounts.models import AllowedNetwork, ImportFailure, ImportRun, ReachGrant, User
from apps.audit.models import StaffAction
from rtx.kernel import clock, encryption
from tests.factories.house import House, make_house, staff
from tests.factories.rows import Trader
from tests.factories.staff import signed_in, token_of

pytestmark = pytest.mark.django_db
OLD_S = 700


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def boss(house: House) -> User:
    return User.objects.create_superuser("boss@example.com", "correct horse battery 17", role="superadmin")


@pytest.mark.parametrize(
    ("page", "form"),
    [
        ("accounts_user_add", {"email": "new@example.com", "role": "admin", "change_reason": "new"}),
        ("accounts_reachgrant_add", {"reason": "holidays"}),
        ("accounts_allowednetwork_add", {"network": "203.0.113.7", "note": "home", "change_reason": "new"}),
    ],
)
def test_setting_somebody_up_on_a_page(boss: User, page: str, form: dict[str, str]) -> None:
    answer = signed_in(boss, proved_s_ago=OLD_S).post(reverse(f"admin:{page}"), form)

    assert answer.status_code == 302
    assert page.split("_")[1] not in answer["Location"].partition("?")[0]
    assert (User.objects.filter(email="new@example.com").count(), ReachGrant.objects.count()) == (0, 0)
    assert AllowedNetwork.objects.count() == 0


def test_a_password_and_rows_chosen_in_a_list(boss: User, house: House) -> None:
    other = staff("other@example.com", role="support")
    grant = ReachGrant.objects.create(
        user=other, trading_group=house.usd, reason="holidays", given_at="2026-01-01T00:00Z"
    )
    http = signed_in(boss, proved_s_ago=OLD_S)
    chosen = {
        "action": "delete_selected",
        "_selected_action": [str(grant.pk)],
        "post": "yes",
        "change_reason": "not needed any more",
    }
    before = User.objects.get(pk=other.pk).password

    password = {
        "password1": "another horse battery 18",
        "password2": "another horse battery 18",
        "change_reason": "forgotten",
    }
    http.post(reverse("admin:auth_user_password_change", args=[other.pk]), password)
    http.post(reverse("admin:accounts_reachgrant_changelist"), chosen)

    assert (ReachGrant.objects.count(), User.objects.get(pk=other.pk).password) == (1, before)


@pytest.mark.parametrize(
    "action", ["change_role", "grant_personal_data", "withdraw_personal_data", "reset_second_factors"]
)
def test_rights_of_a_person(boss: User, action: str) -> None:
    other = staff("other@example.com", role="support")
    page = reverse(f"admin:accounts_user_{action}", args=[other.pk])
    sent = {"operator_confirmed": "1", "reason": "new desk", "request_key": "0" * 32, "role": "auditor"}
    answer = signed_in(boss, proved_s_ago=OLD_S).post(page, sent)

    assert answer["Location"].startswith("/admin/prove/")
    assert not StaffAction.objects.exists()


def test_a_user_over_rest(boss: User) -> None:
    other = staff("other@example.com", role="support")
    old = Trader(token_of(boss, proved_s_ago=3600))
    for method, body in (
        ("PUT", {"is_active": False, "reason": "left us"}),
        ("DELETE", {"reason": "left us"}),
    ):
        answer = old.call(method, f"/api/admin/user/{other.pk}", json.dumps(body))
        assert (answer.status_code, answer.json()["code"]) == (401, "reauthentication_required")
    other.refresh_from_db()
    assert other.is_active


@pytest.mark.parametrize(("proved_s_ago", "is_given"), [(OLD_S, False), (0, True)])
def test_personal_data_that_leaves_as_a_file(
    proved_s_ago: int, is_given: bool, boss: User, house: House
) -> None:
    run = ImportRun.objects.create(started_by=boss, status="done", rows=1, created_at=clock.now())
    failure = ImportFailure(run=run, row=2, reason="no e-mail")
    failure.cells_sealed = encryption.master_keys().seal(b"{}", associated=failure.place())
    failure.save()
    http = signed_in(boss, proved_s_ago=proved_s_ago)
    export = {"operator_confirmed": "1", "reason": "audit", "request_key": "0" * 32, "format": "csv"}
    answers = {
        "personal": http.post(reverse("admin:accounts_client_export"), {**export, "personal": "on"}),
        "accounts": http.post(reverse("admin:accounts_tradingaccount_export"), {**export, "personal": "on"}),
        "failing rows": http.get(reverse("admin:accounts_importrun_errors", args=[run.pk])),
    }
    plain = http.post(reverse("admin:accounts_client_export"), export)

    told = {"accounts.export_client", "accounts.export_tradingaccount", "accounts.download_import_errors"}
    assert {name for name, answer in answers.items() if answer.status_code == 200} == (
        set(answers) if is_given else set()
    )
    assert plain["Content-Disposition"].startswith("attachment")
    assert set(StaffAction.objects.values_list("operation", flat=True)) == (
        told if is_given else {"accounts.export_client"}
    )
