"""
Files that staff and traders download hold no formula (CSV injection): a text that begins as one comes out
with an apostrophe, in every list with an export, the staff log and statements.
"""

import csv
import io
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.adapters import sheets
from apps.accounts.admin.exports import ExportedAdmin
from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import User
from apps.accounts.services import clients, tokens, trading_accounts
from apps.accounts.services.clients import PersonalData
from apps.audit.models import StaffAction
from apps.audit.services import actions
from apps.trading.services import balances
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.admin_actions import CONFIRMED
from tests.factories.house import PASSWORD, SEEDER, House, make_house
from tests.factories.staff import signed_in

STARTS = ("=", "+", "-", "@", "\t", "\r")
FORMULA = "cmd|' /C calc'!A1"
EVIL = [f"{start}{FORMULA}" for start in STARTS]


def formulas(text: str) -> list[str]:
    """Return the cells that a spreadsheet would compute; numbers are none."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    return [cell for row in rows for cell in row if cell.startswith(STARTS) and FORMULA in cell]


@pytest.fixture
def house(db: None) -> House:
    """A broker whose client, staff log and postings say formulas wherever somebody may write a text."""
    house = make_house()
    for number, evil in enumerate(EVIL):
        person = PersonalData(first_name=evil, last_name=evil, phone=evil)
        opened = clients.register(
            email=f"evil{number}@example.com", password=PASSWORD, person=person, country="DE"
        )
        trading_accounts.open_account(client=opened, group=house.usd, actor=SEEDER)
        balances.change(
            account_id=house.anna.pk,
            kind=BalanceKind.DEPOSIT,
            amount=Decimal(1),
            reference=f"{evil}{number}",
            actor=SEEDER,
        )
        with transaction.atomic():
            actions.record(
                actor=Actor.system("tests"),
                operation="tests.planted",
                target_label=evil,
                detail=evil,
                before={"a": evil},
                after={"a": evil},
            )
    return house


@pytest.fixture
def boss(house: House) -> User:
    return User.objects.create_superuser("boss@example.com", PASSWORD)


def exporting() -> list[str]:
    """Return the tables with an export."""
    return [
        model._meta.label_lower
        for model, page in admin.site._registry.items()
        if isinstance(page, ExportedAdmin)
    ]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("label", exporting())
def test_a_list_comes_out_without_formulas(label: str, form: str, boss: User) -> None:
    path = reverse("admin:{}_{}_export".format(*label.split(".")))
    given = {
        CONFIRMED: "yes",
        "request_key": uuid4(),
        "format": form,
        "personal": "on",
        "reason": "asked by the auditor",
    }
    answer = signed_in(boss).post(path, given)

    assert answer["Content-Disposition"].startswith("attachment"), answer.content[:200]
    if form == "csv":
        text = answer.content.decode("utf-8-sig")
        assert formulas(text) == []
        assert text.count(f"'={FORMULA}") >= 2  # first and last name, made harmless
    else:
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in sheet
        assert [start for start in STARTS if f">{start}cmd" in sheet] == []


def test_the_staff_log_comes_out_without_formulas(boss: User) -> None:
    rows = [str(key) for key in StaffAction.objects.values_list("pk", flat=True)]
    given = {"action": "export_csv", "index": "0", "_selected_action": rows}
    text = body(signed_in(boss).post(reverse("admin:audit_staffaction_changelist"), given))

    assert f"'={FORMULA}" in text
    assert formulas(text) == []


def body(answer: Any) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return content.decode("utf-8-sig")


def test_a_statement_comes_out_without_formulas(house: House) -> None:
    day = clock.now().astimezone(UTC)
    query = {
        "account": house.anna.login,
        "from": f"{datetime(day.year, day.month, 1):%Y-%m-%d}",
        "to": f"{day:%Y-%m-%d}",
        "format": "csv",
    }
    token = tokens.issue(user_id=house.anna.client.user_id).access
    answer = Client().get("/api/statements", query, headers={"Authorization": f"Bearer {token}"})
    text = body(answer)

    assert answer.status_code == 200
    assert f"'={FORMULA}" in text
    assert formulas(text) == []


def test_the_errors_of_an_import_come_out_without_formulas() -> None:
    written = sheets.written(["row", "error"], [[text, text] for text in EVIL], form="csv").decode(
        "utf-8-sig"
    )

    assert formulas(written) == []
    assert sheets.read(sheets.written(["a"], [["=1+1"]], form="csv"))[1] == [["=1+1"]]
