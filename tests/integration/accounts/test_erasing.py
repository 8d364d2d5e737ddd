"""Erasing clients and closing accounts: what identifies a person is gone, what was booked stays."""

from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
from axes.models import AccessFailureLog
from django.core.management import CommandError, call_command
from django.db import connection

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import Client, KycContent, LedgerLine, TradingAccount, User
from apps.accounts.services import clients, kyc
from apps.audit.models import StaffAction
from apps.trading.domain.commands import CloseAccount
from apps.trading.domain.operations import AccountNotEmpty
from apps.trading.services import balances, closing_accounts, executor
from tests.factories.house import PASSWORD, SEEDER, House, buy, make_house

pytestmark = pytest.mark.django_db


@pytest.fixture
def house(db: None) -> House:
    return make_house()


def run(name: str, *args: object, **options: object) -> str:
    out = StringIO()
    call_command(name, *map(str, args), stdout=out, **options)
    return out.getvalue()


def withdraw_all(account: TradingAccount) -> None:
    balance = TradingAccount.objects.select_related("state").get(pk=account.pk).state.balance
    balances.change(
        account_id=account.pk,
        kind=BalanceKind.WITHDRAWAL,
        amount=-balance,
        reference=uuid4().hex,
        actor=SEEDER,
    )


def everything() -> str:
    """Return every row of every table as text, bytes also as characters."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                found += [
                    bytes(v).decode("latin-1") if isinstance(v, bytes | memoryview) else str(v) for v in row
                ]
    return "\n".join(found).lower()


def test_nothing_of_an_erased_client_is_left_and_the_books_still_prove(house: House) -> None:
    client = house.anna.client
    boss = User.objects.create_superuser("boss@example.com", PASSWORD)
    clients.change(client_id=client.pk, changes={"address": "Sample Lane 1", "document_number": "X9981234"})
    kyc.add_document(client_id=client.pk, kind="passport", content=b"%PDF-1 Ahlberg", by_id=boss.pk)
    AccessFailureLog.objects.create(username="anna@example.com", ip_address="10.0.0.1")
    buy(house.anna, "EURUSD", "0.10")
    executor.run(_closing_all(house.anna))
    withdraw_all(house.anna)
    lines = LedgerLine.objects.filter(account=house.anna).count()

    said = run("erase_client", client.number, reason="asked by the client")

    text = everything()
    for secret in ("ahlberg", "anna@example.com", "5550123", "sample lane", "x9981234"):
        assert secret not in text, secret
    assert said == f"1 of 1: client {client.number}: erased 6 sealed values, 1 documents, 0 refresh tokens\n"
    assert Client.objects.get(pk=client.pk).is_erased
    assert not KycContent.objects.exists()
    assert not User.objects.get(pk=client.user_id).is_active
    assert LedgerLine.objects.filter(account=house.anna).count() == lines > 0
    assert "2 accounts" in run("verify_books", workers=1, verbosity=0)
    assert StaffAction.objects.get(operation="accounts.erase_client").reason == "asked by the client"
    with pytest.raises(CommandError):
        run("erase_client", client.number)


def _closing_all(account: TradingAccount) -> object:
    from apps.trading.domain.commands import CloseAll

    return CloseAll(account_id=account.pk, command_id=uuid4(), actor=SEEDER, client_order_id=uuid4().hex)


def test_a_client_with_positions_or_money_is_not_erased_unless_told(house: House) -> None:
    number = house.anna.client.number
    buy(house.anna, "EURUSD", "0.10")

    dry = run_failing("erase_client", number, dry_run=True)
    refused = run_failing("erase_client", number)
    is_erased = Client.objects.get(number=number).is_erased
    run("erase_client", number, even_unsettled=True)

    for said in (dry, refused):
        assert "1 open positions, money on 1 account" in said
    assert (is_erased, Client.objects.get(number=number).is_erased) == (False, True)


def run_failing(name: str, *args: object, **options: object) -> str:
    out = StringIO()
    with pytest.raises(CommandError):
        call_command(name, *map(str, args), stdout=out, **options)
    return out.getvalue()


def test_a_dry_run_erases_nothing(house: House) -> None:
    withdraw_all(house.anna)

    said = run("erase_client", house.anna.client.number, dry_run=True)

    assert "would erase 4 sealed values" in said
    assert Client.objects.get(pk=house.anna.client_id).full_name == "Test Ahlberg"


def test_accounts_are_closed_when_they_are_empty(house: House) -> None:
    login = house.anna.login
    refused = run_failing("close_account", login, 42)
    withdraw_all(house.anna)
    dry = run("close_account", login, dry_run=True)
    status = TradingAccount.objects.get(login=login).status
    closed = run("close_account", login)

    assert "money on 1 account" in refused
    assert "2 of 2: account 42: not found" in refused
    assert (dry, status) == (f"1 of 1: account {login}: would be closed\n", "active")
    assert closed == f"1 of 1: account {login}: closed\n"
    assert TradingAccount.objects.get(login=login).status == "disabled"
    assert "2 accounts" in run("verify_books", workers=1, verbosity=0)


def test_the_book_itself_refuses_what_came_in_between(house: House, settings: object) -> None:
    settings.CLOSING_CHECKS = []  # type: ignore[attr-defined]
    command = CloseAccount(account_id=house.anna.pk, command_id=uuid4(), actor=SEEDER)

    with pytest.raises(AccountNotEmpty) as refused:
        closing_accounts.close(command)

    assert refused.value.detail == f"Account {house.anna.login} has 10000.00 USD of balance."
    assert TradingAccount.objects.get(pk=house.anna.pk).state.balance == Decimal(10000)


def test_the_command_imports_and_writes_what_failed(house: House, tmp_path: object) -> None:
    file = tmp_path / "people.csv"  # type: ignore[operator]
    file.write_text("email,first_name,last_name,group\nida@example.com,Ida,Lund,usd\nx,Ole,Berg,usd\n")

    dry = run("import_accounts", file, dry_run=True)
    before = Client.objects.count()
    said = run("import_accounts", file)

    assert "1 of 2 rows are ready. Nothing was opened." in dry
    assert "row 3: email: is needed and must be an address" in dry
    assert "2 of 2 rows, 1 failing" in said
    assert Client.objects.count() == before + 1
    failing = file.with_name("people.csv.errors.csv").read_text()
    assert "Ole,Berg" in failing
    assert "ida@example.com" not in failing
