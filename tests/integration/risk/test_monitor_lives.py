"""Starts, restarts, two at once, shards, days that end, and what is alarmed when the monitor cannot see."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from apps.accounts.models import AccountState
from apps.groups.models import TradingGroup
from apps.market.services import leases
from apps.market.services.board import own_board
from apps.risk.models import AccountRisk, AccountRiskDay, MonitorStatus, RiskAlarm
from apps.risk.selectors import breakers as watched
from apps.risk.selectors import portfolio as stored
from apps.risk.services import margin_calls, monitor_records
from apps.trading.domain.orders import Side
from apps.trading.services import executor
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.booked import verified
from tests.factories.levels import set_levels
from tests.factories.monitoring import Watched, equity_of, knows, types_of, watching
from tests.factories.rows import Holder
from tests.factories.triggering import eventually

D = Decimal


@pytest.fixture
def engine(holder: Holder) -> Iterator[Watched]:
    """An engine without services yet."""
    with watching() as opened:
        yield opened


def opened(holder: Holder, lots: str = "1.00", symbol: str = "EURUSD") -> int:
    outcome = executor.run(rows.market_order(holder, Side.BUY, symbol, lots=lots))
    return int(outcome.payload["position"]["id"])


def test_a_start_finds_what_happened_while_nobody_watched(engine: Watched, group: TradingGroup) -> None:
    poor = rows.make_holder(group=group, balance="1500")
    opened(poor)
    rows.show({"EURUSD": ("1.08900", "1.08917")})

    engine.leads(engine.start())

    eventually(lambda: "stopped_out" in types_of(poor))
    verified()


def test_a_bulk_load_is_what_the_journal_leads_to(engine: Watched, group: TradingGroup) -> None:
    followed = engine.leads(engine.start())
    holders = [rows.make_holder(group=group) for _ in range(3)]
    for holder in holders:
        for symbol in ("EURUSD", "USDJPY", "EURGBP"):
            opened(holder, "0.30", symbol)
        rows.deposit(holder.id, "12.34")
        knows(followed, holder)
    equities = [equity_of(followed, holder) for holder in holders]
    engine.engine.services[0].stop()

    loaded = engine.leads(engine.start())

    assert [equity_of(loaded, holder) for holder in holders] == equities
    assert loaded.portfolio is not None
    assert loaded.portfolio.positions == 9


def test_of_two_monitors_one_leads_and_the_other_takes_over(engine: Watched, group: TradingGroup) -> None:
    poor = rows.make_holder(group=group, balance="1500")
    opened(poor)
    first, second = engine.start(), engine.start()
    leader = eventually(lambda: next((s for s in (first, second) if s.health()["leading"]), None))
    other = second if leader is first else first
    fence = leader.shards[0].lease.fence
    assert not other.health()["leading"]

    leader.stop()
    shard = engine.leads(other)
    knows(shard, poor)
    engine.tick("1.08900", "1.08917")

    assert shard.lease.fence == fence + 1
    eventually(lambda: "stopped_out" in types_of(poor))
    assert types_of(poor).count("stopped_out") == 1


def test_a_deposed_monitor_neither_asks_nor_writes(
    engine: Watched, group: TradingGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = rows.make_holder(group=group, balance="1500")
    opened(poor)
    shard = engine.leads(engine.start())
    knows(shard, poor)
    monkeypatch.setattr(leases.Lease, "renew", lambda self: False)  # it believes in its lease to the end
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE market_enginelease SET holder = 'another:1:x', fence = fence + 1 WHERE name = 'margin:0'"
        )
    eventually(lambda: "another engine" in shard.last_error)
    MonitorStatus.objects.all().delete()

    engine.tick("1.08900", "1.08917")
    eventually(lambda: shard.health()["stop_outs_asked"] > 0 or not shard.lease.is_held)
    shard.stop()

    assert "stopped_out" not in types_of(poor)
    assert not MonitorStatus.objects.exists()


def test_shards_part_the_accounts_and_each_watches_its_own(
    engine: Watched, group: TradingGroup, settings: Any
) -> None:
    settings.RISK_SHARDS = 3
    poor = [rows.make_holder(group=group, balance="1500") for _ in range(6)]
    for holder in poor:
        opened(holder)
    service = engine.start()
    eventually(lambda: service.health()["leading"])
    for shard in service.shards:
        assert shard.portfolio is not None
        assert {id_ % 3 for id_ in shard.portfolio.accounts.index} == {shard.number}

    engine.tick("1.08900", "1.08917")

    eventually(lambda: all("stopped_out" in types_of(holder) for holder in poor))
    eventually(lambda: MonitorStatus.objects.count() == 3)
    verified()


def breaks_three_times(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let PostgreSQL end the connection in the middle of a read, so that the driver itself complains."""
    read, broken = stored._flows, []

    def away(cursor: Any, known: Any) -> Any:
        if len(broken) < 3:
            broken.append(1)
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return read(cursor, known)

    monkeypatch.setattr(stored, "_flows", away)
    return broken


def test_a_lost_database_is_waited_for_and_everything_caught_up(
    engine: Watched, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = engine.leads(engine.start())
    knows(shard, holder)
    broken = breaks_three_times(monkeypatch)
    rows.deposit(holder.id, "5.00")

    knows(shard, holder)
    assert (len(broken), equity_of(shard, holder)) == (3, 10005.00)


def test_a_database_that_goes_away_while_everything_is_loaded_is_waited_for(
    engine: Watched, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = breaks_three_times(monkeypatch)
    AccountRisk.objects.all().delete()

    shard = engine.leads(engine.start())

    assert (len(broken), equity_of(shard, holder), engine.engine.failure) == (3, 10000.00, "")


def test_a_driver_that_lost_its_connection_is_waited_for_like_any_database(
    symbols: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(cursor: Any) -> int:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return 0

    monkeypatch.setattr(watched, "controls_version", gone)
    try:
        with pytest.raises(OperationalError):
            watched.version()
    finally:
        connection.close()


def test_an_unforeseen_error_ends_the_engine(
    engine: Watched, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = engine.leads(engine.start())
    assert shard.portfolio is not None

    def broken(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(shard.portfolio, "tick", broken)
    engine.tick("1.10001", "1.10018")

    assert "a fault" in eventually(lambda: engine.engine.failure)


def test_a_thread_that_hangs_ends_the_engine(
    engine: Watched, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = engine.leads(engine.start())
    monkeypatch.setattr(monitor_records, "HANGS_S", 2.5)

    with shard.lock:  # as if something never gave it back
        engine.tick("1.10001", "1.10018")
        failure = eventually(lambda: engine.engine.failure)

    assert "MonitorHangs('ticks have not been dealt with" in failure


def test_lateness_is_alarmed_and_the_alarm_ends(
    engine: Watched, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_records, "GOOD_S", 0.5)
    shard = engine.leads(engine.start())
    shard.lags.note(2.5)

    alarm = eventually(lambda: RiskAlarm.objects.filter(kind="monitor_late").first())
    assert (alarm.subject, alarm.severity) == ("margin:0", "critical")
    eventually(lambda: RiskAlarm.objects.filter(kind="monitor_late", cleared_at__isnull=False).exists())


def test_positions_without_a_price_are_alarmed_until_they_have_one(engine: Watched, holder: Holder) -> None:
    opened(holder, "0.10", "USDJPY")
    quotes = dict(own_board().latest)
    del quotes["USDJPY"]
    own_board().latest = quotes

    engine.leads(engine.start())

    alarm = eventually(lambda: RiskAlarm.objects.filter(kind="no_price", cleared_at=None).first())
    assert alarm.detail == {"accounts": 1, "symbols": ["USDJPY"]}
    engine.tick("150.000", "150.020", "USDJPY")
    eventually(lambda: not RiskAlarm.objects.filter(kind="no_price", cleared_at=None).exists())


def test_the_end_of_a_day_makes_its_row(
    engine: Watched, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = engine.leads(engine.start())
    opened(holder, "1.00")
    opened(holder, "0.50")
    executor.run(rows.market_order(holder, lots="90"))  # refused: not enough money
    knows(shard, holder)
    engine.tick("1.11017", "1.11034")
    eventually(lambda: AccountRisk.objects.filter(account=holder.id, equity="11500.00").exists())
    today, now = clock.now().date(), clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(days=1))

    day = eventually(lambda: AccountRiskDay.objects.filter(account=holder.id).first())
    monkeypatch.setattr(clock, "now", now)

    assert (day.date, day.equity_start, day.equity_low, day.equity_end) == (
        today,
        10000,
        D("9974.50"),
        11500,
    )
    assert (day.orders, day.orders_rejected, day.volume, day.order_size_average) == (
        3,
        1,
        D("1.5"),
        D("0.75"),
    )
    eventually(lambda: AccountRisk.objects.get(account=holder.id).day == today + timedelta(days=1))
    assert AccountRisk.objects.get(account=holder.id).day_start_equity == 11500


def test_a_clock_that_goes_back_ends_no_day_and_stops_nothing(
    engine: Watched, group: TradingGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = rows.make_holder(group=group, balance="1500")
    opened(poor)
    shard = engine.leads(engine.start())
    eventually(lambda: AccountRisk.objects.filter(account=poor.id).exists())
    now, today = clock.now, clock.now().date()
    monkeypatch.setattr(clock, "now", lambda: now() - timedelta(days=3))
    seen = MonitorStatus.objects.get(shard="0").at
    eventually(lambda: MonitorStatus.objects.get(shard="0").at > seen)
    monkeypatch.setattr(clock, "now", now)

    engine.tick("1.08900", "1.08917")

    eventually(lambda: "stopped_out" in types_of(poor))
    assert not AccountRiskDay.objects.exists()
    assert AccountRisk.objects.get(account=poor.id).day == today
    assert shard.last_error == ""


def test_a_day_that_ended_while_nobody_watched_is_closed_at_the_start(
    engine: Watched, holder: Holder
) -> None:
    yesterday = clock.now().date() - timedelta(days=1)
    seq = AccountState.objects.get(account_id=holder.id).seq
    AccountRisk.objects.create(
        account_id=holder.id,
        seq=seq,
        equity="9000",
        margin=0,
        peak_equity="12000",
        peak_at=clock.now(),
        day=yesterday,
        day_start_equity="9500",
        day_low_equity="8900",
        day_high_equity="9600",
        used_credit=0,
        used_credit_max=0,
        updated_at=clock.now(),
    )
    rows.deposit(holder.id, "1.00")

    engine.leads(engine.start())

    day = eventually(lambda: AccountRiskDay.objects.filter(account=holder.id).first())
    assert (day.date, day.equity_start, day.equity_low, day.equity_end) == (yesterday, 9500, 8900, 9000)
    eventually(lambda: AccountRisk.objects.get(account=holder.id).seq == seq + 1)
    mark = AccountRisk.objects.get(account=holder.id)
    assert (mark.peak_equity, mark.day_start_equity) == (D("12001.33"), 10001)


def test_a_call_that_is_open_already_is_not_made_again(
    holder: Holder, group: TradingGroup, owner: psycopg.Connection
) -> None:
    set_levels(owner, group.name, call=5000, stop=50)
    opened(holder)
    caller = margin_calls.Caller(backlog=lambda: 0)
    caller.start()
    try:
        caller.offer({holder.id: 3}, {})
        eventually(lambda: caller.counted["called"] == 1)
        eventually(lambda: caller.offer({holder.id: 4}, {}) or caller.counted["void"] == 1)
    finally:
        caller.stop()

    assert types_of(holder).count("margin_called") == 1


def test_stop_outs_go_before_calls(holder: Holder, group: TradingGroup, owner: psycopg.Connection) -> None:
    set_levels(owner, group.name, call=5000, stop=50)
    opened(holder)
    waiting = [5]
    caller = margin_calls.Caller(backlog=lambda: waiting[0])
    caller.start()
    try:
        caller.offer({holder.id: 3}, {})
        eventually(lambda: caller._held_up_since is not None)
        assert types_of(holder)[-1] == "order_filled"
        waiting[0] = 0
        eventually(lambda: types_of(holder)[-1] == "margin_called")
    finally:
        caller.stop()
