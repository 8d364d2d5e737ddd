"""The sweep: whom it finds, what it hands over, and when it says that the monitor missed something."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.accounts.models import AccountState
from apps.groups.models import TradingGroup
from apps.market.models import Symbol, TradingSession
from apps.market.services.board import own_board
from apps.market.services.leases import Lease
from apps.risk.models import MonitorStatus, RiskAlarm, SweepRun
from apps.risk.selectors import sweep as found_by_sql
from apps.risk.services import liquidation, sweep
from apps.trading.domain.orders import Side
from apps.trading.selectors.markets import markets
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories import rows
from tests.factories.rows import Holder
from tests.factories.stop_outs import crash, exposed, liquidations, queued


def swept() -> found_by_sql.Swept:
    return found_by_sql.below_stop_out(markets(now=clock.now()))


def test_an_account_above_its_level_is_not_found(group: TradingGroup) -> None:
    exposed(group=group)

    found = swept()

    assert (found.positions, found.accounts, found.found) == (2, 1, [])


def test_an_account_below_is_found_with_its_equity_and_level(group: TradingGroup) -> None:
    holder = exposed(group=group)
    crash({"EURUSD": ("1.00500", "1.00517")})

    [found] = swept().found

    assert found.account_id == holder.id
    assert found.equity == pytest.approx(96.60)
    assert found.margin == pytest.approx(220.03)
    assert found.level_pct == pytest.approx(96.60 / 220.03 * 100)
    assert not found.is_unvalued


@pytest.mark.parametrize(("bid", "is_found"), [("1.00568", False), ("1.00567", True)])
def test_it_finds_to_the_cent(group: TradingGroup, bid: str, *, is_found: bool) -> None:
    exposed(group=group)  # margin 220.03, stop-out at equity 110.015: a bid of 1.00567075
    crash({"EURUSD": (bid, "1.01000")})

    assert bool(swept().found) is is_found


def exposed_and_aged(group: TradingGroup) -> Holder:
    """Open an account whose last change the monitor has had time to see."""
    holder = exposed(group=group)
    AccountState.objects.update(updated_at=clock.now() - timedelta(seconds=60))
    return holder


def test_what_a_dead_monitor_missed_is_closed_and_alarmed(group: TradingGroup) -> None:
    holder = exposed_and_aged(group)
    rows.show({"EURUSD": ("1.00000", "1.00017")}, age_ms=3000)

    made = sweep.run()

    assert made is not None
    assert (made.positions, made.found, made.liquidated, made.missed) == (2, 1, 1, 1)
    assert made.detail["missed"] == [holder.login]
    [kept] = liquidations(holder)
    assert kept.cause == "sweep"
    raised = {alarm.kind: alarm for alarm in RiskAlarm.objects.filter(cleared_at=None)}
    assert set(raised) == {"sweep_found"}
    assert str(holder.login) in raised["sweep_found"].message


def test_what_the_monitor_missed_is_alarmed_however_young_prices_are(group: TradingGroup) -> None:
    exposed(group=group)
    crash()

    made = sweep.run()

    assert made is not None
    assert (made.liquidated, made.missed) == (1, 1)
    assert RiskAlarm.objects.filter(kind="sweep_found", cleared_at=None).count() == 1


def test_what_the_monitor_closes_within_its_second_is_not_missed(
    group: TradingGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = exposed(group=group)
    crash()
    asked: list[float] = []

    def monitor_acts(seconds: float) -> None:
        asked.append(seconds)
        liquidation.enforce(holder.id, cause="monitor", actor=Actor.system("monitor"))

    monkeypatch.setattr(sweep, "pause", monitor_acts)

    made = sweep.run()

    assert made is not None
    assert (asked, made.found, made.liquidated, made.missed) == ([1.0], 1, 0, 0)
    assert [kept.cause for kept in liquidations(holder)] == ["monitor"]
    assert not RiskAlarm.objects.filter(kind="sweep_found").exists()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody acts between both looks, so there is nothing to wait for."""
    monkeypatch.setattr(sweep, "pause", lambda seconds: None)


def test_clean_runs_end_the_alarm(group: TradingGroup) -> None:
    exposed_and_aged(group)
    rows.show({"EURUSD": ("1.00000", "1.00017")}, age_ms=3000)
    sweep.run()

    open_alarms = []
    for _ in range(sweep.CLEAN_RUNS):
        sweep.run()
        open_alarms.append(RiskAlarm.objects.filter(kind="sweep_found", cleared_at=None).count())

    assert open_alarms == [1, 1, 0]


def test_a_zero_margin_account_without_equity_is_found(
    group: TradingGroup, symbols: dict[str, Symbol]
) -> None:
    Symbol.objects.filter(name="EURUSD").update(hedged_contract_size=0)
    holder = exposed(group=group, lots=("0.10",))
    executor.run(rows.market_order(holder, Side.SELL, lots="0.10"))
    assert rows.state_of(holder)[2] == 0
    crash({"EURUSD": ("1.00000", "1.25000")})

    [found] = swept().found

    assert (found.margin, found.level_pct) == (0, None)
    made = sweep.run()
    assert made is not None
    assert made.liquidated == 1


def test_a_debt_without_positions_is_found_where_it_is_protected(group: TradingGroup) -> None:
    TradingGroup.objects.update(protects_balance=False)
    holder = exposed(group=group)
    crash()
    sweep.run()
    assert rows.state_of(holder)[0] == Decimal("-3.40")
    assert swept().found == []

    TradingGroup.objects.update(protects_balance=True)
    sweep.run()

    assert rows.state_of(holder)[0] == 0


def test_an_account_without_a_price_is_told_and_left(group: TradingGroup) -> None:
    holder = exposed(group=group)
    own_board().clear()

    made = sweep.run()

    assert made is not None
    assert (made.found, made.without_price, made.liquidated) == (0, 1, 0)
    alarm = RiskAlarm.objects.get(kind="no_price", cleared_at=None)
    assert str(holder.login) in alarm.message

    rows.show()
    sweep.run()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


def test_it_tries_again_what_waits_when_the_market_opens(
    group: TradingGroup, symbols: dict[str, Symbol]
) -> None:
    holder = exposed(group=group)
    crash()
    never = TradingSession.objects.create(name="Never", timezone="UTC")
    always = symbols["EURUSD"].session
    Symbol.objects.update(session=never)
    sweep.run()
    assert queued(holder) is not None
    sweep.run()
    row = queued(holder)
    assert row is not None
    assert row.attempts == 1  # its pause is not over

    Symbol.objects.update(session=always)
    made = sweep.run()

    assert made is not None
    assert made.liquidated == 1
    assert queued(holder) is None
    assert liquidations(holder)[0].cause == "queue"


def test_a_position_of_an_edited_contract_is_valued_by_its_own(
    group: TradingGroup, symbols: dict[str, Symbol]
) -> None:
    holder = exposed(group=group)
    Symbol.objects.filter(name="EURUSD").update(contract_size=1000)
    crash()

    [found] = swept().found
    assert (found.account_id, found.odd) == (holder.id, 2)
    made = sweep.run()

    assert made is not None
    assert made.liquidated == 1


def test_an_edited_contract_alone_closes_nobody(group: TradingGroup, symbols: dict[str, Symbol]) -> None:
    holder = exposed(group=group)
    Symbol.objects.filter(name="EURUSD").update(contract_size=1000)

    made = sweep.run()

    assert made is not None
    assert made.detail["results"] == {}
    assert liquidations(holder) == []


def test_two_sweeps_do_not_run_at_once(group: TradingGroup) -> None:
    other = Lease("sweep")
    assert other.renew()

    assert sweep.run() is None

    other.release()
    assert sweep.run() is not None


def test_a_monitor_that_works_off_a_backlog_is_left_to_it(group: TradingGroup) -> None:
    holder = exposed_and_aged(group)
    crash()
    now = clock.now()
    status = MonitorStatus.objects.create(
        shard="0",
        holder="h",
        fence=1,
        at=now,
        started_at=now,
        accounts=1,
        positions=2,
        lag_ms=1,
        lag_max_ms=1,
        follow_lag_ms=1,
        levels={},
        called=0,
        below=1,
        counters={"liquidations_waiting": 5},
    )

    made = sweep.run()
    assert made is not None
    assert (made.detail["left_to_monitor"], liquidations(holder)) == (1, [])

    SweepRun.objects.update(at=now - sweep.BUSY_MAX)
    status.at = clock.now()
    status.save()
    made = sweep.run()
    assert made is not None
    assert made.liquidated == 1


def test_old_runs_are_deleted_and_findings_kept_longer(group: TradingGroup) -> None:
    now = clock.now()
    for found, days in ((0, 3), (1, 3), (1, 91)):
        SweepRun.objects.create(
            at=now - timedelta(days=days), took_ms=1, positions=0, found=found, liquidated=0, missed=0
        )

    assert sweep.prune(now=now) == 2
    assert SweepRun.objects.get().found == 1
