"""What a beginning leadership trusts: the newest prices that anybody stored, and a feed that leads here."""

from collections.abc import Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from apps.groups.models import TradingGroup
from apps.market.domain.quotes import Quote
from apps.market.models import LastQuote, Symbol
from apps.market.services.board import own_board
from apps.risk.models import AccountRisk, MarginCall, MonitorStatus, RiskAlarm
from apps.risk.services import alarms, liquidation, marks, monitor_records
from apps.trading.domain.orders import Side
from apps.trading.services import executor
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.monitoring import Watched, equity_of, knows, types_of, watching
from tests.factories.rows import Holder
from tests.factories.triggering import eventually

D = rows.D


@pytest.fixture
def engine(holder: Holder) -> Iterator[Watched]:
    """An engine without services yet."""
    with watching() as opened:
        yield opened


@pytest.fixture
def poor(group: TradingGroup) -> Holder:
    """A client with 1.00 lot of EURUSD on 1,500: stopped out at an equity of 550.085."""
    made = rows.make_holder(group=group, balance="1500")
    executor.run(rows.market_order(made, Side.BUY, "EURUSD", lots="1.00"))
    return made


def test_prices_that_another_leader_stored_win_over_a_board_that_stood_still(
    engine: Watched, poor: Holder, symbols: dict[str, Symbol]
) -> None:
    rows.show({"EURUSD": ("1.08900", "1.08917")}, age_ms=20_000)  # equity 383.00: it led until then
    LastQuote.objects.create(symbol=symbols["EURUSD"], bid=D("1.10000"), ask=D("1.10017"), time=clock.now())

    shard = engine.leads(engine.start())

    assert equity_of(shard, poor) == 1483.00
    assert own_board().latest["EURUSD"].bid == D("1.10000")
    assert shard.counted["stop_outs_asked"] == 0
    assert types_of(poor)[-1] == "order_filled"


def test_it_waits_for_the_feed_that_brings_the_board_up(engine: Watched, poor: Holder) -> None:
    leads, asked = [False], []

    def health() -> dict[str, Any]:
        asked.append(1)
        return {"leading": leads[0]}

    feed: Any = SimpleNamespace(name="feed", health=health, stop=lambda: None)
    engine.engine.services.append(feed)
    service = engine.start()
    eventually(lambda: len(asked) > 3)
    assert (service.shards[0].lease.is_held, service.shards[0].is_leading) == (True, False)

    leads[0] = True

    knows(engine.leads(service), poor)


def test_a_price_that_no_tick_brought_is_seen_within_a_second(engine: Watched, poor: Holder) -> None:
    shard = engine.leads(engine.start())
    knows(shard, poor)

    own_board().put(Quote("EURUSD", D("1.08900"), D("1.08917"), clock.now_ms()))

    eventually(lambda: "stopped_out" in types_of(poor))


def test_days_that_ended_are_closed_beside_the_watching(
    engine: Watched, poor: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, close_days = Event(), marks.close_days

    def slow(**given: Any) -> int:
        assert may_end.wait(20)
        return close_days(**given)

    monkeypatch.setattr(marks, "close_days", slow)
    shard = engine.leads(engine.start())
    knows(shard, poor)
    began = MonitorStatus.objects.filter(shard="0").values_list("at", flat=True)
    first = eventually(lambda: began.first())

    engine.tick("1.08900", "1.08917")

    eventually(lambda: "stopped_out" in types_of(poor))
    eventually(lambda: began.first() > first)
    assert not AccountRisk.objects.exists()  # an open day's marks are not written over
    may_end.set()
    eventually(lambda: AccountRisk.objects.filter(account=poor.id).exists())


def test_alarms_of_an_earlier_leader_are_ended_by_the_next_one(
    engine: Watched, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_records, "GOOD_S", 0.0)
    shard = engine.leads(engine.start())
    recorder = shard._recorder
    eventually(lambda: not recorder._is_late_raised and recorder._blind_said[1] == 0)
    for kind in ("monitor_late", "no_price"):
        alarms.raise_alarm(kind=kind, severity="critical", subject="margin:0", message="by another one")

    recorder.begin(clock.now().date())  # as when it leads again

    eventually(lambda: not RiskAlarm.objects.filter(cleared_at=None).exists())


def test_who_cannot_be_closed_is_called_at_least(
    engine: Watched, poor: Holder, symbols: dict[str, Symbol]
) -> None:
    symbols["EURUSD"].trade_mode = "disabled"
    symbols["EURUSD"].save()
    shard = engine.leads(engine.start())
    knows(shard, poor)

    engine.tick("1.08900", "1.08917")  # equity 383.00: through both levels at once

    eventually(lambda: types_of(poor)[-1] == "margin_called")
    assert MarginCall.objects.get(account_id=poor.id).equity == D("383.00")


def test_answers_that_do_not_come_are_alarmed(
    engine: Watched, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_records, "GOOD_S", 0.0)
    monkeypatch.setattr(liquidation, "oldest_s", lambda: 12.5)

    engine.leads(engine.start())

    alarm = eventually(lambda: RiskAlarm.objects.filter(kind="monitor_late").first())
    assert "what was asked for waits for 12.5 s" in alarm.message
    monkeypatch.setattr(liquidation, "oldest_s", lambda: 0.0)
    eventually(lambda: not RiskAlarm.objects.filter(cleared_at=None).exists())
