"""The page of an account: figures that follow, changes shown before they are made, files in."""

import csv
import io
import re
import zipfile
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.accounts.adapters import sheets
from apps.accounts.models import AccountEvent, Client, ImportRun, TradingAccount, User
from apps.accounts.services import clients, imports
from apps.accounts.services.clients import PersonalData
from apps.audit.models import StaffAction
from apps.groups.models import TradingGroup
from rtx.kernel.actor import Actor, ActorKind
from tests.factories.house import PASSWORD, House, buy, make_house, quote, staff
from tests.factories.operating import seal_of
from tests.factories.staff import signed_in
from tests.integration.accounts.test_client_pages import CONFIRMED, allow

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def boss(house: House) -> User:
    return User.objects.create_superuser("boss@example.com", PASSWORD)


@pytest.fixture
def pro(house: House) -> TradingGroup:
    return TradingGroup.objects.create(name="pro", currency="USD", leverage_max=10)


def page(account: TradingAccount, name: str) -> str:
    return f"/admin/accounts/tradingaccount/{account.pk}/{name}/"


def confirmed(http: Any, address: str, form: dict[str, Any]) -> Any:
    """Send a form, and confirm the dry run that answers it."""
    shown = http.post(address, {**CONFIRMED, **form})
    if shown.status_code != 200:
        return shown
    hidden = re.findall(r'name="(\w+)" value="([^"]*)"', shown.content.decode())
    return http.post(address, {**CONFIRMED, **form, **{k: v for k, v in hidden if k == "operator_previewed"}})


def test_the_figures_follow_the_market(house: House, boss: User) -> None:
    opened = buy(house.anna, "EURUSD", "1.00")
    http, address = signed_in(boss), reverse("admin:accounts_tradingaccount_live", args=[house.anna.pk])
    quote("EURUSD", "1.10500", "1.10510")

    told = http.get(address).json()

    assert "10\u202f490.00" in told["figures"]["equity"]
    assert told["figures"]["margin_level"] == "953.55 %"
    assert "490.00" in told["positions"][str(opened.order.position_id)]["profit"]


def test_the_page_watches_and_draws(house: House, boss: User) -> None:
    buy(house.anna, "EURUSD", "1.00")
    http = signed_in(boss)

    shown = http.get(page(house.anna, "change")).content.decode()
    curve = http.get(f"{reverse('admin:accounts_tradingaccount_equity', args=[house.anna.pk])}?days=7").json()

    assert 'data-rtx-account="/admin/accounts/tradingaccount/' in shown
    for tab in (
        "trading_position",
        "trading_deal",
        "risk_margincall",
        "risk_liquidation",
        "accounts_ledgerline",
    ):
        assert f'id="tab-{tab}"' in shown
    assert curve["currency"] == "USD"
    assert curve["points"][-1][1] == "10000.00"


def test_tabs_and_addresses_follow_rights_and_reach(house: House) -> None:
    viewer = allow(staff("v@example.com", role=User.Role.SUPPORT, groups=(house.usd,)), "view_tradingaccount")
    http = signed_in(viewer)

    for name in ("live", "equity"):
        assert http.get(page(house.bruno, name)).status_code == 404, name
    assert http.get(page(house.anna, "live")).status_code == 200
    assert http.post(page(house.anna, "change_group"), {**CONFIRMED, "reason": "try"}).status_code == 403


def test_a_move_is_shown_before_and_logged(house: House, boss: User, pro: TradingGroup) -> None:
    buy(house.anna, "EURUSD", "0.50")
    http, form = signed_in(boss), {"group": pro.pk, "leverage": "", "reason": "upgraded"}

    shown = http.post(page(house.anna, "change_group"), {**CONFIRMED, **form}).content.decode()
    done = confirmed(http, page(house.anna, "change_group"), form)

    assert "usd → pro" in shown
    assert "5\u202f500.50" in shown  # margin at 1:10
    assert not AccountEvent.objects.filter(type="account_moved", account=house.bruno).exists()
    house.anna.refresh_from_db()
    assert (done.status_code, house.anna.group_id, house.anna.leverage) == (302, pro.pk, 10)
    entry = StaffAction.objects.get(operation="trading.move_account")
    assert (entry.reason, entry.before["group_id"], entry.after["group_id"]) == (
        "upgraded",
        house.usd.pk,
        pro.pk,
    )


def test_a_move_into_a_stop_out_must_be_meant(house: House, boss: User, pro: TradingGroup) -> None:
    buy(house.anna, "EURUSD", "2.00")
    http, form = signed_in(boss), {"group": pro.pk, "leverage": "1", "reason": "test"}

    shown = http.post(page(house.anna, "change_group"), {**CONFIRMED, **form}).content.decode()
    refused = confirmed(http, page(house.anna, "change_group"), form)
    still = TradingAccount.objects.get(pk=house.anna.pk).group_id
    done = confirmed(http, page(house.anna, "change_group"), {**form, "accepts_stop_out": "on"})

    assert "It would be stopped out at once" in shown
    assert (refused.status_code, still) in ((302, house.usd.pk), (200, house.usd.pk))
    assert (done.status_code, TradingAccount.objects.get(pk=house.anna.pk).group_id) == (302, pro.pk)


@pytest.mark.parametrize(
    ("lots", "doubt"),
    [
        ("0.10", ""),
        ("0.90", "A margin call in the new group has come in."),
        ("1.90", "A stop-out in the new group has come in."),
    ],
)
def test_a_move_pushes_nobody_who_was_not_shown(
    house: House, boss: User, pro: TradingGroup, lots: str, doubt: str
) -> None:
    buy(house.anna, "EURUSD", "0.05")
    http, address = signed_in(boss), page(house.anna, "change_group")
    form = {**CONFIRMED, "group": pro.pk, "leverage": "10", "accepts_stop_out": "on", "reason": "upgraded"}
    seal = seal_of(http.post(address, form))
    buy(house.anna, "EURUSD", lots)

    answer = http.post(address, {**form, "operator_previewed": seal})

    assert (answer.context["doubts"] if doubt else answer.status_code) == ([doubt] if doubt else 302)
    moved = TradingAccount.objects.get(pk=house.anna.pk).group_id == pro.pk
    assert moved is (doubt == "")


def test_only_groups_that_fit_are_offered(house: House, boss: User, pro: TradingGroup) -> None:
    TradingGroup.objects.create(name="netting", currency="USD", position_mode="netting")

    form = signed_in(boss).get(page(house.anna, "change_group")).context["form"]

    assert [group.name for group in form.fields["group"].queryset] == ["pro"]


def test_leverage_is_changed_in_bulk(house: House, boss: User) -> None:
    form = {
        "action": "change_leverage",
        "_selected_action": [house.anna.pk, house.bruno.pk],
        "leverage": "20",
        "reason": "regulation",
    }
    done = confirmed(signed_in(boss), reverse("admin:accounts_tradingaccount_changelist"), form)

    assert done.status_code == 302
    assert set(TradingAccount.objects.values_list("leverage", flat=True)) == {20}
    assert StaffAction.objects.filter(operation="trading.change_account", reason="regulation").count() == 2


def test_only_an_empty_account_is_closed(house: House, boss: User) -> None:
    empty = TradingAccount.objects.get(pk=house.anna.pk)
    http = signed_in(boss)
    refused = http.post(page(empty, "close_account"), {**CONFIRMED, "reason": "left us"}, follow=True)

    assert "money on 1 account" in str(next(iter(refused.context["messages"])))
    assert TradingAccount.objects.get(pk=empty.pk).status == "active"


# -- in

HEADER = "email,first_name,last_name,country,group,leverage\n"
GOOD = "ida@example.com,Ida,Lund,dk,usd,50\nole@example.com,Ole,Berg,no,usd,\n"
BAD = "anna@example.com,Anna,Again,se,usd,\nx,No,Mail,se,usd,\nkim@example.com,Kim,Holm,se,nowhere,\n"


def test_a_file_is_checked_started_and_its_failures_come_back(house: House, boss: User) -> None:
    http = signed_in(boss)
    upload = SimpleUploadedFile("people.csv", (HEADER + GOOD + BAD).encode())

    checked = http.post(
        "/admin/accounts/importrun/new/", {**CONFIRMED, "file": upload, "reason": "migration"}
    )
    run = ImportRun.objects.get()
    shown = http.get(checked["Location"]).content.decode()
    imports.start(run_id=run.pk)
    imports.carry_out(run_id=run.pk)
    imports.carry_out(run_id=run.pk)  # again: nothing is taken twice
    failing = http.get(f"/admin/accounts/importrun/{run.pk}/errors/").content.decode("utf-8-sig")
    progress = http.get(f"/admin/accounts/importrun/{run.pk}/progress/").json()

    assert "ida@example.com" not in shown
    assert "there is no such active group within reach" in shown
    assert progress == {"status": "done", "rows": 5, "next_row": 5, "opened": 2, "failed": 3}
    told = {row["email"]: row["error"] for row in csv.DictReader(io.StringIO(failing))}
    assert sorted(told) == ["anna@example.com", "kim@example.com", "x"]
    assert told["anna@example.com"] == "This e-mail address is taken."
    made = TradingAccount.objects.get(client__user__email="ida@example.com")
    assert (made.leverage, made.group_id, made.client.country) == (50, house.usd.pk, "DK")
    assert bytes(ImportRun.objects.get().file_sealed) == b""
    assert StaffAction.objects.filter(operation="accounts.import_account", reason="migration").count() == 2


def test_an_import_reaches_no_further_than_its_starter(house: House) -> None:
    clerk = allow(staff("clerk@example.com", role=User.Role.SUPPORT, groups=(house.usd,)), "run_importrun")
    rows = f"client_number,group\n{house.bruno.client.number},usd\n{house.anna.client.number},eur\n"
    actor = Actor(kind=ActorKind.STAFF, name=f"user:{clerk.pk}", reason="try")
    run, checked = imports.prepare(rows.encode(), actor=actor, reach=frozenset({house.usd.pk}))
    imports.start(run_id=run.pk)
    imports.carry_out(run_id=run.pk)

    run.refresh_from_db()
    assert (len(checked.failures), run.opened, run.failed) == (1, 0, 2)


def test_an_import_takes_over_no_client_without_an_account(house: House, boss: User) -> None:
    clerk = allow(staff("clerk@example.com", role=User.Role.SUPPORT, groups=(house.usd,)), "run_importrun")
    foreign, own = (
        clients.register(
            email=f"{opener.pk}@example.com",
            password=None,
            person=PersonalData(first_name="Ida", last_name="Falk"),
            country="DK",
            opened_by=opener.pk,
        )
        for opener in (boss, clerk)
    )
    actor = Actor(kind=ActorKind.STAFF, name=f"user:{clerk.pk}", reason="try")
    content = f"client_number,group\n{foreign.number},usd\n{own.number},usd\n".encode()
    run, _ = imports.prepare(content, actor=actor, reach=frozenset({house.usd.pk}))
    imports.start(run_id=run.pk)
    imports.carry_out(run_id=run.pk)

    assert (foreign.trading_accounts.count(), own.trading_accounts.count()) == (0, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"email\n",
        b"email,role,group\na@b.de,admin,usd\n",
        b"email,is_superuser,group\na@b.de,1,usd\n",
        b"PK\x03\x04 nonsense",
        "email,group\n\xff".encode("latin-1"),
        b'email,group\n"open,usd\n',
    ],
)
def test_files_that_cannot_be_taken_are_refused(house: House, content: bytes) -> None:
    with pytest.raises(sheets.SheetInvalid):
        imports.check(content, reach=None)


def test_a_bomb_and_a_document_type_are_refused() -> None:
    def packed(body: bytes) -> bytes:
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet1.xml", body)
        return whole.getvalue()

    for body in (b"0" * (sheets.UNPACKED_BYTES_MAX + 1), b"<!DOCTYPE x [<!ENTITY a 'b'>]><worksheet/>"):
        with pytest.raises(sheets.SheetInvalid):
            sheets.read(packed(body))


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_written_reads_back(form: str) -> None:
    rows = [
        ["=1+1", "+49", "-x", "@a", "plain", "a;b,c\n<d>&", ""],
        ["'quoted", "ä", "1", "2", "3", "4", "5"],
    ]

    header, found = sheets.read(sheets.written(list("abcdefg"), rows, form=form))

    assert header == list("abcdefg")
    assert found == rows


def test_clients_stay_the_same_when_nothing_is_started(house: House) -> None:
    before = Client.objects.count()
    imports.check((HEADER + GOOD).encode(), reach=None)

    assert Client.objects.count() == before
