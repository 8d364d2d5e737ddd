"""Positions over REST: stops, partial close, close-by, close-all, and what their deals tell."""

import json
from typing import Any

import pytest

from apps.accounts.selectors import tokens
from apps.trading.models import Order, Position
from rtx.kernel.rest import UserThrottle
from tests.factories import rows
from tests.factories.problems import answers_of, is_problem, order_body
from tests.factories.rows import Holder, Trader


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> None:
    tokens.forget()
    UserThrottle._bucket._levels.clear()


@pytest.fixture
def trader(holder: Holder) -> Trader:
    """The holder's program."""
    return Trader(holder.token)


def opened(trader: Trader, holder: Holder, **changes: Any) -> int:
    """Open a position and return its id."""
    number = Order.objects.count()
    body = order_body(holder, **{"client_order_id": f"open-{number}", **changes})
    answer = trader.call("POST", "/api/orders/market", json.dumps(body))
    order = json.loads(answer.content)
    assert order["status"] == "filled", order
    return int(order["position_id"])


def sent(trader: Trader, method: str, path: str, **body: Any) -> Any:
    return trader.call(method, f"/api/positions{path}", json.dumps(body))


def shown(trader: Trader, position_id: int) -> Any:
    return json.loads(trader.call("GET", f"/api/positions/{position_id}").content)


def test_stops_are_set_kept_and_removed(trader, holder):
    position = opened(trader, holder)

    first = sent(trader, "PATCH", f"/{position}", stop_loss="1.09000", take_profit="1.12000")
    then = sent(trader, "PATCH", f"/{position}", stop_loss=None, trailing_points=None)
    trailing = sent(trader, "PATCH", f"/{position}", trailing_points=300)

    told = ("stop_loss", "take_profit", "trailing_points")
    assert [json.loads(first.content)[name] for name in told] == ["1.09000", "1.12000", None]
    assert [json.loads(then.content)[name] for name in told] == [None, "1.12000", None]
    assert [json.loads(trailing.content)[name] for name in told] == ["1.09700", "1.12000", 300]
    assert [shown(trader, position)[name] for name in told] == ["1.09700", "1.12000", 300]


def test_a_refused_stop_is_a_conflict(trader, holder):
    position = opened(trader, holder)

    is_problem(sent(trader, "PATCH", f"/{position}", stop_loss="1.20000"), 409, "invalid_stops")

    assert shown(trader, position)["stop_loss"] is None
    assert rows.events_of(holder)[-1].type == "position_change_rejected"


def test_a_change_with_a_key_is_answered_again_after_the_close(trader, holder):
    position = opened(trader, holder)
    change = {"stop_loss": "1.09000", "client_order_id": "k-1"}
    first = sent(trader, "PATCH", f"/{position}", **change)
    sent(trader, "POST", f"/{position}/close", client_order_id="c-1")

    again = sent(trader, "PATCH", f"/{position}", **change)
    late = sent(trader, "PATCH", f"/{position}", stop_loss="1.08000")

    assert json.loads(again.content) == json.loads(first.content)
    is_problem(late, 404, "position_not_found")


BAD_CHANGES = [
    b"{}",
    b'{"stop_loss": "0"}',
    b'{"stop_loss": "NaN"}',
    b'{"take_profit": "-1"}',
    b'{"trailing_points": 0}',
    b'{"trailing_points": "5"}',
    b'{"volume": "1"}',
    b'{"stop_loss": "1.0", "stop_loss": null}',
]


def test_a_change_of_the_wrong_form_is_refused(trader, holder):
    path = f"/api/positions/{opened(trader, holder)}"

    answers = answers_of(BAD_CHANGES, lambda body: trader.call("PATCH", path, body))

    assert answers == dict.fromkeys(BAD_CHANGES, (400, "invalid"))


def test_a_part_is_closed_to_the_step(trader, holder):
    position = opened(trader, holder)

    part = sent(trader, "POST", f"/{position}/close", client_order_id="c-1", volume="0.04")
    odd = sent(trader, "POST", f"/{position}/close", client_order_id="c-2", volume="0.015")
    more = sent(trader, "POST", f"/{position}/close", client_order_id="c-3", volume="0.07")

    assert json.loads(part.content)["filled_volume"] == "0.04"
    assert json.loads(odd.content)["reject_reason"] == "invalid_volume"
    assert json.loads(more.content)["reject_reason"] == "invalid_volume"
    assert shown(trader, position)["volume"] == "0.06"


def test_two_opposite_positions_close_each_other(trader, holder):
    long = opened(trader, holder)
    short = opened(trader, holder, side="sell", volume="0.04")
    body = {"position_id": long, "opposite_id": short, "client_order_id": "by-1"}

    answer = sent(trader, "POST", "/close-by", **body)
    again = sent(trader, "POST", "/close-by", **body)

    order = json.loads(answer.content)
    assert (answer.status_code, order["status"], order["volume"]) == (201, "filled", "0.04")
    assert [(deal["entry"], deal["position_id"]) for deal in order["deals"]] == [
        ("out_by", long),
        ("out_by", short),
    ]
    assert json.loads(again.content) == order
    assert json.loads(trader.call("GET", f"/api/orders/{order['id']}").content) == order
    assert [(p.pk, str(p.volume)) for p in Position.objects.all()] == [(long, "0.06")]


def test_positions_that_are_not_opposite_do_not_close_each_other(trader, holder):
    one, two = opened(trader, holder), opened(trader, holder)
    by = {"client_order_id": "by-1"}

    same_side = sent(trader, "POST", "/close-by", position_id=one, opposite_id=two, **by)
    itself = sent(trader, "POST", "/close-by", position_id=one, opposite_id=one, **by)
    unknown = sent(trader, "POST", "/close-by", position_id=one, opposite_id=1, **by)

    is_problem(same_side, 400, "positions_do_not_match")
    is_problem(itself, 400, "positions_do_not_match")
    is_problem(unknown, 404, "position_not_found")
    assert Position.objects.count() == 2


def test_everything_closes_and_what_cannot_is_named(trader, holder):
    euro, yen = opened(trader, holder), opened(trader, holder, symbol="USDJPY")
    rows.show({"USDJPY": rows.PRICES["USDJPY"]}, age_ms=3_600_000)
    body = {"account": holder.login, "client_order_id": "all-1"}

    answer = sent(trader, "POST", "/close-all", **body)
    again = sent(trader, "POST", "/close-all", **body)

    told = json.loads(answer.content)
    assert answer.status_code == 201
    assert [order["position_id"] for order in told["orders"]] == [euro]
    assert told["failed"] == [{"position_id": yen, "reject_reason": "off_quotes"}]
    assert json.loads(again.content) == told
    assert (
        json.loads(trader.call("GET", f"/api/orders/{told['orders'][0]['id']}").content)
        == (told["orders"][0])
    )


def test_one_symbol_closes_alone(trader, holder):
    opened(trader, holder)
    opened(trader, holder, symbol="USDJPY")

    told = sent(trader, "POST", "/close-all", account=holder.login, symbol="EURUSD", client_order_id="all-1")

    assert [order["symbol"] for order in json.loads(told.content)["orders"]] == ["EURUSD"]
    assert list(Position.objects.values_list("symbol__name", flat=True)) == ["USDJPY"]


def test_closing_all_of_an_unknown_symbol_is_not_found(trader, holder):
    opened(trader, holder)

    told = sent(trader, "POST", "/close-all", account=holder.login, symbol="EURUSDX", client_order_id="all-1")

    is_problem(told, 404, "symbol_not_found")
    assert Position.objects.count() == 1


def test_nothing_to_close_is_no_error(trader, holder):
    told = sent(trader, "POST", "/close-all", account=holder.login, client_order_id="all-1")

    assert (told.status_code, json.loads(told.content)) == (
        201,
        {"account": holder.login, "orders": [], "failed": []},
    )


def test_somebody_elses_positions_are_not_found(group, trader, holder):
    other = rows.make_holder(group=group)
    theirs = opened(Trader(other.token), other)
    mine = opened(trader, holder, side="sell")
    by = {"client_order_id": "by-1"}

    for answer in (
        sent(trader, "PATCH", f"/{theirs}", stop_loss="1.09000"),
        sent(trader, "POST", f"/{theirs}/close", client_order_id="c-1"),
        sent(trader, "POST", "/close-by", position_id=theirs, opposite_id=mine, **by),
        sent(trader, "POST", "/close-by", position_id=mine, opposite_id=theirs, **by),
        trader.call("GET", f"/api/positions/{theirs}"),
    ):
        is_problem(answer, 404, "position_not_found")
    is_problem(
        sent(trader, "POST", "/close-all", account=other.login, client_order_id="all"),
        404,
        "account_not_found",
    )
    assert Position.objects.count() == 2


def test_deals_are_filtered(trader, holder):
    euro, yen = opened(trader, holder), opened(trader, holder, symbol="USDJPY")
    sent(trader, "POST", f"/{euro}/close", client_order_id="c-1")

    def found(query: str) -> list[tuple[str, str]]:
        page = json.loads(trader.call("GET", f"/api/deals?{query}").content)
        return [(deal["symbol"], deal["entry"]) for deal in page["results"]]

    assert found(f"position_id={euro}") == [("EURUSD", "out"), ("EURUSD", "in")]
    assert found("symbol=USDJPY") == [("USDJPY", "in")]
    assert found(f"account={holder.login}&position_id={yen}") == [("USDJPY", "in")]
    assert found("to=2020-01-01T00:00:00Z") == []
    is_problem(trader.call("GET", "/api/deals?position_id=x"), 400, "invalid")


def test_what_only_the_house_may_see_stays_there(trader, holder):
    long = opened(trader, holder, stop_loss="1.09000")
    short = opened(trader, holder, side="sell", volume="0.04")
    waiting = {"type": "limit", "price": "1.09000", "client_order_id": "p-1"}
    placed = trader.call("POST", "/api/orders/pending", json.dumps(order_body(holder, **waiting)))
    order_id = json.loads(placed.content)["id"]
    trader.call("PATCH", f"/api/orders/{order_id}", json.dumps({"price": "1.09100"}))
    trader.call("DELETE", f"/api/orders/{order_id}")
    sent(trader, "PATCH", f"/{long}", take_profit="1.12000")
    sent(trader, "POST", "/close-by", position_id=long, opposite_id=short, client_order_id="by-1")
    sent(trader, "POST", "/close-all", account=holder.login, client_order_id="all-1")

    told = trader.call("GET", f"/api/events?account={holder.login}").content.decode()

    assert {"order_placed", "order_modified", "positions_closed_by", "positions_closed"} <= {
        event["type"] for event in json.loads(told)["results"]
    }
    for secret in ("house", "raw_bid", "raw_ask", "markup", "terms", '"book"', "rule"):
        assert secret not in told
