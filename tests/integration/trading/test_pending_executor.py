"""The executor stores what becomes of waiting orders and stops: rows, journal and books agree."""

from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from apps.groups.models import TradingGroup
from apps.market.models import Symbol
from apps.trading.domain.book import AccountBook
from apps.trading.domain.filling import OrderNotWorking
from apps.trading.domain.orders import OrderReason, Side, TimeInForce
from apps.trading.domain.triggers import TriggerVoid
from apps.trading.models import Deal, Order, Position
from apps.trading.services import executor
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.booked import of, order_row, quoted, run, verified
from tests.factories.books import (
    TRADER,
    buy,
    buy_limit,
    buy_stop,
    cancel,
    close_all,
    close_by,
    expire,
    leverage,
    modify,
    modify_position,
    sell,
    sell_stop,
    stop_limit,
    trail,
    trigger,
    trigger_stop,
)
from tests.factories.rows import events_of, lines_of, state_of, together

D = Decimal
BUY = Side.BUY


@pytest.fixture(autouse=True)
def _books_agree(holder):
    """After every test here all books are derived again."""
    yield
    verified()


def shown(order: Order, *names: str) -> dict[str, object]:
    return {name: getattr(order, name) for name in names}


def test_a_placed_order_is_stored_with_all_its_columns(holder, symbols):
    expires_at = clock.now() + timedelta(hours=1)
    command = stop_limit(
        BUY,
        "1.10500",
        "1.10400",
        lots="0.2",
        stop_loss="1.09000",
        take_profit="1.12000",
        trailing_points=500,
        time_in_force=TimeInForce.GTD,
        expires_at=expires_at,
        comment="breakout",
    )

    outcome = run(holder, command)

    stored = order_row(outcome.order.id)
    assert shown(
        stored,
        "account_id",
        "symbol_id",
        "client_order_id",
        "side",
        "type",
        "status",
        "volume",
        "filled_volume",
        "price",
        "stop_limit_price",
        "average_price",
        "stop_loss",
        "take_profit",
        "trailing_points",
        "time_in_force",
        "expires_at",
        "activated_at",
        "reason",
        "margin_rate",
        "terms",
        "trigger",
        "reject_reason",
        "position_id",
        "comment",
    ) == {
        "account_id": holder.id,
        "symbol_id": symbols["EURUSD"].pk,
        "client_order_id": command.client_order_id,
        "side": "buy",
        "type": "stop_limit",
        "status": "working",
        "volume": D("0.2"),
        "filled_volume": D(0),
        "price": D("1.10500"),
        "stop_limit_price": D("1.10400"),
        "average_price": None,
        "stop_loss": D("1.09000"),
        "take_profit": D("1.12000"),
        "trailing_points": 500,
        "time_in_force": "gtd",
        "expires_at": expires_at,
        "activated_at": None,
        "reason": "client",
        "margin_rate": None,
        "terms": "",
        "trigger": None,
        "reject_reason": "",
        "position_id": None,
        "comment": "breakout",
    }
    assert [event.type for event in events_of(holder)][-1] == "order_placed"


def test_the_life_of_a_stop_limit_is_stored_step_by_step(holder):
    number = run(holder, stop_limit(BUY, "1.10500", "1.10400", lots="0.1", trailing_points=100)).order.id

    run(holder, modify(number, volume="0.2", stop_limit_price="1.10300"))
    modified = order_row(number)
    run(holder, trigger(number, "1.10500", quoted("1.10500", "1.10517")))
    activated = order_row(number)
    filled = run(holder, trigger(number, "1.10300", quoted("1.10250", "1.10267"), unwatched_ms=7))

    assert (modified.volume, modified.stop_limit_price, modified.status) == (
        D("0.2"),
        D("1.10300"),
        "working",
    )
    assert activated.status == "working"
    assert activated.activated_at == events_of(holder)[-2].at
    stored = order_row(number)
    assert shown(stored, "status", "filled_volume", "average_price", "position_id", "stop_loss") == {
        "status": "filled",
        "filled_volume": D("0.2"),
        "average_price": D("1.10267"),
        "position_id": filled.payload["position"]["id"],
        "stop_loss": D("1.10150"),
    }
    assert stored.trigger == filled.payload["order"]["trigger"]
    assert (stored.trigger["slippage_points"], stored.trigger["unwatched_ms"]) == (-33, 7)
    deal = Deal.objects.get(order_id=number)
    assert (deal.entry, deal.price, deal.raw_ask) == ("in", D("1.10267"), D("1.10267"))
    position = Position.objects.get(pk=stored.position_id)
    assert (position.stop_loss, position.trailing_points) == (D("1.10150"), 100)


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        (lambda number: cancel(number), "canceled", ""),
        (lambda number: trigger(number, "1.10500", quoted("1.10500", "1.10517")), "rejected", "no_money"),
    ],
    ids=["canceled", "rejected"],
)
def test_an_order_that_ends_without_a_fill_says_so(holder, end, status, reason):
    number = run(holder, buy_stop("1.10500", lots="50")).order.id

    run(holder, end(number))

    stored = order_row(number)
    assert (stored.status, stored.reject_reason, stored.filled_volume) == (status, reason, D(0))
    assert (Deal.objects.count(), state_of(holder)[:3]) == (0, (D(10000), D(0), D(0)))


def test_an_order_expires_by_the_clock(monkeypatch, holder):
    ends_at = clock.now() + timedelta(minutes=5)
    placed = run(holder, buy_stop("1.10500", time_in_force=TimeInForce.GTD, expires_at=ends_at))
    with pytest.raises(TriggerVoid):
        run(holder, expire(placed.order.id))
    monkeypatch.setattr(clock, "now", lambda: ends_at)

    run(holder, expire(placed.order.id))

    assert order_row(placed.order.id).status == "expired"
    assert [event.type for event in events_of(holder)][-2:] == ["order_placed", "order_expired"]


def test_ioc_orders_are_stored_as_they_ended(holder):
    canceled = run(holder, buy_limit("1.09000", lots="0.1", time_in_force=TimeInForce.IOC)).order
    filled = run(holder, buy_limit("1.20000", lots="0.1", time_in_force=TimeInForce.FOK)).order

    assert shown(order_row(canceled.id), "status", "time_in_force", "filled_volume") == {
        "status": "canceled",
        "time_in_force": "ioc",
        "filled_volume": D(0),
    }
    assert shown(order_row(filled.id), "status", "average_price", "trigger") == {
        "status": "filled",
        "average_price": D("1.10017"),
        "trigger": None,
    }


def test_the_database_itself_keeps_final_orders_as_they_are(holder, owner):
    number = run(holder, buy_stop("1.10500")).order.id
    owner.execute("UPDATE trading_order SET comment = 'still working' WHERE id = %s", (number,))
    owner.execute("UPDATE trading_order SET comment = '' WHERE id = %s", (number,))
    run(holder, cancel(number))

    with pytest.raises(psycopg.errors.RaiseException, match=f"order {number} is final"):
        owner.execute("UPDATE trading_order SET status = 'working' WHERE id = %s", (number,))

    assert order_row(number).status == "canceled"


def test_refused_changes_are_journaled_and_store_nothing(holder):
    number = run(holder, buy_stop("1.10500")).order.id
    before = order_row(number).updated_at

    refused = run(holder, modify(number, price="1.00000"))
    with pytest.raises(OrderNotWorking):
        run(holder, modify(number + 1000, volume="2"))

    assert (refused.type, refused.refusal) == ("order_change_rejected", "invalid_price")
    assert order_row(number).updated_at == before
    assert events_of(holder)[-1].payload["order_id"] == number


# --- many commands in one transaction (of one lane, so that they are taken in order) ---------------------


def test_one_batch_may_place_change_and_cancel_the_same_order(holder):
    known = run(holder, buy_stop("1.10500", lots="0.1")).order.id
    number = known + 1  # numbers are taken one after another

    placed, modified, canceled, late = together(
        [
            of(holder, buy_stop("1.10600", lots="0.1")),
            of(holder, modify(number, volume="0.3", price="1.10700")),
            of(holder, cancel(number)),
            of(holder, trigger(number, "1.10700", quoted("1.10700", "1.10717"), actor=TRADER)),
        ]
    )

    assert placed.result(10).order.id == number
    assert modified.result(10).type == "order_modified"
    assert canceled.result(10).type == "order_canceled"
    with pytest.raises(TriggerVoid):
        late.result(10)
    stored = order_row(number)
    assert (stored.status, stored.volume, stored.price) == ("canceled", D("0.3"), D("1.10700"))
    assert order_row(known).status == "working"


def test_one_batch_may_place_activate_fill_and_close(holder):
    known = run(holder, buy_stop("1.20000", lots="0.1")).order.id
    number = known + 1

    futures = together(
        [
            of(holder, stop_limit(BUY, "1.10500", "1.10400", lots="0.1", stop_loss="1.10000")),
            of(holder, trigger(number, "1.10500", quoted("1.10500", "1.10517"), actor=TRADER)),
            of(holder, trigger(number, "1.10400", quoted("1.10383", "1.10400"), actor=TRADER)),
            of(holder, close_all()),
        ]
    )

    assert [future.result(10).type for future in futures] == [
        "order_placed",
        "order_activated",
        "order_filled",
        "positions_closed",
    ]
    assert order_row(number).status == "filled"
    assert (Position.objects.count(), Deal.objects.filter(order_id=number).count()) == (0, 1)


def test_a_position_flipped_in_two_batches_keeps_its_times(symbols):
    netting = rows.make_holder(group=rows.make_group("netting", position_mode="netting"))
    opened = run(netting, buy("EURUSD", lots="0.2")).payload["position"]
    executor._executor._runner.forget()  # the next batch reads the position from its row
    flipped = run(netting, sell("EURUSD", lots="0.5", stop_loss=D("1.11000"))).payload["position"]
    verified()
    executor._executor._runner.forget()
    back = run(netting, buy_limit("1.20000", lots="0.4", trailing_points=100)).payload["position"]

    assert opened["id"] == flipped["id"] == back["id"]
    assert opened["opened_at"] < flipped["opened_at"] < back["opened_at"]
    stored = Position.objects.get(pk=opened["id"])
    assert (stored.side, stored.volume, stored.stop_loss) == ("buy", D("0.1"), D("1.09900"))


def test_close_all_closes_forty_positions_in_one_event(holder):
    futures = together([of(holder, buy("EURUSD", lots="0.01")) for _ in range(40)])
    assert all(future.result(20).order.status == "filled" for future in futures)

    outcome = run(holder, close_all())

    assert (len(outcome.orders), outcome.payload["failed"]) == (40, [])
    assert (Position.objects.count(), Deal.objects.count(), Order.objects.count()) == (0, 80, 80)
    assert set(Order.objects.filter(client_order_id__startswith="#").values_list("reason", flat=True)) == {
        "client"
    }
    assert lines_of(events_of(holder)[-1]) == {"client": D("-0.17"), "bbook": D("0.17")}
    assert state_of(holder) == (D("9993.20"), D(0), D(0), 43)


# --- stops, hedges, margin -------------------------------------------------------------------------------


def test_stops_are_stored_and_close_their_position(holder):
    position_id = run(holder, buy("EURUSD", lots="0.1")).order.position_id
    run(holder, modify_position(position_id, take_profit="1.12000", trailing_points=100))
    run(holder, trail(position_id, quoted("1.10500", "1.10517")))
    stored = Position.objects.get(pk=position_id)

    closed = run(holder, trigger_stop(position_id, "1.10400", quoted("1.10390", "1.10407")))

    assert shown(stored, "stop_loss", "take_profit", "trailing_points") == {
        "stop_loss": D("1.10400"),
        "take_profit": D("1.12000"),
        "trailing_points": 100,
    }
    order = order_row(closed.order.id)
    assert (order.reason, order.client_order_id, order.price) == (
        OrderReason.STOP_LOSS,
        f"#{order.pk}",
        D("1.10400"),
    )
    assert order.trigger["slippage_points"] == 10
    assert [event.type for event in events_of(holder)][-3:] == [
        "position_modified",
        "position_modified",
        "order_filled",
    ]
    assert state_of(holder)[0] == D("10037.30")  # 373 points on 0.1 lots


def test_a_close_by_is_one_order_with_two_deals(holder):
    long = run(holder, buy("EURUSD", lots="0.3")).order.position_id
    short = run(holder, sell("EURUSD", lots="0.1")).order.position_id

    outcome = run(holder, close_by(long, short))

    deals = Deal.objects.filter(order_id=outcome.order.id).order_by("pk")
    assert [(deal.entry, deal.position_id, deal.profit) for deal in deals] == [
        ("out_by", long, D("-1.70")),
        ("out_by", short, D(0)),
    ]
    assert list(Position.objects.values_list("pk", "volume")) == [(long, D("0.2"))]


def test_reserves_are_stored_and_follow_the_leverage(holder):
    Symbol.objects.filter(name="EURUSD").update(margin_rate_pending=D("0.5"))
    number = run(holder, buy_limit("1.05000", lots="1")).order.id
    reserved = state_of(holder)[2]

    run(holder, leverage(50))
    stored = order_row(number)

    assert (reserved, state_of(holder)[2]) == (D("550.09"), D("1100.17"))
    assert stored.margin_rate == D("1.10017")
    assert '"leverage":50' in stored.terms
    assert order_row(number).status == "working"


def test_a_book_read_again_is_the_book_that_was_kept(monkeypatch, holder):
    """What is not stored, or stored wrongly, would be missing after a restart."""
    Symbol.objects.filter(name="EURUSD").update(margin_rate_pending=D(1))
    expires_at = clock.now() + timedelta(hours=1)
    run(holder, buy("EURUSD", lots="0.1", stop_loss=D("1.09000")))
    run(holder, buy_limit("1.05000", lots="0.1", trailing_points=50, comment="a"))
    run(holder, sell_stop("1.05000", lots="0.1", time_in_force=TimeInForce.GTD, expires_at=expires_at))
    activated = run(holder, stop_limit(BUY, "1.10500", "1.10400", lots="0.1", take_profit="1.2")).order.id
    run(holder, trigger(activated, "1.10500", quoted("1.10500", "1.10517")))
    runner = executor._executor._runner
    kept = runner._books[holder.id]

    runner.forget()
    run(holder, cancel(activated))
    again: AccountBook = runner._books[holder.id]

    assert again is not kept
    assert again.positions == kept.positions
    assert again.orders == {number: order for number, order in kept.orders.items() if number != activated}


def test_an_order_that_reduces_needs_no_money_in_the_database_either(symbols):
    netting = rows.make_holder(group=rows.make_group("netting", position_mode="netting"), balance="1200")
    run(netting, buy("EURUSD", lots="1"))
    stop = run(netting, sell_stop("1.05000", lots="1")).order.id
    TradingGroup.objects.update(is_active=False)

    outcome = run(netting, trigger(stop, "1.05000", quoted("1.00000", "1.00017")))

    assert (outcome.order.status, state_of(netting)[:3]) == ("filled", (D("-8817.00"), D(0), D(0)))
