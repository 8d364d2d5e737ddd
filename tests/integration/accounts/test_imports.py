"""Imports in the background: fair, bounded, and never in each other's way."""

import io
import zipfile
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from apps.accounts import tasks
from apps.accounts.adapters import sheets
from apps.accounts.models import ImportRun, TradingAccount
from apps.accounts.services import erasing, imports, trading_accounts
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories.house import House, make_house

HEADER = "email,first_name,last_name,country,group\n"


@pytest.fixture
def house(db: None) -> House:
    return make_house()


def begun(*emails: str) -> ImportRun:
    rows = "".join(f"{email},Ida,Lund,dk,usd\n" for email in emails)
    run, _checked = imports.prepare((HEADER + rows).encode(), actor=Actor.system("test"), reach=None)
    return imports.start(run_id=run.pk)


def state(run: ImportRun) -> tuple[str, int, int, int]:
    run.refresh_from_db()
    return run.status, run.next_row, run.opened, run.failed


def test_a_row_that_fails_unexpectedly_is_one_failure(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun("ida@example.com", "ole@example.com", "kim@example.com")
    opened = trading_accounts.open_account

    def breaks(**wanted: Any) -> TradingAccount:
        if wanted["client"].user.email == "ole@example.com":
            raise ZeroDivisionError("ole@example.com")
        return opened(**wanted)

    monkeypatch.setattr(trading_accounts, "open_account", breaks)
    tasks.carry_out_imports()

    assert state(run) == ("done", 3, 2, 1)
    assert run.failures.get().reason == imports.UNEXPECTED


def test_an_import_that_cannot_go_on_stands_in_no_others_way(house: House) -> None:
    broken, whole = begun("ida@example.com"), begun("ole@example.com")
    ImportRun.objects.filter(pk=broken.pk).update(file_sealed=b"not sealed by us")

    tasks.carry_out_imports()

    assert (state(broken)[0], state(whole)) == ("queued", ("done", 1, 1, 0))


def test_one_turn_takes_a_portion_of_each_at_least(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "PORTION", 1)
    monkeypatch.setattr(tasks, "IMPORTS_TURN_S", 0.0)
    first, second = begun("ida@example.com", "ole@example.com"), begun("kim@example.com")

    tasks.carry_out_imports()
    assert (state(first), state(second)) == (("running", 1, 1, 0), ("done", 1, 1, 0))

    tasks.carry_out_imports()
    assert state(first) == ("done", 2, 2, 0)


@pytest.mark.django_db(transaction=True)
def test_an_import_that_another_worker_is_at_is_left_to_it(house: House, owner: psycopg.Connection) -> None:
    run = begun("ida@example.com")
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '2s'")
    with psycopg.connect(owner.info.dsn, password=owner.info.password) as other:
        other.execute("SELECT FROM accounts_importrun WHERE id = %s FOR UPDATE", [run.pk])
        imports.carry_out(run_id=run.pk, waits=False)
        assert state(run) == ("queued", 0, 0, 0)

    imports.carry_out(run_id=run.pk, waits=False)
    assert state(run) == ("done", 1, 1, 0)


def packed() -> bytes:
    return sheets.written(["email", "group"], [["ida@example.com", "usd"]], form="xlsx")


def damaged() -> bytes:
    """Return a workbook whose sheet does not unpack."""
    content = bytearray(packed())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = archive.getinfo("xl/worksheets/sheet1.xml")
    start = entry.header_offset + 30 + len(entry.filename)
    content[start : start + 8] = b"\xff" * 8
    return bytes(content)


def encrypted() -> bytes:
    """Return a workbook whose parts claim to be encrypted."""
    content = bytearray(packed())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(mark)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(mark, place + 4)
    return bytes(content)


@pytest.mark.parametrize("content", [damaged(), encrypted()], ids=["damaged", "encrypted"])
def test_a_workbook_that_does_not_unpack_is_refused(content: bytes) -> None:
    with pytest.raises(sheets.SheetInvalid, match="cannot be read"):
        sheets.read(content)


# -- what is left behind


def checked(rows: str) -> ImportRun:
    run, _checked = imports.prepare((HEADER + rows).encode(), actor=Actor.system("test"), reach=None)
    return run


def test_after_a_week_nothing_of_an_import_names_anybody(house: House) -> None:
    old = [checked("ida@example.com,Ida,Lund,dk,usd\nx,No,Mail,dk,usd\n"), begun("x", "ole@example.com")]
    young = checked("kim@example.com,Kim,Holm,dk,usd\nx,No,Mail,dk,usd\n")
    imports.carry_out(run_id=old[1].pk)
    stale = clock.now() - timedelta(days=7, minutes=1)
    ImportRun.objects.filter(pk__in=[run.pk for run in old]).update(created_at=stale)

    tasks.purge_imports()

    assert [state(run)[0] for run in (*old, young)] == ["canceled", "done", "checked"]
    assert [bytes(run.file_sealed) == b"" for run in (*old, young)] == [True, True, False]
    assert [run.failures.count() for run in (*old, young)] == [0, 0, 1]


def test_an_erased_client_is_gone_from_imports_and_others_stay(house: House) -> None:
    client = house.anna.client
    naming, other = checked("anna@example.com,A,A,dk,usd\n"), checked("kim@example.com,K,H,dk,usd\n")
    unreadable = begun("ole@example.com")
    ImportRun.objects.filter(pk=unreadable.pk).update(file_sealed=b"not sealed by us")
    ended = begun("Anna@example.com", "x")
    imports.carry_out(run_id=ended.pk)
    assert (client.user.email, state(ended)) == ("anna@example.com", ("done", 2, 0, 2))

    erasing.erase(client_id=client.pk, actor=Actor.system("test"), even_unsettled=True)

    assert [state(run)[0] for run in (naming, unreadable, other)] == ["canceled", "canceled", "checked"]
    assert [bytes(run.file_sealed) == b"" for run in (naming, other)] == [True, False]
    assert naming.failures.count() == 0
    assert [failure.row for failure in ended.failures.all()] == [3]


def test_failing_rows_of_a_clients_further_account_go_with_the_client(house: House) -> None:
    number = house.anna.client.number
    rows = f"client_number,group\n{number},nowhere\n{house.bruno.client.number},nowhere\n"
    run, _checked = imports.prepare(rows.encode(), actor=Actor.system("test"), reach=None)
    imports.start(run_id=run.pk)
    imports.carry_out(run_id=run.pk)

    erasing.erase(client_id=house.anna.client_id, actor=Actor.system("test"), even_unsettled=True)

    assert [failure.row for failure in run.failures.all()] == [3]
