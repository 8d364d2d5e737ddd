"""Which days are rolled: since a group was made, at the time it then had, found cheaply; and the command."""

from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.groups.models import TradingGroup
from apps.market.models import FeedStatus
from apps.trading.domain.orders import Side
from apps.trading.models import RolloverDay, SwapCharge
from apps.trading.services import executor, rollover
from apps.trading.tasks import roll_over
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.nights import Nights, charges_of
from tests.factories.rows import Holder, market_order

pytestmark = pytest.mark.django_db
D = Decimal
MINUTE = timedelta(minutes=1)


def opened(nights: Nights, group: TradingGroup, lots: str = "1.00") -> Holder:
    holder = rows.make_holder(group=group)
    assert executor.run(market_order(holder, Side.BUY, lots=lots)).order.status == "filled"
    return holder


def finished() -> list[str]:
    days = RolloverDay.objects.filter(finished_at__isnull=False).order_by("rolled_at")
    return [f"{day.date:%a}" for day in days]


def test_task_rolls_every_day_since_the_group_was_made(nights):
    holder = opened(nights, nights.group())
    nights.go(nights.rolled_at(days=6) + MINUTE)

    roll_over()

    days = RolloverDay.objects.order_by("rolled_at")
    assert [day.rolled_at for day in days][-7:] == [nights.rolled_at(offset) for offset in range(7)]
    assert all(day.finished_at for day in days)
    assert [(day, days) for day, days, *_ in charges_of(holder)] == [
        ("Tue", 1), ("Wed", 3), ("Thu", 1), ("Fri", 1), ("Mon", 1),
    ]  # fmt: skip


def test_looking_for_work_costs_few_statements(nights, django_assert_max_num_queries):
    for number in range(8):
        nights.group(f"group-{number}")
    nights.go(nights.rolled_at() + MINUTE)
    roll_over()

    with django_assert_max_num_queries(5):
        assert rollover.open_days(now=clock.now()) == []


@pytest.mark.parametrize(
    ("stored_s", "now_s", "rolled"), [(4, 60, False), (5, 60, True), (-3600, 60, False), (-3600, 600, True)]
)
def test_day_waits_until_the_engine_has_stored_its_ticks(nights, stored_s, now_s, rolled):
    holder = opened(nights, nights.group())
    FeedStatus.objects.create(
        symbol=nights.symbols["EURUSD"],
        provider="test",
        started_at=nights.noon,
        updated_at=nights.rolled_at() + timedelta(seconds=stored_s),
    )
    nights.go(nights.rolled_at() + timedelta(seconds=now_s))

    roll_over()

    assert bool(charges_of(holder)) is rolled


def test_day_that_somebody_works_on_is_left_to_them(nights):
    opened(nights, nights.group())
    nights.go(nights.rolled_at() + MINUTE)
    days = rollover.open_days(now=clock.now())
    RolloverDay.objects.update(claimed_until=clock.now() + MINUTE)

    assert rollover.run_open(now=clock.now()) == []

    nights.go(nights.rolled_at() + 3 * MINUTE)  # whoever it was is gone
    assert len(rollover.run_open(now=clock.now())) == len(days)
    assert SwapCharge.objects.count() == 1


def test_group_older_than_the_history_begins_with_its_next_day(nights, owner):
    group = nights.group()
    holder = opened(nights, group)
    owner.execute("DELETE FROM market_configurationchange WHERE table_name = 'groups_tradinggroup'")
    nights.go(nights.rolled_at() + MINUTE)
    roll_over()
    assert charges_of(holder) == []

    nights.go(nights.rolled_at(days=1) + MINUTE)
    roll_over()
    assert [(day, days) for day, days, *_ in charges_of(holder)] == [("Wed", 3)]


def test_rollover_time_counts_while_it_was_set(nights, owner):
    group = nights.group()
    holder = opened(nights, group)
    nights.go(nights.rolled_at() + MINUTE)
    TradingGroup.objects.filter(pk=group.pk).update(rollover_time="23:00")
    owner.execute(
        "UPDATE market_configurationchange SET at = %s "
        "WHERE id = (SELECT max(id) FROM market_configurationchange)",
        [nights.rolled_at() + timedelta(seconds=20)],
    )
    nights.go(nights.rolled_at(days=1) + timedelta(hours=2))

    roll_over()

    rolled = SwapCharge.objects.order_by("rolled_at").values_list("date", "rolled_at")
    assert [at for _, at in rolled] == [nights.rolled_at(), nights.rolled_at(days=1) + timedelta(hours=1)]
    assert len({date for date, _ in rolled}) == 2
    assert len(charges_of(holder)) == 2


def test_swap_free_group_pays_its_fee_instead(nights):
    group = nights.group(swap_free=True, admin_fee_per_lot=D("4.00"), admin_fee_after_nights=1)
    holder = opened(nights, group, lots="0.50")
    nights.go(nights.rolled_at(days=1) + MINUTE)

    roll_over()

    assert charges_of(holder) == [("Wed", 3, D("-6.00"), False)]
    assert SwapCharge.objects.get().kind == "admin_fee"


def test_switched_off_group_still_pays(nights):
    group = nights.group()
    holder = opened(nights, group)
    TradingGroup.objects.filter(pk=group.pk).update(is_active=False)
    nights.go(nights.rolled_at() + MINUTE)

    roll_over()

    assert len(charges_of(holder)) == 1


def test_one_unreadable_journal_keeps_no_other_account_waiting(nights, owner):
    group = nights.group()
    broken, fine = opened(nights, group), opened(nights, group)
    nights.go(nights.rolled_at() + MINUTE)
    for holder in (broken, fine):
        rows.deposit(holder.id, "1.00")  # an event since, so that both are read from the journal
    owner.execute("ALTER TABLE accounts_accountevent DISABLE TRIGGER USER")
    owner.execute(
        "UPDATE accounts_accountevent SET payload = jsonb_set(payload, '{balance}', '\"1.00\"') "
        "WHERE account_id = %s AND type = 'balance_changed' AND at < %s",
        [broken.id, nights.rolled_at()],
    )

    (result,) = [one for one in rollover.run_open(now=clock.now()) if one.accounts]

    assert (result.charges, result.pending) == (1, 1)
    assert "its journal differs" in result.reason
    assert len(charges_of(fine)) == 1


# -- the command
# ---------------------------------------------------------------------------------------------------------


def told(*args: str) -> str:
    out = StringIO()
    call_command("rollover", *args, verbosity=0, stdout=out)
    return out.getvalue()


def test_command_rolls_and_prints_what_it_charged(nights):
    opened(nights, nights.group())
    nights.go(nights.rolled_at() + MINUTE)

    said = told()

    assert f"standard {nights.noon.date()} (rolled at {nights.noon:%Y-%m-%d}T22:00:00Z)" in said
    assert "1 accounts, 1 charges, -5.00 USD" in said
    assert told() == "Every trading day that has ended is finished.\n"


def test_dry_run_computes_and_books_nothing(nights):
    holder = opened(nights, nights.group())
    nights.go(nights.rolled_at() + MINUTE)
    before = rows.state_of(holder)

    said = told("--dry-run", "--date", nights.noon.date().isoformat())

    assert "1 charges, -5.00 USD" in said
    assert "Nothing was booked" in said
    assert rows.state_of(holder) == before
    assert not RolloverDay.objects.filter(date=nights.noon.date(), finished_at__isnull=False).exists()


def test_command_takes_one_group(nights):
    first, second = opened(nights, nights.group("first")), opened(nights, nights.group("second"))
    nights.go(nights.rolled_at() + MINUTE)

    told("--group", "second")

    assert (len(charges_of(first)), len(charges_of(second))) == (0, 1)


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--group", "nobody"), "There is no group 'nobody'"),
        (("--date", "2199-01-01"), "No group's trading day 2199-01-01 has ended"),
    ],
)
def test_command_names_what_does_not_exist(nights, args, problem):
    with pytest.raises(CommandError, match=problem):
        told(*args)


def test_command_fails_while_accounts_wait(nights, owner):
    holder = rows.make_holder(group=nights.group())
    executor.run(market_order(holder, Side.BUY, "USDJPY", lots="1.00"))
    nights.set_clock(nights.rolled_at() + MINUTE)
    owner.execute("DELETE FROM market_tick")

    with pytest.raises(CommandError, match=f"1 accounts wait, first {holder.login}: JPY could not be conv"):
        told()
