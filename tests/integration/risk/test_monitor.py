"""What the margin monitor does: stop-outs within a tick, one call per crossing, exact after every change."""

from collections.abc import Iterator

import psycopg
import pytest

from apps.accounts.domain.ledger import BalanceKind
from apps.groups.models import TradingGroup
from apps.risk.models import AccountRisk, Liquidation, MarginCall, MonitorStatus, QueuedLiquidation
from apps.risk.services.liquidation_queue import LiquidationQueueService
from apps.risk.services.monitor_shard import Shard
from apps.trading.domain.orders import Side
from apps.trading.models import Position
from apps.trading.services import balances, executor
from tests.factories import rows
from tests.factories.booked import verified
from tests.factories.levels import set_levels
from tests.factories.monitoring import Watched, equity_of, knows, types_of, watching
from tests.factories.rows import Holder
from tests.factories.triggering import eventually


@pytest.fixture
def engine(holder: Holder) -> Iterator[Watched]:
    """An engine without services yet."""
    with watching() as opened:
        yield opened


@pytest.fixture
def shard(engine: Watched) -> Shard:
    """A monitor that leads."""
    return engine.leads(engine.start())


def opened(holder: Holder, lots: str = "1.00", side: Side = Side.BUY, symbol: str = "EURUSD") -> int:
    outcome = executor.run(rows.market_order(holder, side, symbol, lots=lots))
    return int(outcome.payload["position"]["id"])


def test_a_tick_that_reaches_the_stop_out_level_closes_the_account(
    engine: Watched, shard: Shard, group: TradingGroup
) -> None:
    poor = rows.make_holder(group=group, balance="1500")
    opened(poor)  # margin 1,100.17: stopped out at an equity of 550.085
    knows(shard, poor)

    engine.tick("1.09068", "1.09085")  # equity 551.00
    engine.tick("1.09067", "1.09084")  # equity 550.00

    eventually(lambda: "stopped_out" in types_of(poor))
    assert not Position.objects.filter(account_id=poor.id).exists()
    kept = Liquidation.objects.get(account_id=poor.id)
    assert (kept.cause, kept.equity_before, kept.fence) == ("monitor", 550, shard.lease.fence)
    verified()


def test_a_call_is_made_once_per_crossing_and_ends_above(
    engine: Watched, shard: Shard, group: TradingGroup
) -> None:
    poor = rows.make_holder(group=group, balance="1500")
    opened(poor)  # called at an equity of 1,100.17, over above 1,155.1785
    knows(shard, poor)

    for bid in ("1.09617", "1.09616", "1.09615"):  # the book decides at the price of its moment
        engine.tick(bid, "1.10017")
    eventually(lambda: types_of(poor)[-1] == "margin_called")
    knows(shard, poor)
    for bid in ("1.09617", "1.09660", "1.09616"):
        engine.tick(bid, "1.10017")
    call = MarginCall.objects.get(account_id=poor.id)
    assert (call.cleared_at, call.margin) == (None, rows.D("1100.17"))

    engine.tick("1.09673", "1.10017")  # equity 1,156.00
    eventually(lambda: types_of(poor)[-1] == "margin_call_ended")
    engine.tick("1.09610", "1.10017")

    eventually(lambda: types_of(poor).count("margin_called") == 2)
    assert MarginCall.objects.filter(account_id=poor.id, cleared_at=None).count() == 1


def test_the_journal_is_followed_exactly(engine: Watched, shard: Shard, holder: Holder) -> None:
    position = opened(holder)
    knows(shard, holder)
    assert equity_of(shard, holder) == 9983.00  # the spread

    rows.deposit(holder.id, "500.25")
    knows(shard, holder)
    assert equity_of(shard, holder) == 10483.25

    opened(holder, "0.50", Side.SELL, "USDJPY")
    knows(shard, holder)
    assert equity_of(shard, holder) == round(10483.25 - 0.020 * 50_000 / 150.0, 2)

    executor.run(rows.close_order(holder, position, lots="0.40"))
    knows(shard, holder)
    engine.tick("1.10100", "1.10117")
    expected = 10500.25 - 0.40 * 17 + 0.60 * 83 - 0.020 * 50_000 / 150.0
    eventually(lambda: equity_of(shard, holder) == round(expected, 2))


def test_changed_terms_value_everything_anew(shard: Shard, holder: Holder, group: TradingGroup) -> None:
    opened(holder)
    knows(shard, holder)

    group.markup_bid_points = 20
    group.save()

    eventually(lambda: equity_of(shard, holder) == 9963.00)


def test_a_raised_stop_out_level_acts_without_a_tick(
    shard: Shard, holder: Holder, group: TradingGroup, owner: psycopg.Connection
) -> None:
    opened(holder, "5.00")  # margin 5,500.85, equity 9,915
    knows(shard, holder)

    set_levels(owner, group.name, call=200, stop=190)

    eventually(lambda: "stopped_out" in types_of(holder))


def test_a_debt_that_is_left_over_is_made_good(shard: Shard, holder: Holder) -> None:
    balances.change(
        account_id=holder.id,
        kind=BalanceKind.ADJUSTMENT,
        amount=rows.D("-10250.40"),
        reference="loss",
        actor=rows.TESTER,
    )

    eventually(lambda: types_of(holder)[-1] == "balance_protected")
    assert rows.state_of(holder)[0] == 0
    assert rows.lines_of(rows.events_of(holder)[-1])["compensation"] == rows.D("-250.40")


def test_the_row_of_the_shard_and_the_marks_are_kept(engine: Watched, shard: Shard, holder: Holder) -> None:
    opened(holder)
    knows(shard, holder)
    engine.tick("1.11017", "1.11034")
    eventually(lambda: equity_of(shard, holder) == 11000.00)
    engine.tick("1.10517", "1.10534")

    eventually(lambda: AccountRisk.objects.filter(account=holder.id, equity="10500.00").exists())
    mark = AccountRisk.objects.get(account=holder.id)
    assert (mark.peak_equity, mark.day_high_equity, mark.day_low_equity) == (11000, 11000, rows.D("9983.00"))
    assert (mark.margin, mark.level_pct) == (rows.D("1100.17"), rows.D("954.40"))
    status = MonitorStatus.objects.get(shard="0")
    assert (status.positions, status.below, status.without_price) == (1, 0, 0)
    eventually(lambda: MonitorStatus.objects.get(shard="0").house_floating == rows.D("-500.00"))


def test_a_frozen_feed_closes_nothing_and_the_first_fresh_tick_does(
    engine: Watched, group: TradingGroup
) -> None:
    poor = rows.make_holder(group=group, balance="1500")
    opened(poor)
    rows.show({"EURUSD": ("1.08900", "1.08917")}, age_ms=700_000)  # a quote may be 600 s old
    queue = LiquidationQueueService()
    engine.engine.services.append(queue)
    queue.start(engine.engine)
    engine.leads(engine.start())

    waiting = eventually(lambda: QueuedLiquidation.objects.filter(account_id=poor.id).first())
    assert (waiting.reason, types_of(poor)[-1]) == ("off_quotes", "order_filled")
    engine.tick("1.08901", "1.08918")

    eventually(lambda: types_of(poor)[-1] == "stopped_out")
    eventually(lambda: not QueuedLiquidation.objects.filter(resolved_at=None).exists())
    verified()
