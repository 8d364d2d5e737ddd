"""Stop-outs and margin calls through the executor: journal, rows, ledger, repeats, statement, dossier."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import orjson
import pytest
from django.core.management import call_command

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountEvent, LedgerLine
from apps.groups.models import TradingGroup
from apps.market.models import Symbol, TradingSession
from apps.trading.domain import dossiers, stop_out
from apps.trading.domain.commands import CallMargin, Outcome, StopOut
from apps.trading.domain.holdings import Account, Holdings
from apps.trading.domain.margin_calls import MarginCallVoid
from apps.trading.domain.orders import Side
from apps.trading.domain.replaying import Replay
from apps.trading.domain.stop_out import StopOutStuck, StopOutVoid
from apps.trading.models import Deal, Order, Position
from apps.trading.services import balances, executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories import booked, books, rows
from tests.factories.rows import Holder, Trader

D = Decimal
MONITOR = Actor.system("monitor")


def stop(holder: Holder, **more: Any) -> StopOut:
    return StopOut(**{"account_id": holder.id, "command_id": uuid4(), "actor": MONITOR, **more})


def call(holder: Holder, *, ends: bool = False) -> CallMargin:
    return CallMargin(account_id=holder.id, command_id=uuid4(), actor=MONITOR, ends=ends)


def verify() -> str:
    out = StringIO()
    call_command("verify_books", workers=1, verbosity=0, stdout=out)
    return out.getvalue()


def give_credit(holder: Holder, amount: str) -> None:
    balances.change(
        account_id=holder.id,
        kind=BalanceKind.CREDIT,
        amount=D(amount),
        reference=f"credit-{uuid4().hex}",
        actor=rows.TESTER,
    )


def journal_of(holder: Holder, *, before: int) -> Holdings:
    """Derive the account from its journal as it stood before an event."""
    events = list(AccountEvent.objects.filter(account_id=holder.id, seq__lt=before).order_by("seq"))
    row = holder.row
    opened = events[0].payload
    replay = Replay(
        account=Account(
            id=row.pk,
            login=row.login,
            group_id=row.group_id,
            currency=opened["currency"],
            position_mode=opened["position_mode"],
            leverage=opened["leverage"],
        )
    )
    for event in events:
        replay.replay(seq=event.seq, type_=event.type, payload=event.payload)
    return replay


@pytest.fixture
def reserving(symbols: dict[str, Symbol]) -> dict[str, Symbol]:
    """Working orders on EURUSD reserve what a position needs."""
    Symbol.objects.filter(name="EURUSD").update(margin_rate_pending=1)
    return symbols


@pytest.fixture
def exposed(reserving: dict[str, Symbol], group: TradingGroup) -> Holder:
    """
    2,000 and 500 of credit; 1.10 of EURUSD, 0.50 of USDJPY, an order that reserves 330 and one that does not.
    """
    holder = rows.make_holder(group=group, balance="2000")
    give_credit(holder, "500")
    for command in (
        rows.market_order(holder, lots="0.60"),
        rows.market_order(holder, lots="0.20"),
        rows.market_order(holder, Side.SELL, "USDJPY", lots="0.50"),
    ):
        assert executor.run(command).refusal is None
    for command in (
        books.buy_limit("1.00000", lots="0.3"),
        books.buy_limit("1.10000", lots="0.4", symbol="GBPUSD"),
    ):
        assert booked.run(holder, command).refusal is None
    return holder


def fall(points: int) -> None:
    """Let the euro fall below 1.10000."""
    bid = D("1.10000") - points * D("0.00001")
    rows.show({"EURUSD": (str(bid), str(bid + D("0.00017")))})


def stopped_of(holder: Holder, *, points: int = 2_350, **more: Any) -> Outcome:
    fall(points)
    return executor.run(stop(holder, **more))


def test_it_writes_orders_deals_positions_ledger_and_one_event(exposed: Holder) -> None:
    before = rows.state_of(exposed)
    outcome = stopped_of(exposed)

    assert outcome.type == "stopped_out"
    orders = {order.id: order for order in Order.objects.filter(account_id=exposed.id)}
    canceled = [one["id"] for one in outcome.payload["canceled"]]
    closing = [one["id"] for one in outcome.payload["orders"]]
    assert [orders[key].status for key in canceled] == ["canceled"]
    assert {orders[key].status for key in closing} == {"filled"}
    assert {orders[key].reason for key in closing} == {"stop_out"}
    assert orders[closing[0]].comment.startswith("so: ")
    waiting = Order.objects.filter(account_id=exposed.id, status="working")
    assert [order.symbol.name for order in waiting] == ["GBPUSD"]
    deals = {deal.order_id: deal for deal in Deal.objects.filter(order_id__in=closing)}
    assert {deal.entry for deal in deals.values()} == {"out"}
    kept = set(Position.objects.filter(account_id=exposed.id).values_list("pk", flat=True))
    assert kept.isdisjoint(deal.position_id for deal in deals.values())
    event = AccountEvent.objects.get(account_id=exposed.id, seq=outcome.seq)
    assert (event.type, event.actor, event.payload["left"]) == ("stopped_out", "system:monitor", [])
    lines = LedgerLine.objects.filter(event=event)
    assert sum(line.amount for line in lines) == 0
    assert len(kept) == 2
    told = sum(deal.profit + deal.commission + deal.swap for deal in deals.values())
    after = rows.state_of(exposed)
    assert after[0] == before[0] + told
    assert after[3] == before[3] + 1
    assert verify()


def test_everything_gone_uses_the_credit_then_the_house_pays(exposed: Holder) -> None:
    outcome = stopped_of(exposed, points=10_000)

    assert not Position.objects.filter(account_id=exposed.id).exists()
    balance, credit, margin, _ = rows.state_of(exposed)
    assert (balance, credit, margin) == (0, 0, 0)
    assert D(outcome.payload["credit_used"]) == 500
    lines = LedgerLine.objects.filter(event__account_id=exposed.id, event__seq=outcome.seq)
    amounts = [(line.ledger, line.amount) for line in lines]
    paid = D(outcome.payload["compensation"])
    assert {("credit", D(-500)), ("client", 500 + paid), ("compensation", -paid)} <= set(amounts)
    assert paid > 0
    assert sum(amount for _, amount in amounts) == 0
    with pytest.raises(StopOutVoid):
        executor.run(stop(exposed))
    assert verify()


def test_the_same_id_returns_the_first_outcome_whatever_the_cause(exposed: Holder) -> None:
    fall(2_350)
    command = stop(exposed, cause="monitor", quote_time_ms=1, fence=3)
    first = executor.run(command)
    orders = Order.objects.count()

    again = executor.run(
        stop(exposed, command_id=command.command_id, cause="sweep", quote_time_ms=2, fence=4)
    )

    assert (again.repeated, again.seq, again.type) == (True, first.seq, first.type)
    assert again.payload["orders"] == orjson.loads(orjson.dumps(first.payload))["orders"]
    assert Order.objects.count() == orders


def test_what_is_refused_leaves_no_trace_and_may_come_again_under_its_id(exposed: Holder) -> None:
    seq, orders = rows.state_of(exposed)[3], Order.objects.count()
    command = stop(exposed)
    with pytest.raises(StopOutVoid):
        executor.run(command)
    rows.show({**rows.PRICES, "EURUSD": ("1.00000", "1.00017")}, age_ms=3_600_000)
    canceled = executor.run(command)  # the order that reserves goes, the positions wait
    assert [one["symbol"] for one in canceled.payload["canceled"]] == ["EURUSD"]
    assert {one["reason"] for one in canceled.payload["left"]} == {"off_quotes"}
    with pytest.raises(StopOutStuck) as stuck:
        executor.run(stop(exposed))

    assert {reason for _, reason in stuck.value.waiting.values()} == {"off_quotes"}
    assert (rows.state_of(exposed)[3], Order.objects.count()) == (seq + 1, orders)
    assert verify()


@pytest.mark.parametrize("forgets", [False, True], ids=["kept book", "book read from the database"])
def test_the_dossier_comes_out_of_the_journal_byte_for_byte(exposed: Holder, forgets: bool) -> None:
    if forgets:
        executor._executor._runner.forget()
    outcome = stopped_of(exposed, points=10_000, quote_time_ms=12, fence=2)
    told = dossiers.encoded(outcome.dossier)

    again = dossiers.reproduced(told, journal_of(exposed, before=outcome.seq), decide=stop_out.stop_out)

    for name, value in orjson.loads(told).items():
        assert orjson.loads(again)[name] == value, name
    assert again == told


def test_a_small_maximum_takes_more_numbers_than_were_reserved(group: TradingGroup) -> None:
    holder = rows.make_holder(group=group, balance="10000")
    executor.run(rows.market_order(holder, lots="5"))
    Symbol.objects.filter(name="EURUSD").update(volume_max=D("0.02"))
    fall(3_000)

    outcome = executor.run(stop(holder))

    assert len(outcome.payload["orders"]) == 250
    assert not Position.objects.filter(account_id=holder.id).exists()
    assert Deal.objects.filter(account_id=holder.id, entry="out").count() == 250
    assert verify()


def test_a_closed_market_is_left_and_goes_when_it_opens(exposed: Holder, symbols: dict[str, Symbol]) -> None:
    always = symbols["EURUSD"].session
    never = TradingSession.objects.create(name="Never", timezone="UTC")
    Symbol.objects.filter(name="USDJPY").update(session=never)
    first = stopped_of(exposed, points=10_000)
    assert [(one["symbol"], one["reason"]) for one in first.payload["left"]] == [("USDJPY", "market_closed")]
    assert (first.payload["credit_used"], first.payload["compensation"]) == ("0.00", "0.00")
    assert rows.state_of(exposed)[0] < 0
    Symbol.objects.filter(name="USDJPY").update(session=always)

    second = executor.run(stop(exposed))

    assert [one["symbol"] for one in second.payload["orders"]] == ["USDJPY"]
    assert rows.state_of(exposed)[:3] == (0, 0, 0)
    assert verify()


def test_a_debt_without_positions_is_made_good_by_its_own_event(holder: Holder) -> None:
    balances.change(
        account_id=holder.id,
        kind=BalanceKind.ADJUSTMENT,
        amount=D("-10012.34"),
        reference="loss",
        actor=rows.TESTER,
    )

    outcome = executor.run(stop(holder))

    event = AccountEvent.objects.get(account_id=holder.id, seq=outcome.seq)
    assert (event.type, rows.lines_of(event)) == (
        "balance_protected",
        {"client": D("12.34"), "compensation": D("-12.34")},
    )
    assert verify()


def test_a_group_that_protects_nothing_leaves_the_debt(group: TradingGroup) -> None:
    group.protects_balance = False
    group.save()
    holder = rows.make_holder(group=group, balance="1000")
    executor.run(rows.market_order(holder, lots="0.50"))

    stopped_of(holder, points=3_000)

    assert rows.state_of(holder)[0] == D("-508.50")  # 0.5 lots lost 3,017 points
    with pytest.raises(StopOutVoid):
        executor.run(stop(holder))
    assert verify()


# --- what the client sees --------------------------------------------------------------------------------


def _house(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("house", "raw_bid", "raw_ask", "markup", "book", "terms"):
                yield name
            yield from _house(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _house(inner)


def test_the_clients_events_tell_the_stop_out_without_the_house(exposed: Holder) -> None:
    outcome = stopped_of(exposed, points=10_000)

    answer = Trader(exposed.token).call("GET", f"/api/events?account={exposed.login}&since={outcome.seq - 1}")

    [told] = [one for one in orjson.loads(answer.content)["results"] if one["type"] == "stopped_out"]
    assert told["seq"] == outcome.seq
    assert {one["status"] for one in told["orders"]} == {"filled"}
    assert told["canceled"][0]["status"] == "canceled"
    assert told["compensation"] == outcome.payload["compensation"]
    assert list(_house(told)) == []


def test_the_statement_shows_deals_credit_and_compensation(exposed: Holder) -> None:
    outcome = stopped_of(exposed, points=10_000)

    now = clock.now()
    since, until = now - timedelta(days=1), now + timedelta(days=1)
    answer = Trader(exposed.token).call(
        "GET", f"/api/statements?account={exposed.login}&from={since:%Y-%m-%d}&to={until:%Y-%m-%d}"
    )

    told = orjson.loads(answer.content)
    closing = [deal for deal in told["deals"] if deal["reason"] == "stop_out"]
    assert {deal["id"] for deal in closing} == {
        deal["id"] for order in outcome.payload["orders"] for deal in order["deals"]
    }
    assert all(deal["comment"].startswith("so: ") for deal in closing)
    moved = {
        (one["kind"], D(one["amount"])) for one in told["movements"] if "protection" in one["comment"].lower()
    }
    made_good = D(500) + D(outcome.payload["compensation"])
    assert moved == {("credit", D(-500)), ("compensation", made_good)}
    assert D(told["closing"]["balance"]) == 0


# --- margin calls ----------------------------------------------------------------------------------------


def test_a_margin_call_begins_and_ends_in_the_journal(group: TradingGroup) -> None:
    holder = rows.make_holder(group=group, balance="1150")
    executor.run(rows.market_order(holder, lots="1"))  # 1,100.17 of margin, 17 of spread
    with pytest.raises(MarginCallVoid):
        executor.run(call(holder))
    fall(40)  # 1,093 of equity

    called = executor.run(call(holder))
    with pytest.raises(MarginCallVoid):
        executor.run(call(holder, ends=True))
    rows.deposit(holder.id, "100")
    ended = executor.run(call(holder, ends=True))

    assert (called.type, called.payload["margin_level"]) == ("margin_called", "99.35")
    assert (ended.type, ended.payload["margin_level"]) == ("margin_call_ended", "108.44")
    types = [event.type for event in rows.events_of(holder)]
    assert types[-3:] == ["margin_called", "balance_changed", "margin_call_ended"]
    assert not LedgerLine.objects.filter(event__type__startswith="margin_call").exists()
    assert verify()


def test_no_deal_is_without_its_event(exposed: Holder) -> None:
    stopped_of(exposed)

    orders = [
        order
        for event in rows.events_of(exposed)
        for order in (event.payload.get("orders") or [event.payload.get("order")])
        if order
    ]
    told = sorted(deal["id"] for order in orders for deal in order["deals"])
    assert told == sorted(Deal.objects.filter(account_id=exposed.id).values_list("pk", flat=True))
