"""Staff download a statement from its account's page, within their reach, without names they may not see."""

from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from rtx.kernel import clock
from tests.factories import house as made
from tests.factories.house import House
from tests.integration.admin.conftest import signed_in

pytestmark = pytest.mark.django_db


def download(web: Client, house: House, **query: str):
    url = reverse("admin:accounts_tradingaccount_statement", args=[house.anna.pk])
    today = f"{clock.now():%Y-%m-%d}"
    return web.get(url, {"from": today, "to": today, "format": "csv", **query})


@pytest.fixture
def staff(house: House) -> Callable[..., Client]:
    """Return a function that signs in as a role with reach over the account's group."""

    def sign_in(role: str, *, reach: bool = True) -> Client:
        groups = (house.usd,) if reach else (house.eur,)
        return signed_in(made.staff(f"{role}@example.com", role=role, groups=groups))

    return sign_in


def test_the_page_offers_a_statement(staff, house):
    page = (
        staff(User.Role.SUPPORT)
        .get(reverse("admin:accounts_tradingaccount_change", args=[house.anna.pk]))
        .content.decode()
    )

    assert f'action="/admin/accounts/tradingaccount/{house.anna.pk}/statement/"' in page
    assert '<option value="pdf">' in page


def test_who_may_see_personal_data_gets_the_file_with_the_name(staff, house):
    answer = download(staff(User.Role.ADMIN), house)

    assert answer["Content-Disposition"].startswith(f'attachment; filename="statement-{house.anna.login}-')
    assert answer["Cache-Control"].startswith("no-store")
    assert "Test Ahlberg" in answer.content.decode()
    assert "10000.00" in answer.content.decode()


@pytest.mark.parametrize("role", [User.Role.DEALER, User.Role.SUPPORT])
def test_others_get_it_without_the_name(staff, house, role):
    answer = download(staff(role), house)

    assert answer.status_code == 200
    assert "Ahlberg" not in answer.content.decode()


def test_pdf_comes_as_pdf(staff, house):
    assert download(staff(User.Role.AUDITOR), house, format="pdf").content.startswith(b"%PDF-")


def test_outside_reach_it_is_not_there(staff, house):
    assert download(staff(User.Role.SUPPORT, reach=False), house).status_code == 404


def test_a_format_that_is_none_is_not_there(staff, house):
    assert download(staff(User.Role.SUPPORT), house, format="exe").status_code == 404


def test_without_login_it_asks_for_one(house):
    answer = download(Client(), house)

    assert answer.status_code == 302
    assert "/login/" in answer["Location"]


def test_a_wrong_period_is_said_on_the_page(staff, house):
    web = staff(User.Role.SUPPORT)

    answer = download(web, house, **{"from": "2014-01-01", "to": "2016-01-01"})

    assert answer.status_code == 302
    assert "at most 366 days" in web.get(answer["Location"]).content.decode()


def test_a_period_that_has_not_begun_is_said_on_the_page(staff, house):
    web = staff(User.Role.SUPPORT)

    answer = download(web, house, **{"from": "2999-01-02", "to": "2999-01-03"})

    assert answer.status_code == 302
    assert "from lies in the future" in web.get(answer["Location"]).content.decode()


def test_the_command_refuses_a_period_that_has_not_begun(house):
    with pytest.raises(CommandError, match="from lies in the future"):
        call_command(
            "statement", "--account", str(house.anna.login), "--from", "2999-01-02", "--to", "2999-01-03"
        )
