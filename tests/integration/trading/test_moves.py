"""A moved account: rows, books and prices follow the new group; what was, stays with the old one."""

from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command

from apps.accounts.models import AccountEvent, TradingAccount
from apps.accounts.selectors.accounts import owned
from apps.groups.models import TradingGroup
from apps.trading.domain.commands import MoveAccount
from apps.trading.domain.moves import MoveRefused
from apps.trading.selectors import as_of, rollovers
from apps.trading.services import balances, executor
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.rows import TESTER, Holder, close_order, market_order

D = Decimal


@pytest.fixture
def pro(group: TradingGroup) -> TradingGroup:
    """A group at 1:50 with a markup of 10 points on the bid."""
    return rows.make_group("pro", leverage_max=50, markup_bid_points=10)


def move(holder: Holder, group: TradingGroup, **more: object) -> None:
    balances.move_account(account_id=holder.id, group_id=group.pk, command_id=uuid4(), actor=TESTER, **more)


def verify() -> str:
    out = StringIO()
    call_command("verify_books", workers=1, verbosity=0, stdout=out)
    return out.getvalue()


def test_a_moved_account_trades_and_is_verified_under_the_new_group(holder, pro):
    opened = executor.run(market_order(holder, lots="1"))
    move(holder, pro)
    closed = executor.run(close_order(holder, opened.order.position_id))

    row = holder.row
    assert (row.group_id, row.leverage) == (pro.pk, 50)
    assert AccountEvent.objects.get(type="account_moved").payload["margin"] == "2200.34"
    assert closed.order.average_price == D("1.09990")
    assert closed.order.deals[0].profit == D("-27.00")
    assert "1 account" in verify()


def test_another_process_follows_the_move(holder, pro):
    executor.run(market_order(holder, lots="0.10"))
    executor._executor._runner.forget()  # as a process that never saw the account
    move(holder, pro)
    executor._executor._runner.forget()

    again = executor.run(market_order(holder, lots="0.10"))

    assert again.order.deals[0].terms.leverage == 50


def test_a_group_changed_behind_the_journal_is_found(holder, group, pro):
    TradingAccount.objects.filter(pk=holder.id).update(group=pro)

    with pytest.raises(Exception, match=f"group is {pro.pk}, the journal says {group.pk}"):
        verify()


def test_a_refused_move_leaves_nothing_behind(holder, pro):
    TradingGroup.objects.filter(pk=pro.pk).update(currency="EUR")

    with pytest.raises(MoveRefused) as refused:
        move(holder, pro)

    assert refused.value.code == "currency_differs"
    assert not AccountEvent.objects.filter(type="account_moved").exists()


def test_a_repeated_move_is_one(holder, pro):
    command = MoveAccount(account_id=holder.id, command_id=uuid4(), actor=TESTER, group_id=pro.pk)
    first, second = executor.run(command), executor.run(command)

    assert (first.seq, second.seq, second.repeated) == (2 + 1, 2 + 1, True)


def test_the_past_and_its_night_stay_with_the_old_group(holder, group, pro):
    executor.run(market_order(holder, lots="0.10"))
    before = clock.now()
    move(holder, pro)

    past = as_of.accounts_at([holder.id], at=before)[holder.id]
    present = as_of.accounts_at([holder.id], at=clock.now())[holder.id]

    assert (past.account.group_id, past.account.leverage) == (group.pk, 100)
    assert (present.account.group_id, present.account.leverage) == (pro.pk, 50)
    assert rollovers.holders(group_id=group.pk, at=before) == [holder.id]
    assert rollovers.holders(group_id=pro.pk, at=before) == []
    assert rollovers.holders(group_id=pro.pk, at=clock.now()) == [holder.id]


def test_rest_prices_follow_at_once(holder, pro):
    trader, address = rows.Trader(holder.token), f"/api/quotes?symbols=EURUSD&account={holder.login}"
    owned(user_id=holder.user_id, login=holder.login)  # kept for seconds, with the group of now
    before = trader.call("GET", address).json()["results"][0]["bid"]
    move(holder, pro)
    after = trader.call("GET", address).json()["results"][0]["bid"]

    assert (before, after) == ("1.10000", "1.09990")
