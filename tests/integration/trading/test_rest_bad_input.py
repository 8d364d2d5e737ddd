"""Bad input over the trader interface: a clear problem answer with a stable code, never a fault of ours."""

import base64
import json
from urllib.parse import quote

import pytest

from apps.accounts.selectors import tokens
from apps.trading.models import Order
from rtx.kernel.rest import UserThrottle
from tests.factories import rows
from tests.factories.problems import answers_of, is_problem, order_body
from tests.factories.rows import Holder, Trader

MARKET = "/api/orders/market"


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> None:
    tokens.forget()
    UserThrottle._bucket._levels.clear()


@pytest.fixture
def trader(holder: Holder) -> Trader:
    """The holder's program."""
    return Trader(holder.token)


def _with(holder: Holder, field: str, literal: str) -> str:
    """Return an order's body in which one field is exactly this JSON text."""
    body = json.dumps(order_body(holder, **{field: "@@"}))
    return body.replace('"@@"', literal)


BODIES = {
    b"": "invalid",
    b"{}": "invalid",
    b"{": "malformed_json",
    b'{"account": 1,}': "malformed_json",
    b"{'account': 1}": "malformed_json",
    b"not json": "malformed_json",
    b"\xff\xfe\x00": "malformed_json",
    b'{"comment": "\xff"}': "malformed_json",
    b"[]": "invalid",
    b'"text"': "invalid",
    b"17": "invalid",
    b"null": "invalid",
    b"true": "invalid",
    b"{}{}": "invalid",
    b"[" * 30_000 + b"]" * 30_000: "invalid",
    b'{"account":' * 5_000: "invalid",
}


def test_a_body_that_is_no_order_is_refused(trader):
    answers = answers_of(BODIES, lambda body: trader.call("POST", MARKET, body))

    assert answers == {body: (400, code) for body, code in BODIES.items()}
    assert not Order.objects.exists()


BAD_FIELDS = [
    ("account", '"100001"'),
    ("account", "true"),
    ("account", "1.5"),
    ("account", "null"),
    ("account", "[]"),
    ("symbol", "17"),
    ("symbol", '""'),
    ("symbol", json.dumps("X" * 33)),
    ("symbol", "null"),
    ("side", '"BUY"'),
    ("side", '"hold"'),
    ("side", "1"),
    ("volume", "true"),
    ("volume", "null"),
    ("volume", "{}"),
    ("volume", '""'),
    ("volume", '"one"'),
    ("volume", '"0x10"'),
    ("volume", '"1,0"'),
    ("volume", '"NaN"'),
    ("volume", '"sNaN"'),
    ("volume", '"Infinity"'),
    ("volume", '"-Infinity"'),
    ("volume", "0"),
    ("volume", '"0"'),
    ("volume", '"-0.00"'),
    ("volume", "-1"),
    ("volume", '"-0.10"'),
    ("volume", "1e999"),
    ("volume", '"1e999"'),
    ("volume", '"1E-999"'),
    ("volume", '"1e18"'),
    ("volume", "9" * 400),
    ("volume", '"' + "9" * 5_000 + '"'),
    ("volume", '"0.' + "1" * 40 + '"'),
    ("volume", '"1\\u0000"'),
    ("volume", '" 1"'),
    ("volume", '"1_0"'),
    ("volume", '"+1"'),
    ("volume", '"1e0"'),
    ("volume", '"1", "volume": "1"'),
    ("client_order_id", '"#7"'),
    ("price", '"0"'),
    ("price", '"NaN"'),
    ("price", "-1.1"),
    ("stop_loss", '"-1"'),
    ("stop_loss", "false"),
    ("take_profit", '"Infinity"'),
    ("deviation", "-1"),
    ("deviation", "1.5"),
    ("deviation", '"5"'),
    ("deviation", "true"),
    ("deviation", "1000001"),
    ("deviation", "9" * 60),
    ("client_order_id", '""'),
    ("client_order_id", "null"),
    ("client_order_id", "7"),
    ("client_order_id", json.dumps("x" * 65)),
    ("client_order_id", '"a b"'),
    ("client_order_id", '"a\\u0000b"'),
    ("client_order_id", '"a\\n"'),
    ("client_order_id", '"\\u00e9"'),
    ("comment", '"a\\u0000b"'),
    ("comment", '"a\\u001fb"'),
    ("comment", '"line\\nbreak"'),
    ("comment", '"\\u007f"'),
    ("comment", json.dumps("x" * 65)),
    ("comment", "null"),
    ("surprise", "1"),
    ("type", '"limit"'),
]


def test_a_field_of_the_wrong_form_is_refused(trader, holder):
    answers = answers_of(BAD_FIELDS, lambda case: trader.call("POST", MARKET, _with(holder, *case)))

    assert answers == dict.fromkeys(BAD_FIELDS, (400, "invalid"))
    assert not Order.objects.exists()


def test_a_refused_field_is_named(trader, holder):
    answer = trader.call("POST", MARKET, _with(holder, "volume", '"-1"'))

    assert is_problem(answer, 400, "invalid")["errors"] == {"volume": ["must be positive"]}


NO_JSON_NUMBERS = ["NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x1", "1e"]


def test_a_number_that_json_does_not_have_is_malformed(trader, holder):
    answers = answers_of(
        NO_JSON_NUMBERS, lambda text: trader.call("POST", MARKET, _with(holder, "volume", text))
    )

    assert answers == dict.fromkeys(NO_JSON_NUMBERS, (400, "malformed_json"))


HALF_SURROGATES = ['"\\ud800"', '"\\udc00x"', '"\\ud800\\u0041"']


def test_half_a_surrogate_pair_is_refused(trader, holder):
    answers = answers_of(
        HALF_SURROGATES, lambda text: trader.call("POST", MARKET, _with(holder, "comment", text))
    )

    assert {status for status, _ in answers.values()} == {400}


REFUSALS = {
    '{"volume": "0.105"}': "invalid_volume",
    '{"volume": "0.001"}': "invalid_volume",
    '{"volume": "100.01"}': "invalid_volume",
    '{"volume": "99999999999"}': "invalid_volume",
    '{"volume": 0.1, "price": "1.1", "deviation": 0}': "requote",
    '{"price": "1.100001"}': "invalid_price",
    '{"stop_loss": "1.2"}': "invalid_stops",
    '{"take_profit": "1.0"}': "invalid_stops",
    '{"stop_loss": "1.000001"}': "invalid_stops",
    '{"volume": "50"}': "no_money",
}


def test_an_order_that_the_rules_refuse_is_an_order(trader, holder):
    def place(changes: str):
        body = order_body(holder, **json.loads(changes), client_order_id=f"r{abs(hash(changes))}")
        return trader.call("POST", MARKET, json.dumps(body))

    assert answers_of(REFUSALS, place) == {changes: (201, reason) for changes, reason in REFUSALS.items()}
    assert sorted(Order.objects.values_list("reject_reason", flat=True)) == sorted(REFUSALS.values())


def test_numbers_may_be_text_or_exact_json_numbers(trader, holder):
    one = trader.call("POST", MARKET, _with(holder, "volume", "0.10"))
    same = trader.call("POST", MARKET, _with(holder, "volume", '"0.1"'))
    third = trader.call("POST", MARKET, _with(holder, "volume", "1E-1"))

    assert (one.status_code, same.status_code, third.status_code) == (201, 201, 201)
    assert json.loads(one.content) == json.loads(same.content) == json.loads(third.content)
    assert json.loads(one.content)["volume"] == "0.1"


UNKNOWN_LOGINS = ["0", "-1", "99999", "9223372036854775808", "1" * 400]


def test_an_unknown_account_is_not_found(trader, holder):
    answers = answers_of(
        UNKNOWN_LOGINS, lambda text: trader.call("POST", MARKET, _with(holder, "account", text))
    )

    assert answers == dict.fromkeys(UNKNOWN_LOGINS, (404, "account_not_found"))


def test_somebody_elses_account_is_not_found(group, trader):
    other = rows.make_holder(group=group)

    is_problem(trader.call("POST", MARKET, json.dumps(order_body(other))), 404, "account_not_found")
    is_problem(trader.call("GET", f"/api/accounts/{other.login}"), 404, "account_not_found")
    for path in ("orders", "positions", "deals", "events", "symbols", "quotes"):
        is_problem(trader.call("GET", f"/api/{path}?account={other.login}"), 404, "account_not_found")


def test_somebody_elses_order_and_position_are_not_found(group, trader):
    other = rows.make_holder(group=group)
    placed = json.loads(Trader(other.token).call("POST", MARKET, json.dumps(order_body(other))).content)
    close = json.dumps({"client_order_id": "steal"})

    is_problem(trader.call("GET", f"/api/orders/{placed['id']}"), 404, "order_not_found")
    position = f"/api/positions/{placed['position_id']}"
    is_problem(trader.call("GET", position), 404, "position_not_found")
    is_problem(trader.call("POST", f"{position}/close", close), 404, "position_not_found")
    assert Order.objects.count() == 1


UNKNOWN_SYMBOLS = ["NOPE", "eurusd", "EURUSD ", "\u0000", "';--", "\U0001f4b6"]


def test_an_unknown_symbol_is_not_found(trader, holder):
    placed = answers_of(
        UNKNOWN_SYMBOLS, lambda name: trader.call("POST", MARKET, json.dumps(order_body(holder, symbol=name)))
    )
    shown = answers_of(UNKNOWN_SYMBOLS, lambda name: trader.call("GET", f"/api/symbols/{quote(name)}"))

    assert placed == shown == dict.fromkeys(UNKNOWN_SYMBOLS, (404, "symbol_not_found"))


UNKNOWN_POSITIONS = {
    "0": "position_not_found",
    "999999": "position_not_found",
    "9223372036854775808": "position_not_found",
    "9" * 5_000: "not_found",
}


def test_an_unknown_position_is_not_found(trader):
    body = json.dumps({"client_order_id": "c"})
    answers = answers_of(
        UNKNOWN_POSITIONS, lambda number: trader.call("POST", f"/api/positions/{number}/close", body)
    )

    assert answers == {number: (404, code) for number, code in UNKNOWN_POSITIONS.items()}


def test_a_reused_id_is_a_conflict(trader, holder):
    first = trader.call("POST", MARKET, json.dumps(order_body(holder)))

    other = trader.call("POST", MARKET, json.dumps(order_body(holder, volume="0.20")))
    again = trader.call("POST", MARKET, json.dumps(order_body(holder)))

    is_problem(other, 409, "client_order_id_reused")
    assert (again.status_code, again.content) == (201, first.content)


BAD_CLOSES = {
    b'{"client_order_id": "c", "volume": "-1"}': "invalid",
    b'{"client_order_id": "c", "volume": "NaN"}': "invalid",
    b'{"client_order_id": "c", "account": 1}': "invalid",
    b'{"volume": "0.10"}': "invalid",
    b"[1]": "invalid",
    b"{": "malformed_json",
}


def test_a_bad_close_is_refused(trader, holder):
    placed = json.loads(trader.call("POST", MARKET, json.dumps(order_body(holder))).content)
    path = f"/api/positions/{placed['position_id']}/close"

    answers = answers_of(BAD_CLOSES, lambda body: trader.call("POST", path, body))

    assert answers == {body: (400, code) for body, code in BAD_CLOSES.items()}
    assert Order.objects.count() == 1


def test_a_body_up_to_the_limit_is_read_and_a_larger_one_is_not(trader, holder):
    body = json.dumps(order_body(holder))
    fits, larger = body.ljust(65_536), body.ljust(65_537)

    assert trader.call("POST", MARKET, fits).status_code == 201
    is_problem(trader.call("POST", MARKET, larger), 413, "too_large")
    is_problem(trader.call("POST", MARKET, body.ljust(3_000_000)), 413, "too_large")


OTHER_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
]


def test_another_content_type_is_not_supported(trader, holder):
    body = json.dumps(order_body(holder))
    answers = answers_of(OTHER_TYPES, lambda kind: trader.call("POST", MARKET, body, content_type=kind))

    assert answers == dict.fromkeys(OTHER_TYPES, (415, "unsupported_media_type"))
    assert not Order.objects.exists()


OTHER_METHODS = [
    ("GET", MARKET),
    ("PUT", MARKET),
    ("DELETE", "/api/orders"),
    ("POST", "/api/accounts"),
    ("PATCH", "/api/quotes"),
    ("POST", "/api/events"),
    ("TRACE", MARKET),
]


def test_a_method_that_an_address_does_not_have(trader):
    answers = answers_of(OTHER_METHODS, lambda case: trader.call(*case, b"{}"))

    assert answers == dict.fromkeys(OTHER_METHODS, (405, "method_not_allowed"))
    assert trader.call("GET", MARKET)["Allow"] == "POST, OPTIONS"


NO_ADDRESSES = ["/api/", "/api/nothing", "/api/orders/market/", "/api/orders/x", "/api/accounts/-1"]


def test_an_unknown_address_is_a_problem(trader):
    answers = answers_of(NO_ADDRESSES, lambda path: trader.call("GET", path))

    assert answers == dict.fromkeys(NO_ADDRESSES, (404, "not_found"))


BAD_QUERIES = [
    f"{path}?{query}"
    for path in ("orders", "deals")
    for query in (
        "account=x",
        "account=-1",
        "account=1.5",
        "account=",
        "account=" + "9" * 40,
        "account=%00",
        "account=%EF%BC%91",
        "cursor=garbage",
        "cursor=" + base64.b64encode(b"p=abc").decode(),
        "cursor=" + base64.b64encode(b"p=1%00").decode(),
        "cursor=" + base64.b64encode(b"o=-5&p=1").decode(),
        "limit=x",
        "limit=0",
        "limit=-1",
        "limit=%00",
    )
] + ["orders?status=open", "orders?status=%00", "events?since=x", "events?since=-1", "positions?account=x"]


def test_a_query_that_is_not_understood_is_refused(trader):
    answers = answers_of(BAD_QUERIES, lambda query: trader.call("GET", f"/api/{query}"))

    assert answers == dict.fromkeys(BAD_QUERIES, (400, "invalid"))


def test_pages_follow_one_another_without_gap_or_repeat(trader, holder):
    for number in range(5):
        body = json.dumps(order_body(holder, client_order_id=f"p-{number}", volume="0.01"))
        assert trader.call("POST", MARKET, body).status_code == 201

    names, path = [], f"/api/orders?account={holder.login}&limit=2"
    while path:
        page = json.loads(trader.call("GET", path).content)
        names += [order["client_order_id"] for order in page["results"]]
        path = page["next"]

    assert names == ["p-4", "p-3", "p-2", "p-1", "p-0"]
