"""The REST client against a made-up broker: exact values, the same id on every repeat, errors by code."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from rtx_client import KEEP, Account, Deal, Order, OrderStatus, Position, RtxClient, Side, Tokens, errors

from apps.trading.api import outputs
from rtx.kernel import openapi

ORDER = outputs.ORDER
Answer = httpx.Response | Exception


class Broker:
    """Answers what it is told, in turn, and remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []
        self.takes_s = self.now_s = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.now_s += self.takes_s
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleep(self, pause_s: float) -> None:
        self.slept.append(pause_s)
        self.now_s += pause_s

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.asked]


MakeClient = Callable[..., tuple[RtxClient, Broker]]


@pytest.fixture
def client() -> MakeClient:
    def make(*answers: Answer) -> tuple[RtxClient, Broker]:
        broker = Broker(*answers)
        made = RtxClient(
            "http://broker",
            transport=httpx.MockTransport(broker),
            sleep=broker.sleep,
            clock=lambda: broker.now_s,
        )
        made.use(Tokens(access="a-1", refresh="r-1", expires_in=900))
        return made, broker

    return make


def ok(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"type": f"urn:rtx:problem:{code}", "title": "t", "status": status, "code": code, "detail": "d"}
    return httpx.Response(status, json=body, headers=headers)


@pytest.mark.parametrize(
    ("kind", "name"), [(Order, "OrderOut"), (Position, "PositionOut"), (Account, "AccountOut")]
)
def test_answers_become_typed_values(kind: Any, name: str) -> None:
    shown = openapi.examples()[name]

    found = kind.read({**shown, "something_new": 1})

    if isinstance(found, Order):
        assert (found.side, found.status) == (Side.BUY, OrderStatus.FILLED)
        assert found.average_price == Decimal("1.10013")
        assert found.created_at == datetime(2026, 1, 5, 10, 0, 0, 131000, UTC)
        assert isinstance(found.deals[0], Deal)
        assert found.deals[0].commission == Decimal("-0.35")
    for field in ("margin", "volume", "balance"):
        if field in shown:
            assert getattr(found, field) == Decimal(shown[field])


def test_numbers_travel_as_exact_text(client: MakeClient) -> None:
    broker, asked = client(ok(ORDER, 201), ok(ORDER, 201))

    broker.place_market(1, "EURUSD", Side.BUY, Decimal("1E-1"), stop_loss="1.0950", client_order_id="c")
    with pytest.raises(TypeError, match="not exact"):
        broker.place_market(1, "EURUSD", "buy", 0.1)  # type: ignore[arg-type]

    assert asked.bodies() == [
        {
            "account": 1,
            "symbol": "EURUSD",
            "side": "buy",
            "volume": "0.1",
            "client_order_id": "c",
            "stop_loss": "1.0950",
        }
    ]


def test_what_is_left_out_stays_and_none_removes(client: MakeClient) -> None:
    broker, asked = client(ok(ORDER))

    broker.modify_order(7, price="1.1", take_profit=None, stop_loss=KEEP, client_order_id="k")

    assert asked.bodies() == [{"price": "1.1", "take_profit": None, "client_order_id": "k"}]
    assert (asked.asked[0].method, asked.asked[0].url.path) == ("PATCH", "/api/orders/7")


@pytest.mark.parametrize(
    "failure",
    [
        problem(503, "busy", **{"Retry-After": "1"}),
        problem(503, "outcome_unknown", **{"Retry-After": "1"}),
        problem(429, "rate_limit", **{"Retry-After": "1"}),
    ],
)
def test_a_repeat_has_the_same_id_and_waits_as_asked(client: MakeClient, failure: httpx.Response) -> None:
    broker, asked = client(failure, failure, ok(ORDER, 201))

    order = broker.place_market(1, "EURUSD", "buy", "0.1")

    assert order.id == 1002
    assert len({body["client_order_id"] for body in asked.bodies()}) == 1
    assert [1.1 <= pause <= 1.4 for pause in asked.slept] == [True, True]


def test_a_long_wait_is_told_not_slept(client: MakeClient) -> None:
    broker, asked = client(problem(429, "rate_limit", **{"Retry-After": "900"}))

    with pytest.raises(errors.RateLimited) as told:
        broker.login("trader@example.com", "wrong")

    assert (told.value.retry_after_s, len(asked.asked), asked.slept) == (900.0, 1, [])


def test_a_lost_answer_is_asked_for_again(client: MakeClient) -> None:
    lost = httpx.ReadTimeout("no answer")
    broker, asked = client(lost, ok({**ORDER, "status": "canceled"}))

    assert broker.cancel_order(7).status is OrderStatus.CANCELED
    assert len({request.headers["Idempotency-Key"] for request in asked.asked}) == 1


def test_after_the_last_attempt_the_error_is_told(client: MakeClient) -> None:
    broker, asked = client(*[problem(503, "outcome_unknown") for _ in range(4)])

    with pytest.raises(errors.OutcomeUnknown) as told:
        broker.place_market(1, "EURUSD", "buy", "0.1")

    assert (told.value.code, told.value.status, len(asked.asked)) == ("outcome_unknown", 503, 4)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid", errors.InvalidRequest),
        (401, "invalid_token", errors.NotAuthenticated),
        (403, "forbidden", errors.NotAllowed),
        (404, "order_not_found", errors.NotFound),
        (409, "client_order_id_reused", errors.IdReused),
        (409, "order_not_working", errors.OrderNotWorking),
        (409, "invalid_stops", errors.ChangeRefused),
        (500, "internal", errors.ServerFault),
        (502, "", errors.ServerFault),
    ],
)
def test_an_error_is_told_by_its_kind_and_not_repeated(
    client: MakeClient, status: int, code: str, kind: type[errors.RtxError]
) -> None:
    refresh = [problem(401, "invalid_refresh_token")] if status == 401 else []
    broker, asked = client(problem(status, code, **{"X-Request-ID": "r-9"}), *refresh)

    with pytest.raises(kind) as told:
        broker.cancel_order(7)

    assert type(told.value) is kind
    assert len(asked.asked) == 1 + len(refresh)
    if not refresh:
        assert (told.value.code, told.value.request_id) == (code, "r-9")


def test_a_page_that_is_no_problem_is_an_error_too(client: MakeClient) -> None:
    broker, _ = client(httpx.Response(502, content=b"<html>bad gateway</html>"))

    with pytest.raises(errors.ServerFault, match="Bad Gateway"):
        broker.accounts()


@pytest.mark.parametrize("body", [b"<html>back soon</html>", b"\xff", b"", b"[]"])
def test_a_good_answer_without_json_is_the_brokers_fault(client: MakeClient, body: bytes) -> None:
    broker, _ = client(httpx.Response(200, content=body, headers={"X-Request-ID": "r-9"}))

    with pytest.raises(errors.ServerFault, match="no JSON") as told:
        broker.accounts()

    assert (told.value.status, told.value.request_id) == (200, "r-9")


def test_an_expired_token_is_refreshed_once(client: MakeClient) -> None:
    pair = {"access": "a-2", "refresh": "r-2", "expires_in": 900}
    broker, asked = client(problem(401, "invalid_token"), ok(pair), ok({"results": [], "next": None}))

    assert broker.positions() == []
    assert [request.url.path for request in asked.asked] == [
        "/api/positions",
        "/api/auth/refresh",
        "/api/positions",
    ]
    assert asked.asked[1].headers.get("Authorization") is None
    assert asked.asked[2].headers["Authorization"] == "Bearer a-2"


def test_a_refresh_is_not_repeated_when_the_broker_would_take_it_for_a_theft(client: MakeClient) -> None:
    broker, asked = client(*[httpx.ReadTimeout("no answer") for _ in range(4)])
    asked.takes_s = 3.5

    with pytest.raises(errors.ConnectionLost):
        broker.refresh()

    assert len(asked.asked) == 3  # begun at 0, 3.5 and 7 seconds; a repeat after 10 would end the login
    timeouts = asked.asked[0].extensions["timeout"]
    assert (timeouts["connect"], timeouts["read"]) == (1.5, 3.0)


def test_lists_go_on_to_the_last_page(client: MakeClient) -> None:
    first = {"results": [ORDER], "next": "http://broker/api/orders?cursor=abc&status=filled"}
    broker, asked = client(ok(first), ok({"results": [{**ORDER, "id": 1}], "next": None}))

    found = list(broker.orders(status=OrderStatus.FILLED, symbol="EURUSD"))

    assert [order.id for order in found] == [1002, 1]
    assert [str(request.url) for request in asked.asked] == [
        "http://broker/api/orders?status=filled&symbol=EURUSD",
        "http://broker/api/orders?cursor=abc&status=filled",
    ]
