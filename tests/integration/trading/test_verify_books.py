"""verify_books agrees with what real commands booked, and names the first difference after any tampering."""

from decimal import Decimal
from io import StringIO
from uuid import uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.groups.models import TradingGroup
from apps.trading.domain.commands import ChangeAccount
from apps.trading.domain.orders import Side
from apps.trading.selectors import verification
from apps.trading.services import executor
from tests.factories import rows
from tests.factories.rows import TESTER, Holder, close_order, market_order

D = Decimal


def _verify(**options: object) -> str:
    out = StringIO()
    call_command("verify_books", workers=1, verbosity=0, stdout=out, **options)
    return out.getvalue()


def _trade(holder: Holder) -> Holder:
    """Book deals of every kind: two positions stay open, one order is refused; 10 events with the opening."""
    run = executor.run
    rows.show()
    first = run(market_order(holder, lots="0.50"))
    run(market_order(holder, Side.SELL, "USDJPY", lots="0.20"))
    rows.show({"EURUSD": ("1.10500", "1.10517")})
    run(close_order(holder, first.order.position_id, lots="0.20"))
    third = run(market_order(holder, Side.SELL, lots="0.10"))
    run(close_order(holder, third.order.position_id))
    run(market_order(holder, lots="90"))
    run(ChangeAccount(account_id=holder.id, command_id=uuid4(), actor=TESTER, leverage=50))
    rows.deposit(holder.id, "123.45")
    return holder


@pytest.fixture
def traded(group: TradingGroup, holder: Holder) -> Holder:
    """An account with a history, under terms with markup and commission."""
    TradingGroup.objects.filter(pk=group.pk).update(
        markup_ask_points=2, commission_mode="per_lot", commission_value=D("3.50")
    )
    return _trade(holder)


@pytest.fixture
def tamper(db: None, testbed):
    """Run SQL as a superuser whom no trigger and no foreign key stops."""
    database = connection.settings_dict["NAME"]
    base = testbed.superuser_url.rpartition("/")[0]
    with psycopg.connect(f"{base}/{database}", autocommit=True) as opened:
        opened.execute("SET session_replication_role = replica")

        def run(statement: str, *values: object) -> None:
            changed = opened.execute(statement, values).rowcount
            assert changed, "the tampering changed nothing"

        yield run


def test_books_of_real_commands_agree(group, traded):
    other = rows.make_holder(group=group)

    told = _verify()

    assert told.startswith("The books agree: 2 accounts, 12 events")
    assert _verify(account=other.login).startswith("The books agree: 1 accounts, 2 events")


def test_several_processes_agree_with_one(traded):
    out = StringIO()
    call_command("verify_books", workers=2, verbosity=0, stdout=out)

    assert out.getvalue().startswith("The books agree: 1 accounts, 10 events")


def test_an_instant_may_be_read_from_for_as_long_as_it_takes(traded):
    usual = "SELECT current_setting('idle_in_transaction_session_timeout')"
    with verification.snapshot() as cursor:
        during = cursor.execute(usual).fetchone()
    with connection.cursor() as cursor:
        cursor.execute(usual)
        assert (during, cursor.fetchone()) == (("0",), ("30s",))


def test_an_unknown_account_is_an_error(traded):
    with pytest.raises(CommandError, match="There is no account 1"):
        _verify(account=1)


STATE = "UPDATE accounts_accountstate SET"
EVENT = "UPDATE accounts_accountevent SET payload ="
DEAL = "order,deals,0"
COPIED = (
    "account_id, symbol_id, side, volume, cost, open_price, margin_rate, terms, swap, commission, book,"
    " last_deal_id, opened_at, updated_at"
)
TAMPERINGS = {
    "balance": (f"{STATE} balance = balance + 0.01 WHERE account_id = %s", "balance is "),
    "credit": (f"{STATE} credit = 5 WHERE account_id = %s", "credit is 5"),
    "margin": (f"{STATE} margin = margin - 1 WHERE account_id = %s", "margin is "),
    "seq": (f"{STATE} seq = seq + 1 WHERE account_id = %s", "seq is 11, the journal says 10"),
    "leverage": (
        "UPDATE accounts_tradingaccount SET leverage = 500 WHERE id = %s",
        "leverage is 500, the journal says 50",
    ),
    "status": (
        "UPDATE accounts_tradingaccount SET status = 'disabled' WHERE id = %s",
        "status is disabled, the journal says active",
    ),
    "ledger line": (
        "UPDATE accounts_ledgerline SET amount = amount + 1 WHERE account_id = %s AND ledger = 'commission'",
        "sum of all ledger lines is ",
    ),
    "ledger moved": (
        "UPDATE accounts_ledgerline SET ledger = 'swap' WHERE account_id = %s AND ledger = 'commission'",
        "ledger commission is 0",
    ),
    "ledger line deleted": (
        "DELETE FROM accounts_ledgerline WHERE account_id = %s AND ledger = 'markup'",
        "sum of all ledger lines is ",
    ),
    "event deleted": (
        "DELETE FROM accounts_accountevent WHERE account_id = %s AND seq = 5",
        "event 6 follows event 4",
    ),
    "last event deleted": (
        "DELETE FROM accounts_accountevent WHERE account_id = %s AND seq = 10",
        "seq is 10, the journal says 9",
    ),
    "event type": (
        "UPDATE accounts_accountevent SET type = 'order_rejected' WHERE account_id = %s AND seq = 3",
        "event 3 says balance ",
    ),
    "unknown event type": (
        "UPDATE accounts_accountevent SET type = 'gift' WHERE account_id = %s AND seq = 8",
        "event 8 has the unknown type gift",
    ),
    "deal profit in the journal": (
        f"{EVENT} jsonb_set(payload, '{{{DEAL},profit}}', '\"100.00\"') WHERE account_id = %s AND seq = 5",
        "says profit 100.00, derived is 96.20",
    ),
    "deal price in the journal": (
        f"{EVENT} jsonb_set(payload, '{{{DEAL},price}}', '\"1.2\"') WHERE account_id = %s AND seq = 5",
        "says profit 96.20, derived is 1996.20",
    ),
    "deposit in the journal": (
        f"{EVENT} jsonb_set(payload, '{{amount}}', '\"9999.00\"') WHERE account_id = %s AND seq = 2",
        "event 2 says balance 10000.00, derived is 9999.00",
    ),
    "field of the journal removed": (
        f"{EVENT} payload #- '{{{DEAL},volume}}' WHERE account_id = %s AND seq = 3",
        "volume",
    ),
    "position volume": (
        "UPDATE trading_position SET volume = volume * 2 WHERE account_id = %s AND side = 'buy'",
        "the journal says 0.3",
    ),
    "position side": (
        "UPDATE trading_position SET side = 'buy' WHERE account_id = %s AND side = 'sell'",
        "the journal says sell",
    ),
    "position cost": (
        "UPDATE trading_position SET cost = cost - 0.01 WHERE account_id = %s AND side = 'buy'",
        "cost of position ",
    ),
    "position missing": (
        "DELETE FROM trading_position WHERE account_id = %s AND side = 'buy'",
        "open positions is ",
    ),
    "position added": (
        f"INSERT INTO trading_position ({COPIED}, id) SELECT {COPIED}, 7 FROM trading_position"
        " WHERE account_id = %s AND side = 'buy'",
        "open positions is [7, ",
    ),
    "deal deleted": (
        "DELETE FROM trading_deal WHERE id = (SELECT max(id) FROM trading_deal WHERE account_id = %s)",
        "number of deals is 4, the journal says 5",
    ),
    "deal changed": (
        "UPDATE trading_deal SET profit = profit + 1 WHERE account_id = %s AND profit > 0",
        "money of the deals is ",
    ),
}


def test_every_tampering_is_named(group, traded, tamper):
    victims = {kind: _trade(rows.make_holder(group=group)) for kind in TAMPERINGS}
    for kind, (statement, _) in TAMPERINGS.items():
        tamper(statement, victims[kind].id)

    unnamed = {}
    for kind, (_, difference) in TAMPERINGS.items():
        with pytest.raises(CommandError) as told:
            _verify(account=victims[kind].login)
        message = str(told.value)
        start = f"The books differ: account {victims[kind].login}: "
        if told.value.returncode != 1 or not message.startswith(start) or difference not in message:
            unnamed[kind] = message

    assert not unnamed
    assert _verify(account=traded.login).startswith("The books agree")


def test_only_the_account_in_question_differs(group, traded, tamper):
    other = rows.make_holder(group=group)
    tamper(f"{STATE} balance = 0 WHERE account_id = %s", traded.id)

    assert _verify(account=other.login).startswith("The books agree")
    with pytest.raises(CommandError, match=f"account {traded.login}"):
        _verify(account=traded.login)


@pytest.mark.parametrize("table", ["accounts_accountevent", "accounts_ledgerline", "trading_deal"])
def test_even_the_owner_is_stopped_by_the_trigger(traded, owner, table):
    for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            owner.execute(statement)
