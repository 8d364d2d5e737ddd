"""Opening an account, and what neither the application nor the owner can do to the journal and the ledger."""

from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest
from django.db import DatabaseError, ProgrammingError, connection

from apps.accounts.models import AccountEvent, AccountState, Client, LedgerLine, TradingAccount
from apps.accounts.selectors.accounts import AccountNotFound, accounts_of, owned
from apps.accounts.services.trading_accounts import open_account
from apps.groups.models import TradingGroup
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Invalid

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("test")


@pytest.fixture
def group(db: None) -> TradingGroup:
    return TradingGroup.objects.create(name="standard", currency="USD", leverage_max=200)


@pytest.fixture
def account(trader: Client, group: TradingGroup) -> TradingAccount:
    return open_account(client=trader, group=group, leverage=100, actor=ACTOR)


def lines(event: AccountEvent, *amounts: str) -> list[LedgerLine]:
    return [
        LedgerLine(
            event=event,
            account_id=event.account_id,
            ledger=LedgerLine.Ledger.CLIENT if number == 0 else LedgerLine.Ledger.CASH,
            amount=Decimal(amount),
            currency="USD",
            at=clock.now(),
        )
        for number, amount in enumerate(amounts)
    ]


def test_an_account_opens_with_state_and_first_event(account: TradingAccount) -> None:
    assert account.login == 100_001
    state = AccountState.objects.get()
    assert (state.balance, state.credit, state.margin, state.seq) == (0, 0, 0, 1)
    event = AccountEvent.objects.get()
    assert (event.seq, event.type, event.actor) == (1, "account_opened", "system:test")
    shown = {name: event.payload[name] for name in ("login", "group", "currency", "digits", "leverage")}
    assert shown == {"login": 100_001, "group": "standard", "currency": "USD", "digits": 2, "leverage": 100}


def test_leverage_is_bounded_by_the_group(trader: Client, group: TradingGroup) -> None:
    with pytest.raises(Invalid, match="between 1 and 200"):
        open_account(client=trader, group=group, leverage=201, actor=ACTOR)
    assert not TradingAccount.objects.exists()


def test_an_account_is_its_owners_alone(account: TradingAccount, trader: Client) -> None:
    assert owned(user_id=trader.user_id, login=account.login).id == account.pk
    assert [ref.login for ref in accounts_of(user_id=trader.user_id)] == [100_001]
    with pytest.raises(AccountNotFound):
        owned(user_id=trader.user_id + 1, login=account.login)
    with pytest.raises(AccountNotFound):
        owned(user_id=trader.user_id, login=999_999)


@pytest.mark.parametrize("table", ["accounts_accountevent", "accounts_ledgerline"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {table} SET id = id", "DELETE FROM {table}", "TRUNCATE {table} CASCADE"]
)
def test_the_application_lacks_the_right_to_change_history(
    account: TradingAccount, table: str, statement: str
) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(statement.format(table=table))


@pytest.mark.parametrize("table", ["accounts_accountevent", "accounts_ledgerline"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {table} SET id = id", "DELETE FROM {table}", "TRUNCATE {table} CASCADE"]
)
def test_triggers_stop_even_the_owner(
    account: TradingAccount, owner: psycopg.Connection, table: str, statement: str
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        owner.execute(statement.format(table=table))  # type: ignore[arg-type]


def test_the_application_cannot_take_the_triggers_away(account: TradingAccount) -> None:
    with pytest.raises(ProgrammingError, match="must be owner"), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_ledgerline DISABLE TRIGGER ALL")


def test_balanced_lines_are_accepted(account: TradingAccount) -> None:
    LedgerLine.objects.bulk_create(lines(AccountEvent.objects.get(), "10.50", "-10.50"))

    assert LedgerLine.objects.count() == 2


@pytest.mark.parametrize("amounts", [("10.50", "-10.49"), ("10.50",)])
def test_unbalanced_lines_are_refused(account: TradingAccount, amounts: tuple[str, ...]) -> None:
    with pytest.raises(DatabaseError, match="do not add up to zero"):
        LedgerLine.objects.bulk_create(lines(AccountEvent.objects.get(), *amounts))
    assert not LedgerLine.objects.exists()


def test_a_seq_and_a_command_are_booked_once(account: TradingAccount) -> None:
    first = AccountEvent.objects.get()
    for seq, command_id in ((1, uuid4()), (2, first.command_id)):
        with pytest.raises(DatabaseError, match="duplicate key"):
            AccountEvent.objects.create(
                account=account,
                seq=seq,
                type="balance_changed",
                at=clock.now(),
                command_id=command_id,
                fingerprint="",
                actor="system:test",
                payload={},
            )
