"""A client's day over several currencies: the rule that asks beforehand and the database's own refusal."""

from decimal import Decimal

import pytest
from django.db import DatabaseError

from apps.accounts.services import trading_accounts
from apps.funds.models import FundPolicy
from apps.funds.selectors.policies import room_of
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.funds import ask
from tests.integration.funds.test_four_eyes import in_a_shell, in_sql, other_account

pytestmark = pytest.mark.django_db
D = Decimal


def test_splitting_over_currencies_does_not_help(policy, holder, maker):
    euro, franc = (other_account(holder, currency=currency) for currency in ("EUR", "CHF"))

    statuses = [ask(one, maker, "500").status for one in (euro, franc, holder)]

    assert statuses == ["posted", "posted", "requested"]


def test_the_database_refuses_what_exceeds_the_shares_of_all_currencies(policy, holder):
    euro = other_account(holder, currency="EUR")
    in_a_shell(euro, "600")
    in_a_shell(holder, "400")

    with pytest.raises(DatabaseError, match="exceeds what one person"):
        in_sql(holder.id, "0.01")


def test_shares_are_added_exactly(policy, holder):
    FundPolicy.objects.filter(group=holder.row.group).update(threshold=D("600"))
    euro, franc = (other_account(holder, currency=currency) for currency in ("EUR", "CHF"))
    FundPolicy.objects.filter(group=franc.row.group).update(threshold=D("300"))
    in_a_shell(holder, "400")  # 2/3
    in_a_shell(franc, "50")  # 1/6

    FundPolicy.objects.filter(group=euro.row.group).update(threshold=D("60"))
    in_a_shell(euro, "10")  # 1/6: exactly the whole

    room = room_of(holder.row, now=clock.now())
    assert room is not None
    assert (room.threshold, room.alone_today) == (D("600"), D("400"))
    assert {used.currency: (used.threshold, used.alone_today) for used in room.elsewhere} == {
        "CHF": (D("300"), D("50")),
        "EUR": (D("60"), D("10")),
    }


def test_a_currency_without_a_threshold_takes_no_share(policy, holder, maker):
    free = rows.make_group("free", currency="EUR")
    euro = trading_accounts.open_account(client=holder.row.client, group=free, actor=rows.TESTER)
    rows.deposit(euro.pk, "1000000")

    assert ask(holder, maker, "1000").status == "posted"
