"""Pending orders over REST: left, changed, taken back, listed; every refusal with its code."""

import json
from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.selectors import tokens
from apps.trading.models import Order
from rtx.kernel import clock
from rtx.kernel.rest import UserThrottle
from tests.factories import rows
from tests.factories.problems import answers_of, is_problem
from tests.factories.rows import Holder, Trader

PENDING = "/api/orders/pending"


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> None:
    tokens.forget()
    UserThrottle._bucket._levels.clear()


@pytest.fixture
def trader(holder: Holder) -> Trader:
    """The holder's program."""
    return Trader(holder.token)


def pending(holder: Holder, **changes: Any) -> str:
    """Return the body of a buy limit below the market."""
    body = {
        "account": holder.login,
        "symbol": "EURUSD",
        "side": "buy",
        "type": "limit",
        "volume": "0.10",
        "price": "1.09000",
        "client_order_id": "p-1",
        **changes,
    }
    return json.dumps({name: value for name, value in body.items() if value is not ...})


def placed(trader: Trader, holder: Holder, **changes: Any) -> Any:
    """Leave an order and return it."""
    answer = trader.call("POST", PENDING, pending(holder, **changes))
    assert answer.status_code == 201, answer.content
    return json.loads(answer.content)


def changed(trader: Trader, order_id: int, **headers: str) -> Any:
    def patch(**changes: Any) -> Any:
        return trader.call("PATCH", f"/api/orders/{order_id}", json.dumps(changes), **headers)

    return patch


def test_a_limit_below_the_market_waits(trader, holder):
    expires_at = (clock.now() + timedelta(days=1)).replace(microsecond=0)

    order = placed(
        trader,
        holder,
        stop_loss="1.08000",
        take_profit="1.10000",
        trailing_points=150,
        time_in_force="gtd",
        expires_at=expires_at.isoformat(),
        comment="dip",
    )

    told = ("status", "type", "price", "stop_loss", "take_profit", "trailing_points", "time_in_force")
    assert {name: order[name] for name in told} == {
        "status": "working",
        "type": "limit",
        "price": "1.09000",
        "stop_loss": "1.08000",
        "take_profit": "1.10000",
        "trailing_points": 150,
        "time_in_force": "gtd",
    }
    assert (order["expires_at"], order["reason"]) == (clock.rfc3339(expires_at), "client")
    assert (order["filled_volume"], order["deals"], order["trigger"]) == ("0", [], None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"type": "stop", "price": "1.11000"},
        {"type": "stop_limit", "price": "1.11000", "stop_limit_price": "1.10500"},
        {"side": "sell", "type": "limit", "price": "1.11000"},
        {"side": "sell", "type": "stop", "price": "1.09000"},
        {"time_in_force": "day"},
    ],
)
def test_a_stored_order_is_shown_as_it_was_answered(changes, trader, holder):
    order = placed(trader, holder, **changes)

    again = trader.call("GET", f"/api/orders/{order['id']}")
    listed = trader.call("GET", f"/api/orders?account={holder.login}")

    assert order["status"] == "working"
    assert json.loads(again.content) == order
    assert json.loads(listed.content)["results"] == [order]


def test_a_limit_through_the_market_fills_at_once_at_the_quote(trader, holder):
    order = placed(trader, holder, price="1.20000")

    assert (order["status"], order["average_price"]) == ("filled", "1.10017")


def test_immediate_or_cancel_does_not_wait(trader, holder):
    order = placed(trader, holder, time_in_force="ioc")

    assert (order["status"], order["filled_volume"]) == ("canceled", "0")


MISFITS = {
    '{"type": "stop", "price": "1.2", "time_in_force": "ioc"}': "invalid_time_in_force",
    '{"time_in_force": "gtd"}': "invalid_time_in_force",
    '{"time_in_force": "gtd", "expires_at": "2020-01-01T00:00:00Z"}': "invalid_time_in_force",
    '{"expires_at": "2099-01-01T00:00:00Z"}': "invalid_time_in_force",
    '{"stop_limit_price": "1.0"}': "invalid_order_type",
    '{"type": "stop_limit", "price": "1.2"}': "invalid_order_type",
    '{"type": "market"}': "invalid",
    '{"type": null}': "invalid",
    '{"price": null}': "invalid",
    '{"price": "NaN"}': "invalid",
    '{"price": "0"}': "invalid",
    '{"price": "-1.1"}': "invalid",
    '{"volume": "0"}': "invalid",
    '{"trailing_points": 0}': "invalid",
    '{"trailing_points": 1.5}': "invalid",
    '{"time_in_force": "GTC"}': "invalid",
    '{"expires_at": "tomorrow"}': "invalid",
    '{"expires_at": "2099-01-01T00:00:00"}': "invalid",
    '{"expires_at": "9999-12-31T23:59:59-23:00", "time_in_force": "gtd"}': "invalid",
    '{"deviation": 5}': "invalid",
    '{"client_order_id": "#1"}': "invalid",
}


def test_an_order_of_the_wrong_form_is_refused(trader, holder):
    answers = answers_of(
        MISFITS, lambda changes: trader.call("POST", PENDING, pending(holder, **json.loads(changes)))
    )

    assert answers == {changes: (400, code) for changes, code in MISFITS.items()}
    assert not Order.objects.exists()


REFUSALS = {
    '{"type": "stop", "price": "1.09000"}': "invalid_price",
    '{"type": "stop_limit", "price": "1.11", "stop_limit_price": "1.12"}': "invalid_price",
    '{"price": "1.090001"}': "invalid_price",
    '{"stop_loss": "1.09500"}': "invalid_stops",
    '{"volume": "0.105"}': "invalid_volume",
}


def test_an_order_that_the_rules_refuse_is_an_order(trader, holder):
    def place(changes: str) -> Any:
        own = {"client_order_id": f"r{sorted(REFUSALS).index(changes)}"}
        return trader.call("POST", PENDING, pending(holder, **json.loads(changes), **own))

    assert answers_of(REFUSALS, place) == {changes: (201, reason) for changes, reason in REFUSALS.items()}


def test_the_same_order_again_is_the_first_one(trader, holder):
    first = placed(trader, holder)
    again = trader.call("POST", PENDING, pending(holder))
    other = trader.call("POST", PENDING, pending(holder, volume="0.20"))

    assert json.loads(again.content) == first
    is_problem(other, 409, "client_order_id_reused")
    assert Order.objects.count() == 1


def test_what_is_absent_stays_and_null_removes(trader, holder):
    order = placed(trader, holder, stop_loss="1.08000", take_profit="1.10000")
    patch = changed(trader, order["id"])

    moved = json.loads(patch(price="1.09100", volume="0.20").content)
    removed = json.loads(patch(take_profit=None).content)

    assert (moved["price"], moved["volume"], moved["stop_loss"]) == ("1.09100", "0.2", "1.08000")
    assert (removed["take_profit"], removed["stop_loss"], removed["price"]) == (None, "1.08000", "1.09100")


def test_a_refused_change_is_a_conflict_and_changes_nothing(trader, holder):
    order = placed(trader, holder)
    answer = changed(trader, order["id"])(stop_loss="1.09500")

    is_problem(answer, 409, "invalid_stops")
    assert json.loads(trader.call("GET", f"/api/orders/{order['id']}").content) == order
    assert rows.events_of(holder)[-1].type == "order_change_rejected"


def test_a_refused_change_is_refused_again_for_the_same_reason(trader, holder):
    patch = changed(trader, placed(trader, holder)["id"], **{"Idempotency-Key": "k-1"})

    is_problem(patch(stop_loss="1.09500"), 409, "invalid_stops")
    before = len(rows.events_of(holder))
    is_problem(patch(stop_loss="1.09500"), 409, "invalid_stops")
    is_problem(patch(stop_loss="1.08000"), 409, "client_order_id_reused")
    assert len(rows.events_of(holder)) == before


def test_a_change_with_a_key_is_made_once(trader, holder):
    order = placed(trader, holder)
    patch = changed(trader, order["id"])

    first = patch(price="1.09100", client_order_id="k-1")
    patch(price="1.09200")
    again = changed(trader, order["id"], **{"Idempotency-Key": "k-1"})(price="1.09100")

    assert json.loads(again.content) == json.loads(first.content)
    assert json.loads(trader.call("GET", f"/api/orders/{order['id']}").content)["price"] == "1.09200"


BAD_CHANGES = [
    {},
    {"client_order_id": "k"},
    {"price": None},
    {"volume": None},
    {"volume": "0"},
    {"price": "NaN"},
    {"price": "-1"},
    {"stop_loss": "0"},
    {"trailing_points": 0},
    {"time_in_force": "ioc"},
    {"expires_at": "soon"},
    {"side": "sell"},
    {"status": "canceled"},
    {"client_order_id": "#1", "price": "1.09100"},
]


def test_a_change_of_the_wrong_form_is_refused(trader, holder):
    patch = changed(trader, placed(trader, holder)["id"])
    cases = [json.dumps(changes) for changes in BAD_CHANGES]

    answers = answers_of(cases, lambda changes: patch(**json.loads(changes)))

    assert answers == dict.fromkeys(cases, (400, "invalid"))
    assert rows.events_of(holder)[-1].type == "order_placed"


def test_two_different_keys_are_refused(trader, holder):
    patch = changed(trader, placed(trader, holder)["id"], **{"Idempotency-Key": "k-1"})

    is_problem(patch(price="1.09100", client_order_id="k-2"), 400, "invalid")
    bad = changed(trader, 1, **{"Idempotency-Key": "#x"})
    is_problem(bad(price="1.09100"), 400, "invalid")


def test_an_order_is_canceled_and_stays_so(trader, holder):
    order = placed(trader, holder)
    path = f"/api/orders/{order['id']}"

    first = trader.call("DELETE", path)
    again = trader.call("DELETE", path)

    assert (first.status_code, again.status_code) == (200, 200)
    assert json.loads(first.content) == {**order, "status": "canceled"} == json.loads(again.content)
    assert [event.type for event in rows.events_of(holder)][-2:] == ["order_placed", "order_canceled"]


def test_a_final_order_cannot_change(trader, holder):
    filled = placed(trader, holder, price="1.20000")
    canceled = placed(trader, holder, client_order_id="p-2")
    trader.call("DELETE", f"/api/orders/{canceled['id']}")

    is_problem(trader.call("DELETE", f"/api/orders/{filled['id']}"), 409, "order_not_working")
    is_problem(changed(trader, filled["id"])(price="1.1"), 409, "order_not_working")
    is_problem(changed(trader, canceled["id"])(price="1.1"), 409, "order_not_working")


def test_somebody_elses_order_is_not_found(group, trader):
    other = rows.make_holder(group=group)
    order = placed(Trader(other.token), other)

    is_problem(trader.call("DELETE", f"/api/orders/{order['id']}"), 404, "order_not_found")
    is_problem(changed(trader, order["id"])(price="1.09100"), 404, "order_not_found")
    is_problem(trader.call("DELETE", "/api/orders/9223372036854775808"), 404, "order_not_found")
    is_problem(trader.call("POST", PENDING, pending(other)), 404, "account_not_found")
    assert Order.objects.get().status == "working"


def test_orders_are_filtered(trader, holder):
    limit = placed(trader, holder)
    stop = placed(trader, holder, type="stop", price="1.11000", client_order_id="p-2")
    yen = placed(trader, holder, symbol="USDJPY", price="140.000", client_order_id="p-3")
    trader.call("DELETE", f"/api/orders/{stop['id']}")
    since = limit["created_at"]

    def ids(query: str) -> list[int]:
        page = json.loads(trader.call("GET", f"/api/orders?{query}").content)
        return [order["id"] for order in page["results"]]

    assert ids("status=working") == [yen["id"], limit["id"]]
    assert ids("type=stop") == [stop["id"]]
    assert ids("symbol=USDJPY") == [yen["id"]]
    assert ids(f"from={since}&to={yen['created_at']}") == [stop["id"], limit["id"]]
    assert ids(f"account={holder.login}&status=canceled&type=stop&symbol=EURUSD") == [stop["id"]]
    assert ids("symbol=NONE") == []


BAD_QUERIES = ["type=all", "symbol=%00", "symbol=", "from=today", "to=%00", "status=working&type=x"]


def test_a_filter_that_is_not_understood_is_refused(trader):
    answers = answers_of(BAD_QUERIES, lambda query: trader.call("GET", f"/api/orders?{query}"))

    assert answers == dict.fromkeys(BAD_QUERIES, (400, "invalid"))
