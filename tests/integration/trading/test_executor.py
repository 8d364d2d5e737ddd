"""The executor books commands: every row of an order, once, whatever the callers do."""

import threading
from concurrent.futures import Future
from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import transaction
from psycopg.errors import DeadlockDetected

from apps.accounts.models import AccountEvent
from apps.groups.models import TradingGroup
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import Command, Outcome
from apps.trading.domain.filling import PositionNotFound, SymbolNotOffered
from apps.trading.domain.orders import Side
from apps.trading.models import Deal, Order, Position
from apps.trading.services import executor
from apps.trading.services.batch import AccountNotFound
from tests.factories import rows
from tests.factories.rows import TESTER, close_order, lines_of, market_order, state_of, together

D = Decimal


def test_a_market_order_becomes_order_deal_position_event_lines_and_state(group, symbols, holder):
    TradingGroup.objects.filter(pk=group.pk).update(
        markup_bid_points=2, markup_ask_points=3, commission_mode="per_lot", commission_value=D("3.50")
    )

    outcome = executor.run(market_order(holder, lots="0.50", client_order_id="first", comment="hello"))

    # raw ask 1.10017 + 3 points; margin 0.5 x 100,000 / 100 EUR at 1.10020; markup 3 points x 50,000 = 1.50
    order = Order.objects.get()
    assert (order.account_id, order.symbol_id, order.client_order_id, order.comment) == (
        holder.id,
        symbols["EURUSD"].pk,
        "first",
        "hello",
    )
    assert (order.side, order.type, order.status, order.reject_reason) == ("buy", "market", "filled", "")
    assert (order.volume, order.filled_volume, order.average_price) == (D("0.50"), D("0.50"), D("1.10020"))
    deal = Deal.objects.get()
    assert (deal.order_id, deal.position_id, deal.entry, deal.side) == (
        order.pk,
        order.position_id,
        "in",
        "buy",
    )
    assert (deal.price, deal.volume, deal.profit, deal.commission, deal.swap, deal.markup) == (
        D("1.10020"),
        D("0.50"),
        D(0),
        D("-1.75"),
        D(0),
        D("1.50"),
    )
    assert (deal.raw_bid, deal.raw_ask, deal.client_bid, deal.client_ask) == (
        D("1.10000"),
        D("1.10017"),
        D("1.09998"),
        D("1.10020"),
    )
    assert (deal.profit_rate, deal.margin_rate, deal.rule) == (D(1), D("1.10020"), "per_lot:3.50:both")
    position = Position.objects.get()
    assert (position.pk, position.side, position.volume, position.cost, position.open_price) == (
        order.position_id,
        "buy",
        D("0.50"),
        D("0.55010"),
        D("1.10020"),
    )
    assert (position.commission, position.last_deal_id) == (D("-1.75"), deal.pk)
    event = AccountEvent.objects.get(account_id=holder.id, seq=3)
    assert (event.type, event.actor) == ("order_filled", f"client:user:{holder.user_id}")
    assert event.payload["order"]["id"] == order.pk
    assert lines_of(event) == {
        "client": D("-1.75"),
        "commission": D("1.75"),
        "bbook": D("-1.50"),
        "markup": D("1.50"),
    }
    assert state_of(holder) == (D("9998.25"), D(0), D("550.10"), 3)
    assert (outcome.seq, outcome.repeated) == (3, False)


def test_closing_removes_the_position_and_books_the_profit(holder):
    opened = executor.run(market_order(holder, lots="0.50"))
    rows.show({"EURUSD": ("1.10117", "1.10130")})

    outcome = executor.run(close_order(holder, opened.order.position_id))

    assert not Position.objects.exists()
    assert [(d.entry, d.side, d.price, d.profit) for d in Deal.objects.order_by("pk")] == [
        ("in", "buy", D("1.10017"), D(0)),
        ("out", "sell", D("1.10117"), D("50.00")),
    ]
    assert lines_of(AccountEvent.objects.get(account_id=holder.id, seq=outcome.seq)) == {
        "client": D("50.00"),
        "bbook": D("-50.00"),
    }
    assert state_of(holder) == (D("10050.00"), D(0), D(0), 4)


def test_a_partial_close_keeps_the_rest(holder):
    opened = executor.run(market_order(holder, lots="0.50"))
    position_id = opened.order.position_id

    executor.run(close_order(holder, position_id, lots="0.20"))

    position = Position.objects.get(pk=position_id)
    # 0.2 lots lose the spread of 17 points: 3.40; 0.3 lots keep 330.05(1) of margin
    assert (position.volume, position.cost) == (D("0.30"), D("0.330051"))
    assert state_of(holder) == (D("9996.60"), D(0), D("330.05"), 4)


def test_netting_reverses_a_position_under_one_id(symbols):
    netting = rows.make_group("netting", position_mode="netting")
    holder = rows.make_holder(group=netting)
    opened = executor.run(market_order(holder, lots="0.20"))

    turned = executor.run(market_order(holder, Side.SELL, lots="0.50"))

    position = Position.objects.get(account_id=holder.id)
    assert (position.pk, position.side, position.volume, position.cost) == (
        opened.order.position_id,
        "sell",
        D("0.30"),
        D("0.33"),
    )
    assert turned.order.deals[0].entry == "inout"
    assert state_of(holder) == (D("9996.60"), D(0), D("330.00"), 4)


def test_a_refusal_is_journaled_and_moves_nothing(holder):
    outcome = executor.run(market_order(holder, lots="50", client_order_id="too-much"))

    order = Order.objects.get()
    assert (order.status, order.reject_reason, order.filled_volume) == ("rejected", "no_money", D(0))
    assert not Deal.objects.exists()
    event = AccountEvent.objects.get(account_id=holder.id, seq=3)
    assert (event.type, event.seq) == ("order_rejected", outcome.seq)
    assert lines_of(event) == {}
    assert state_of(holder) == (D("10000"), D(0), D(0), 3)


def test_submit_inside_an_open_transaction_is_refused(holder):
    with transaction.atomic(), pytest.raises(RuntimeError, match="open transaction"):
        executor.submit(market_order(holder))

    assert not Order.objects.exists()


def test_an_unknown_account_is_an_error_of_its_own_command_only(holder):
    lost = replace(market_order(holder), account_id=holder.id + 1000)

    bad, good = together([lost, market_order(holder)])

    assert good.result(10).order.status == "filled"
    with pytest.raises(AccountNotFound):
        bad.result(10)


def test_callers_mistakes_do_not_fail_their_batch(holder):
    no_symbol, no_position, good = together(
        [market_order(holder, symbol="XXXYYY"), close_order(holder, 999_999), market_order(holder)]
    )

    with pytest.raises(SymbolNotOffered):
        no_symbol.result(10)
    with pytest.raises(PositionNotFound):
        no_position.result(10)
    assert good.result(10).order.status == "filled"
    assert state_of(holder)[3] == 3  # mistakes are not journaled


def test_a_command_that_explodes_fails_alone(monkeypatch, caplog, group, holder):
    other = rows.make_holder(group=group)
    apply = AccountBook.apply

    def explode(self: AccountBook, command, **market):
        outcome = apply(self, command, **market)  # it has changed the book when it breaks
        if getattr(command, "comment", "") == "bomb":
            raise ZeroDivisionError("bomb")
        return outcome

    monkeypatch.setattr(AccountBook, "apply", explode)

    before, bomb, after, elsewhere = together(
        [
            market_order(holder, lots="0.10"),
            market_order(holder, lots="0.20", comment="bomb"),
            market_order(holder, lots="0.30"),
            market_order(other, lots="0.40"),
        ]
    )

    assert [f.result(10).order.status for f in (before, after, elsewhere)] == ["filled"] * 3
    with pytest.raises(ZeroDivisionError):
        bomb.result(10)
    assert "command failed" in caplog.text
    assert sorted(Position.objects.values_list("volume", flat=True)) == [D("0.1"), D("0.3"), D("0.4")]
    assert state_of(holder)[3] == 4
    assert state_of(holder)[2] == D("440.07")  # 0.4 lots: nothing of the broken one is left in the book


def test_an_effect_sees_the_outcome_inside_the_transaction(holder):
    seen = []

    def effect(answered: list[tuple[Command, Outcome]]) -> None:
        [(_, outcome)] = answered
        seen.append((outcome.seq, Order.objects.count()))  # the executor's own connection: not yet committed

    executor.run(market_order(holder), effects=(effect,))

    assert seen == [(3, 1)]


def test_an_effect_that_fails_rolls_its_command_back(holder):
    def effect(answered: list[tuple[Command, Outcome]]) -> None:
        TradingGroup.objects.update(description="changed by the effect")
        raise LookupError("the effect failed")

    failing = executor.submit(market_order(holder, client_order_id="rolled"), effects=(effect,))

    with pytest.raises(LookupError):
        failing.result(10)
    assert not Order.objects.exists()
    assert not TradingGroup.objects.filter(description="changed by the effect").exists()
    assert state_of(holder) == (D("10000"), D(0), D(0), 2)
    again = executor.run(market_order(holder, client_order_id="rolled"))
    assert (again.repeated, again.seq) == (False, 3)  # the id is free again


def test_a_repeat_does_not_run_its_effects_again(holder):
    ran: list[int] = []
    command = market_order(holder)
    executor.run(command, effects=(lambda answered: ran.append(answered[0][1].seq),))

    executor.run(command, effects=(lambda answered: ran.append(answered[0][1].seq),))

    assert ran == [3]


def test_a_full_queue_refuses_at_once(settings, monkeypatch, holder):
    settings.EXECUTOR_QUEUE_MAX = 3
    running, may_go_on = threading.Event(), threading.Event()

    def hold(answered: list[tuple[Command, Outcome]]) -> None:
        running.set()
        assert may_go_on.wait(10)

    blocked = executor.submit(market_order(holder), effects=(hold,))
    assert running.wait(10)
    waiting: list[Future] = [executor.submit(market_order(holder)) for _ in range(3)]

    with pytest.raises(executor.Busy) as refused:
        executor.submit(market_order(holder, client_order_id="no-room"))
    system = executor.submit(replace(market_order(holder), actor=TESTER))  # its own lane is not full

    may_go_on.set()
    assert [f.result(10).order.status for f in (blocked, *waiting, system)] == ["filled"] * 5
    assert (int(refused.value.status), refused.value.code) == (503, "busy")
    assert not Order.objects.filter(client_order_id="no-room").exists()


def test_no_answer_in_time_is_an_unknown_outcome_that_a_repeat_resolves(settings, holder):
    may_go_on = threading.Event()

    def hold(answered: list[tuple[Command, Outcome]]) -> None:
        assert may_go_on.wait(10)

    command = market_order(holder)
    settings.EXECUTOR_RESULT_TIMEOUT_S = 0.05
    with pytest.raises(executor.OutcomeUnknown) as unknown:
        executor.run(command, effects=(hold,))

    settings.EXECUTOR_RESULT_TIMEOUT_S = 10
    may_go_on.set()
    again = executor.run(command)
    assert (int(unknown.value.status), unknown.value.code) == (503, "outcome_unknown")
    assert again.repeated
    assert Order.objects.count() == 1


def test_a_batch_that_lost_a_deadlock_runs_again_at_once(holder, caplog):
    tries: list[int] = []

    def effect(answered: list[tuple[Command, Outcome]]) -> None:
        tries.append(answered[0][1].seq)
        if len(tries) == 1:
            raise DeadlockDetected("deadlock detected")

    outcome = executor.run(market_order(holder), effects=(effect,))

    assert (outcome.order.status, tries) == ("filled", [3, 3])
    assert state_of(holder)[3] == 3
    assert "connection lost" not in caplog.text
