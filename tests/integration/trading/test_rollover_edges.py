"""Nights at the edges: a rollover time that moves, clocks of two hosts that differ."""

from datetime import timedelta

import pytest

from apps.groups.models import TradingGroup
from apps.trading.domain.orders import Side
from apps.trading.models import SwapCharge
from apps.trading.selectors import as_of
from apps.trading.services import executor
from apps.trading.tasks import roll_over
from tests.factories import rows
from tests.factories.nights import Nights
from tests.factories.rows import Holder, market_order

pytestmark = pytest.mark.django_db


def opened(nights: Nights) -> Holder:
    holder = rows.make_holder(group=nights.group())
    assert executor.run(market_order(holder, Side.BUY, lots="1.00")).order.status == "filled"
    return holder


def test_an_earlier_rollover_time_ends_the_date_it_would_leave_out(nights, owner):
    holder = opened(nights)
    edge = nights.rolled_at() - timedelta(minutes=30)
    nights.go(edge)
    TradingGroup.objects.filter(pk=holder.row.group_id).update(rollover_time="21:00")
    owner.execute(
        "UPDATE market_configurationchange SET at = %s "
        "WHERE id = (SELECT max(id) FROM market_configurationchange)",
        [edge],
    )
    nights.go(nights.rolled_at(days=1) + timedelta(minutes=1))

    roll_over()

    rolled = list(SwapCharge.objects.order_by("rolled_at").values_list("rolled_at", "date"))
    assert [at for at, _ in rolled] == [edge, nights.rolled_at(days=1) - timedelta(hours=1)]
    assert rolled[1][1] - rolled[0][1] == timedelta(days=1)


def test_an_account_is_cut_by_its_own_order_when_two_clocks_differ(nights, owner):
    holder = opened(nights)
    rolled_at = nights.rolled_at()
    nights.go(rolled_at + timedelta(minutes=1))
    for amount in ("1.00", "2.00"):
        rows.deposit(holder.id, amount)
    owner.execute("ALTER TABLE accounts_accountevent DISABLE TRIGGER USER")
    for back, milliseconds in ((1, 5), (0, -2)):  # the first of the two by a clock that goes ahead
        owner.execute(
            "UPDATE accounts_accountevent SET at = %s WHERE account_id = %s AND seq = "
            "(SELECT max(seq) - %s FROM accounts_accountevent WHERE account_id = %s)",
            [rolled_at + timedelta(milliseconds=milliseconds), holder.id, back, holder.id],
        )
    seq = rows.events_of(holder)[-1].seq

    found = as_of.accounts_at([holder.id], at=rolled_at)

    assert found[holder.id].account.seq == seq
