"""The rollover charges whoever was open at its instant, once, whenever and however often it runs."""

from datetime import timedelta
from decimal import Decimal
from io import StringIO
from threading import Thread

import pytest
from django.core.management import call_command
from django.db import connection
from prometheus_client import REGISTRY

from apps.market.models import LastQuote, Symbol
from apps.trading.domain.orders import Side
from apps.trading.models import Position, RolloverDay, SwapCharge
from apps.trading.selectors import rollovers
from apps.trading.services import executor, rollover
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.nights import Nights, charges_of
from tests.factories.rows import Holder, close_order, market_order, state_of

pytestmark = pytest.mark.django_db
D = Decimal
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def holder(nights: Nights) -> Holder:
    return rows.make_holder(group=nights.group())


def open_position(holder: Holder, side: Side = Side.BUY, symbol: str = "EURUSD", lots: str = "1.00") -> int:
    outcome = executor.run(market_order(holder, side, symbol, lots=lots))
    assert outcome.order.status == "filled"
    return outcome.order.position_id


def roll() -> list[rollover.Rolled]:
    return rollover.run_open(now=clock.now())


def verify() -> None:
    call_command("verify_books", "--workers", "1", verbosity=0, stdout=StringIO())


def test_open_positions_carry_their_swap(nights, holder):
    bought, sold = open_position(holder), open_position(holder, Side.SELL)
    balance = state_of(holder)[0]
    nights.go(nights.rolled_at() + MINUTE)

    roll()

    assert charges_of(holder) == [("Tue", 1, D("-5.00"), False), ("Tue", 1, D("2.00"), False)]
    assert dict(Position.objects.values_list("pk", "swap")) == {bought: D("-5.00"), sold: D("2.00")}
    assert state_of(holder)[0] == balance
    verify()


def test_charge_explains_itself(nights, holder):
    position = open_position(holder, lots="0.50")
    nights.go(nights.rolled_at() + MINUTE)

    roll()

    row = SwapCharge.objects.get()
    assert (row.position_id, row.kind, row.side, row.mode) == (position, "swap", "buy", "points")
    assert (row.volume, row.value, row.rate, row.amount) == (D("0.50"), D(-5), D(1), D("-2.50"))
    assert (row.date, row.rolled_at) == (nights.noon.date(), nights.rolled_at())


def test_second_run_charges_nothing(nights, holder):
    open_position(holder)
    nights.go(nights.rolled_at() + MINUTE)
    roll()
    events = len(rows.events_of(holder))

    assert roll() == []
    call_command("rollover", "--date", nights.noon.date().isoformat(), verbosity=0, stdout=StringIO())

    assert len(rows.events_of(holder)) == events
    assert len(charges_of(holder)) == 1


def test_nothing_happens_before_the_ticks_of_the_instant_are_stored(nights, holder):
    open_position(holder)
    nights.go(nights.rolled_at() + timedelta(seconds=29))
    roll()
    assert charges_of(holder) == []

    nights.go(nights.rolled_at() + timedelta(seconds=30))
    roll()
    assert len(charges_of(holder)) == 1


def test_position_closed_since_pays_at_once(nights, holder):
    position = open_position(holder)
    nights.go(nights.rolled_at() + timedelta(seconds=5))
    executor.run(close_order(holder, position))
    balance = state_of(holder)[0]
    nights.go(nights.rolled_at() + MINUTE)

    roll()

    assert charges_of(holder) == [("Tue", 1, D("-5.00"), True)]
    assert state_of(holder)[0] == balance - D("5.00")
    verify()


def test_volume_is_that_of_the_instant(nights, holder):
    position = open_position(holder)
    nights.go(nights.rolled_at() + timedelta(seconds=5))
    executor.run(close_order(holder, position, lots="0.40"))
    nights.go(nights.rolled_at() + MINUTE)

    roll()

    assert SwapCharge.objects.get().volume == D("1.00")
    assert charges_of(holder) == [("Tue", 1, D("-5.00"), False)]
    verify()


def test_position_opened_since_or_closed_before_is_not_charged(nights, holder):
    position = open_position(holder)
    nights.go(nights.rolled_at() - MINUTE)
    executor.run(close_order(holder, position))
    nights.go(nights.rolled_at() + timedelta(seconds=1))
    open_position(holder)
    nights.go(nights.rolled_at() + MINUTE)

    roll()

    assert charges_of(holder) == []
    assert RolloverDay.objects.filter(finished_at__isnull=True).count() == 0


def test_late_run_charges_what_runs_on_time_would_have(nights):
    prompt = rows.make_holder(group=nights.group("prompt"))
    late = rows.make_holder(group=nights.group("late"))
    held = {holder.id: [open_position(holder), open_position(holder)] for holder in (prompt, late)}

    for day in range(4):
        nights.go(nights.rolled_at(day) + MINUTE, {**rows.PRICES, "EURUSD": (f"1.1{day}000", f"1.1{day}010")})
        for entry in rollover.open_days(now=clock.now()):
            if entry.group.name == "prompt":
                rollover.roll(entry)
        if day == 1:
            nights.go(nights.rolled_at(day) + 2 * MINUTE)
            for holder in (prompt, late):
                executor.run(close_order(holder, held[holder.id][0]))
                executor.run(close_order(holder, held[holder.id][1], lots="0.30"))
    roll()

    told = [(day, days, amount) for day, days, amount, _ in charges_of(late)]
    assert told == [(day, days, amount) for day, days, amount, _ in charges_of(prompt)]
    assert [day for day, *_ in told] == ["Tue", "Tue", "Wed", "Wed", "Thu", "Fri"]
    assert [amount for *_, amount in told] == [
        D("-5.00"), D("-5.00"), D("-15.00"), D("-15.00"), D("-3.50"), D("-3.50"),
    ]  # fmt: skip
    assert state_of(late)[0] + Position.objects.get(account_id=late.id).swap == (
        state_of(prompt)[0] + Position.objects.get(account_id=prompt.id).swap
    )
    verify()


def test_two_runs_at_once_charge_once(nights):
    group = nights.group()
    holders = [rows.make_holder(group=group) for _ in range(12)]
    for holder in holders:
        open_position(holder)
    nights.go(nights.rolled_at() + MINUTE)
    entry = next(day for day in rollover.open_days(now=clock.now()) if day.date == nights.noon.date())
    results: list[rollover.Rolled] = []

    def work() -> None:
        results.append(rollover.roll(entry))
        connection.close()

    threads = [Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(result.charges for result in results) == 12
    assert SwapCharge.objects.count() == 12
    assert RolloverDay.objects.get(pk=entry.pk).charges == 12
    verify()


def test_terms_are_those_of_the_instant(nights, holder, owner):
    open_position(holder)
    nights.go(nights.rolled_at() + MINUTE)
    Symbol.objects.filter(name="EURUSD").update(swap_long=D(-50))
    owner.execute(
        "UPDATE market_configurationchange SET at = %s "
        "WHERE id = (SELECT max(id) FROM market_configurationchange)",
        [nights.rolled_at() + timedelta(seconds=10)],
    )

    roll()

    assert charges_of(holder) == [("Tue", 1, D("-5.00"), False)]


def test_price_and_rate_are_those_of_the_instant(nights, holder):
    Symbol.objects.filter(name="EURGBP").update(swap_mode="percent", swap_long=D("-3.65"))
    open_position(holder, symbol="EURGBP")
    nights.go(
        nights.rolled_at() - MINUTE, {"EURGBP": ("0.80000", "0.80010"), "GBPUSD": ("1.30000", "1.30010")}
    )
    nights.go(
        nights.rolled_at() + timedelta(milliseconds=1),
        {"EURGBP": ("0.90000", "0.90010"), "GBPUSD": ("1.40000", "1.40010")},
    )
    nights.go(nights.rolled_at() + MINUTE)

    roll()

    row = SwapCharge.objects.get()
    assert (row.price, row.rate) == (D("0.80000"), D("1.30010"))  # paid in GBP: bought at the ask
    assert row.amount == D("-10.40")  # 80,000 x 3.65 % / 365 = 8.00 GBP


def test_account_without_a_rate_waits_and_is_retried(nights, owner):
    group = nights.group(currency="EUR")
    waiting, charged = rows.make_holder(group=group), rows.make_holder(group=group)
    open_position(waiting, symbol="USDJPY")
    open_position(charged)
    nights.set_clock(nights.rolled_at() + MINUTE)
    owner.execute("DELETE FROM market_tick WHERE symbol_id = %s", [nights.symbols["USDJPY"].pk])

    (result,) = [one for one in roll() if one.day.date == nights.noon.date()]

    assert (result.charges, result.pending) == (1, 1)
    assert result.reason == f"{waiting.login}: JPY could not be converted to EUR"
    assert rollovers.pending_by_group() == {"standard": 1}
    assert REGISTRY.get_sample_value("rtx_rollover_pending_accounts", {"group": "standard"}) == 1
    assert REGISTRY.get_sample_value("rtx_rollover_open_days", {"group": "standard"}) == 1
    assert charges_of(waiting) == []

    LastQuote.objects.create(
        symbol=nights.symbols["USDJPY"], bid=D(150), ask=D("150.02"), time=nights.rolled_at() - MINUTE
    )
    roll()

    assert [(day, amount) for day, _, amount, _ in charges_of(waiting)] == [("Tue", D("-3.03"))]
    assert len(charges_of(charged)) == 1
    assert rollovers.pending_by_group() == {}
