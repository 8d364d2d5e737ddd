"""Liquidation: what is closed, kept, queued and alarmed."""

from decimal import Decimal

import orjson
import pytest

from apps.groups.models import TradingGroup
from apps.market.models import Symbol, TradingSession
from apps.risk.models import Liquidation
from apps.risk.services import liquidation
from apps.risk.services.liquidation import Enforced
from apps.trading.models import Position
from rtx.kernel.actor import Actor
from tests.factories import booked, rows
from tests.factories.rows import Holder
from tests.factories.stop_outs import crash, exposed, liquidations, open_alarms, queued

SWEEP = Actor.system("sweep")


def enforced(holder: Holder) -> Enforced:
    return liquidation.enforce(holder.id, cause="sweep", actor=SWEEP)


def test_an_account_above_its_level_is_left_alone(holder: Holder) -> None:
    assert enforced(holder) is Enforced.VOID
    assert liquidations(holder) == []


def test_closing_keeps_one_dossier_with_the_figures_of_the_event(group: TradingGroup) -> None:
    holder = exposed(group=group)
    crash()

    assert enforced(holder) is Enforced.CLOSED

    [kept] = liquidations(holder)
    told = orjson.loads(kept.dossier)
    assert (kept.rule, kept.cause, kept.is_complete) == ("largest_loss", "sweep", True)
    assert (kept.positions_closed, kept.orders_canceled) == (2, 0)
    assert kept.profit == Decimal("-2003.40")
    assert kept.equity_before == Decimal("-3.40")
    assert kept.level_after_pct is None
    assert kept.compensation == Decimal("3.40")
    assert kept.event.type == "stopped_out"
    assert told["account"]["seq"] == kept.event.seq - 1
    assert not Position.objects.filter(account_id=holder.id).exists()
    assert booked.verified() > 0


def close_market(symbols: dict[str, Symbol], *names: str) -> None:
    """Move symbols to a session that never opens."""
    never = TradingSession.objects.create(name="Never", timezone="UTC")
    Symbol.objects.filter(name__in=names).update(session=never)


def open_market(*names: str) -> None:
    Symbol.objects.filter(name__in=names).update(session=TradingSession.objects.get(name="Always"))


def test_a_closed_market_queues_and_alarms_and_the_opening_ends_both(
    group: TradingGroup, symbols: dict[str, Symbol]
) -> None:
    holder = exposed(group=group)
    crash()
    close_market(symbols, "EURUSD")

    assert enforced(holder) is Enforced.WAITS
    row = queued(holder)
    assert row is not None
    assert (row.reason, row.attempts) == ("market_closed", 1)
    assert sorted(row.waiting.values()) == [["EURUSD", "market_closed"]] * 2
    assert open_alarms(holder) == ["liquidation_waits"]

    assert enforced(holder) is Enforced.WAITS
    row = queued(holder)
    assert row is not None
    assert row.attempts == 2

    open_market("EURUSD")
    assert enforced(holder) is Enforced.CLOSED
    assert queued(holder) is None
    assert open_alarms(holder) == []
    row.refresh_from_db()
    assert row.resolution == "closed"


def test_a_stale_quote_queues_with_its_reason(group: TradingGroup) -> None:
    holder = exposed(group=group)
    rows.show({"EURUSD": ("1.00000", "1.00017")}, age_ms=3_600_000)

    assert enforced(holder) is Enforced.WAITS

    row = queued(holder)
    assert row is not None
    assert row.reason == "off_quotes"


def test_what_is_left_by_a_closed_market_is_queued_with_the_rest_closed(
    group: TradingGroup, symbols: dict[str, Symbol]
) -> None:
    holder = exposed(group=group, lots=("0.10",))
    booked.run(holder, rows.market_order(holder, symbol="GBPUSD", lots="0.10"))
    crash({"EURUSD": ("0.95000", "0.95017"), "GBPUSD": ("1.20000", "1.20020")})
    close_market(symbols, "GBPUSD")

    assert enforced(holder) is Enforced.PARTLY

    [kept] = liquidations(holder)
    assert (kept.is_complete, kept.positions_closed) == (False, 1)
    row = queued(holder)
    assert row is not None
    assert list(row.waiting.values()) == [["GBPUSD", "market_closed"]]
    assert open_alarms(holder) == ["liquidation_waits"]


def test_a_deposit_resolves_the_queue_as_above_the_level(
    group: TradingGroup, symbols: dict[str, Symbol]
) -> None:
    holder = exposed(group=group)
    crash()
    close_market(symbols, "EURUSD")
    enforced(holder)
    row = queued(holder)
    assert row is not None

    rows.deposit(holder.id, "5000")
    assert enforced(holder) is Enforced.VOID

    row.refresh_from_db()
    assert (row.resolution, open_alarms(holder)) == ("level above stop-out", [])


def test_an_unexpected_error_is_alarmed_and_queued_and_the_next_try_ends_it(
    group: TradingGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.trading.domain import stop_out

    holder = exposed(group=group)
    crash()

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("a step that nobody expected")

    with monkeypatch.context() as patched:
        patched.setattr(stop_out._Run, "close_all_that_must", breaks)
        assert enforced(holder) is Enforced.FAILED
    row = queued(holder)
    assert row is not None
    assert row.reason == "failed"
    assert open_alarms(holder) == ["liquidation_failed"]

    assert enforced(holder) is Enforced.CLOSED
    assert (queued(holder), open_alarms(holder)) == (None, [])


def test_a_debt_without_positions_is_made_good_as_its_own_entry(group: TradingGroup) -> None:
    group.protects_balance = False
    group.save()
    holder = exposed(group=group)
    crash()
    assert enforced(holder) is Enforced.CLOSED
    assert rows.state_of(holder)[0] == Decimal("-3.40")

    group.protects_balance = True
    group.save()
    assert enforced(holder) is Enforced.CLOSED

    assert rows.state_of(holder)[0] == 0
    first, second = liquidations(holder)
    assert (first.compensation, second.compensation) == (0, Decimal("3.40"))
    assert second.event.type == "balance_protected"
    assert rows.lines_of(second.event) == {"client": Decimal("3.40"), "compensation": Decimal("-3.40")}
    assert booked.verified() > 0


def test_the_same_account_asked_twice_is_closed_once(group: TradingGroup) -> None:
    holder = exposed(group=group)
    crash()

    found = [enforced(holder), enforced(holder)]

    assert found == [Enforced.CLOSED, Enforced.VOID]
    assert Liquidation.objects.count() == 1
