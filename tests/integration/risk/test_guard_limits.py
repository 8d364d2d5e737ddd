"""Limits in the executor: of one account exactly, of many together, without a price, from the journal."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connections

from apps.risk.models import (
    AccountRisk,
    Correlation,
    RiskLimit,
)
from apps.trading.domain.commands import TriggerOrder
from apps.trading.domain.orders import OrderType, Side
from apps.trading.models import Order, Position
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories import rows
from tests.factories.rows import Holder, market_order
from tests.factories.triggering import pending
from tests.integration.risk.guarded import STAFF, answer, buy, limit

D = Decimal


@pytest.fixture
def other(group) -> Holder:
    """Another account of the group."""
    return rows.make_holder(group=group)


def test_every_kind_of_limit_refuses_with_its_word(holder, symbols):
    AccountRisk.objects.create(
        account_id=holder.id,
        seq=10,
        equity=D(10000),
        margin=D(0),
        peak_equity=D(12000),
        peak_at=clock.now(),
        day=clock.now().date(),
        day_start_equity=D(11000),
        day_low_equity=D(10000),
        day_high_equity=D(11000),
        used_credit=D(0),
        used_credit_max=D(0),
        updated_at=clock.now(),
    )
    Correlation.objects.create(first=symbols["EURUSD"], second=symbols["GBPUSD"], override=D("0.8"))
    words = {
        "order_volume": ("0.09", "limit_volume"),
        "open_volume": ("0.09", "limit_volume"),
        "positions": ("0", "limit_positions"),
        "orders_per_minute": ("0", "rate_limit"),
        "symbol_exposure": ("11001.69", "limit_exposure"),
        "currency_exposure": ("11001.69", "limit_exposure"),
        "correlated_exposure": ("11001.69", "limit_exposure"),
        "daily_loss": ("1000", "daily_loss"),
        "drawdown": ("16.6", "drawdown"),
    }
    for kind, (value, word) in words.items():
        for more in (
            {"scope": "account", "account_id": holder.id},
            {"is_per_account": True},
            {"scope": "group", "group_id": holder.row.group_id},
        ):
            made = limit(kind, value, **more)
            assert buy(holder) == word, (kind, more)
            made.delete()
    assert buy(holder) == "order_filled"


def test_credit_in_use_is_limited(holder):
    rows.balances.change(
        account_id=holder.id,
        kind=rows.BalanceKind.CREDIT,
        amount=D(1000),
        reference="c-1",
        actor=STAFF,
    )
    limit("credit_use", "100", scope="account", account_id=holder.id)

    assert buy(holder, "9.10") == "order_filled"  # 10,011.55 of margin: 11.55 and the spread of the credit
    assert buy(holder, "0.10") == "credit_limit"


def test_orders_per_minute_count_what_other_commands_leave_in_the_journal(holder):
    limit("orders_per_minute", "3", is_per_account=True)
    first = executor.run(market_order(holder)).order
    assert answer(rows.close_order(holder, first.position_id)) == "order_filled"  # no new order
    assert buy(holder) == "order_filled"
    assert answer(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")) == "order_placed"

    assert buy(holder) == "rate_limit"
    assert buy(holder) == "rate_limit"
    executor._executor._runner.forget()  # another process counts the same from the journal
    assert buy(holder) == "rate_limit"


def test_orders_that_close_a_netting_position_count_for_no_rate(symbols):
    netting = rows.make_holder(group=rows.make_group("netting", position_mode="netting"))
    limit("orders_per_minute", "3", is_per_account=True)
    for side in (Side.BUY, Side.SELL, Side.BUY):  # in, out, in
        assert buy(netting, side=side) == "order_filled"
    assert buy(netting, side=Side.SELL, lots="0.20") == "order_filled"  # inout: the third

    assert buy(netting, side=Side.SELL, lots="0.01") == "rate_limit"
    executor._executor._runner.forget()
    assert buy(netting, side=Side.SELL, lots="0.01") == "rate_limit"


def test_orders_are_counted_while_no_limit_is_there(holder):
    kept = limit("orders_per_minute", "2", is_per_account=True)
    assert buy(holder) == "order_filled"
    RiskLimit.objects.filter(pk=kept.pk).update(is_active=False)
    assert buy(holder) == "order_filled"
    RiskLimit.objects.filter(pk=kept.pk).update(is_active=True)

    assert buy(holder) == "rate_limit"


def test_a_limit_of_one_account_counts_what_its_batch_brought_before(holder):
    limit("positions", "1", is_per_account=True)
    commands = [market_order(holder), market_order(holder)]

    first, second = (future.result(10) for future in rows.together(commands))

    assert (first.type, second.refusal) == ("order_filled", "limit_positions")


def test_a_limit_of_one_account_forgets_what_its_batch_closed_before(holder):
    limit("positions", "1", is_per_account=True)
    held = executor.run(market_order(holder)).order

    answers = rows.together([rows.close_order(holder, held.position_id), market_order(holder)])

    assert [future.result(10).type for future in answers] == ["order_filled", "order_filled"]


def test_the_limit_of_an_account_speaks_before_a_total(holder):
    limit("open_volume", "0.05")
    limit("positions", "0", is_per_account=True)

    assert buy(holder) == "limit_positions"


def test_a_total_over_accounts_counts_the_batch_itself(holder, other):
    limit("open_volume", "0.25", scope="symbol", symbol_id=_symbol("EURUSD"))
    commands = [market_order(one, lots="0.10") for one in (holder, other, holder, other)]

    answers = [future.result(10) for future in rows.together(commands)]

    assert [outcome.type for outcome in answers].count("order_filled") == 2
    assert sum(Position.objects.values_list("volume", flat=True)) == D("0.20")
    assert buy(other, "0.05") == "order_filled"
    assert buy(other, "0.01") == "limit_volume"


def test_totals_of_groups_and_of_everybody_hold_side_by_side(holder, other):
    stranger = rows.make_holder(group=rows.make_group("elsewhere"))
    limit("open_volume", "0.30", symbol_id=_symbol("EURUSD"))
    limit("positions", "2", scope="group", group_id=holder.row.group_id)

    assert [buy(holder), buy(other), buy(holder)] == ["order_filled", "order_filled", "limit_positions"]
    assert [buy(stranger), buy(stranger)] == ["order_filled", "limit_volume"]
    assert buy(stranger, symbol="GBPUSD") == "order_filled"


def _symbol(name: str) -> int:
    return rows.Symbol.objects.get(name=name).pk


@pytest.mark.parametrize(
    ("kind", "value", "most"),
    [("open_volume", "1.00", 10), ("positions", "4", 4), ("orders_per_minute", "5", 5)],
)
def test_a_limit_of_one_account_is_exact_under_eight_threads(holder, kind, value, most):
    limit(kind, value, scope="account", account_id=holder.id)
    gate = threading.Barrier(8)

    def trade(_: int) -> list[str]:
        gate.wait(10)
        try:
            return [buy(holder) for _ in range(3)]
        finally:
            connections["default"].close()

    with ThreadPoolExecutor(8) as pool:
        answers = [word for found in pool.map(trade, range(8)) for word in found]

    assert answers.count("order_filled") == most
    assert Position.objects.count() == most


def test_a_deposit_after_the_mark_hides_no_loss(holder):
    """Losing 500 of 10,000 and paying 500 in is still a loss of 500."""
    AccountRisk.objects.create(
        account_id=holder.id,
        seq=holder.row.state.seq,
        equity=D(9500),
        margin=D(0),
        peak_equity=D(10500),
        peak_at=clock.now(),
        day=clock.now().date(),
        day_start_equity=D(10500),
        day_low_equity=D(10000),
        day_high_equity=D(10500),
        used_credit=D(0),
        used_credit_max=D(0),
        updated_at=clock.now(),
    )
    limit("daily_loss", "500", is_per_account=True)
    assert buy(holder) == "daily_loss"

    rows.deposit(holder.id, "500")

    assert buy(holder) == "daily_loss"


def test_an_account_without_marks_is_measured_against_what_was_paid_in(holder):
    limit("daily_loss", "20", is_per_account=True)

    assert buy(holder, "1.00") == "order_filled"  # 17.00 of spread
    assert buy(holder, "0.30") == "order_filled"
    assert buy(holder, "0.01") == "daily_loss"  # 22.10


def test_a_missing_price_leaves_a_reached_order_waiting(holder, symbols):
    order = executor.run(pending(holder, Side.BUY, OrderType.LIMIT, "1.09000")).order
    executor.run(market_order(holder, symbol="USDJPY"))
    limit("correlated_exposure", "100000000", is_per_account=True)
    rows.own_board().latest = {
        name: quote for name, quote in rows.own_board().latest.items() if name != "USDJPY"
    }
    raw = rows.Quote("EURUSD", D("1.08980"), D("1.09000"), clock.now_ms())
    command = TriggerOrder(
        account_id=holder.id,
        command_id=uuid4(),
        actor=Actor.system("triggers"),
        order_id=order.id,
        armed_price=D("1.09000"),
        raw=raw,
    )

    assert buy(holder) == "off_quotes"
    with pytest.raises(Exception, match="conversion rate"):
        executor.run(command)
    assert Order.objects.get(pk=order.id).status == "working"
