"""Lists as files: what they hold, what is said beforehand, and who may take what."""

import csv
import io

import pytest

from apps.accounts.adapters import sheets
from apps.accounts.admin import exports
from apps.accounts.models import TradingAccount, User
from apps.audit.models import StaffAction
from tests.factories.house import PASSWORD, House, make_house, staff
from tests.factories.staff import signed_in
from tests.integration.accounts.test_client_pages import CONFIRMED, allow

pytestmark = pytest.mark.django_db


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def boss(house: House) -> User:
    return User.objects.create_superuser("boss@example.com", PASSWORD)


def test_an_export_holds_what_the_list_shows_and_no_formula(house: House, boss: User) -> None:
    client = house.anna.client
    client.first_name = "=cmd|' /C calc'!A0"
    client.save()
    http, address = signed_in(boss), "/admin/accounts/tradingaccount/export/"
    form = {
        **CONFIRMED,
        "format": "csv",
        "personal": "on",
        "reason": "audit",
        "filters": f"q={house.anna.login}",
    }

    answer = http.post(address, form)

    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["login"] for row in rows] == [str(house.anna.login)]
    assert rows[0]["first_name"] == "'=cmd|' /C calc'!A0"
    assert rows[0]["phone"].startswith("'+49")
    assert (rows[0]["balance"], rows[0]["group"]) == ("10000.00", "usd")
    entry = StaffAction.objects.get(operation="accounts.export_tradingaccount")
    assert entry.after == {"rows": 1, "format": "csv", "personal_data": True, "filtered_by": ["q"]}


def test_an_export_says_beforehand_how_many_rows_it_has(
    house: House, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    http, address = signed_in(boss), "/admin/accounts/tradingaccount/export/"
    accounts = TradingAccount.objects.count()
    listed = f"http://testserver/admin/accounts/tradingaccount/?q={house.anna.login}"

    assert f"reach: <strong>{accounts}</strong>." in http.get(address).content.decode()
    assert "filtered: <strong>1</strong>." in http.get(address, HTTP_REFERER=listed).content.decode()
    monkeypatch.setattr(exports, "ROWS_MAX", accounts - 1)
    assert f"more than {accounts - 1}</strong>" in http.get(address).content.decode()


@pytest.mark.parametrize(
    "filters",
    ["q=%00", "opened_at_from_0=a%00b", "opened_at_from_0=2026-02-30", "group__id__exact=usd"],
)
def test_an_export_of_a_list_that_cannot_be_filtered_so_says_so(
    house: House, boss: User, filters: str
) -> None:
    form = {**CONFIRMED, "format": "csv", "reason": "audit", "filters": filters}

    answer = signed_in(boss).post("/admin/accounts/tradingaccount/export/", form)

    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/html")
    assert answer.content.count(b"cannot be filtered like that") == 1
    assert not StaffAction.objects.filter(operation="accounts.export_tradingaccount").exists()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("e=1", "All rows within your reach: <strong>2</strong>."),
        ("opened_at_from_0=2026-02-30&group__id__exact=1", "The rows of the list as it was filtered."),
    ],
)
def test_an_export_tells_what_the_list_was(house: House, boss: User, query: str, told: str) -> None:
    listed = f"http://testserver/admin/accounts/tradingaccount/?{query}"

    answer = signed_in(boss).get("/admin/accounts/tradingaccount/export/", HTTP_REFERER=listed)

    assert told in answer.content.decode()


def test_personal_columns_and_exports_need_their_rights(house: House) -> None:
    clerk = allow(
        staff("clerk@example.com", role=User.Role.SUPPORT, groups=(house.usd,)),
        "view_client",
        "export_client",
    )
    http, address = signed_in(clerk), "/admin/accounts/client/export/"
    form = {**CONFIRMED, "format": "xlsx", "personal": "on", "reason": "list"}

    answer = http.post(address, form)
    viewer = allow(staff("v@example.com", role=User.Role.SUPPORT, groups=(house.usd,)), "view_client")

    header, rows = sheets.read(answer.content)
    assert header == [
        "client_number",
        "user_id",
        "country",
        "kyc_status",
        "kyc_valid_until",
        "may_log_in",
        "created_at",
    ]
    assert [row[0] for row in rows] == [str(house.anna.client.number)]
    assert signed_in(viewer).post(address, form).status_code == 403
