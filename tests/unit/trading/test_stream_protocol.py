"""Frames and requests of `/ws`: exact bytes out, strict structs in."""

from decimal import Decimal

import pytest

from apps.trading.api.operations import OPERATIONS
from apps.trading.consumers import frames
from apps.trading.consumers.limits import RequestBudget
from apps.trading.consumers.requests import TRADES, Ping, RequestError, Subscribe, Trade, decode


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_frame_is_encoded_as_the_standard_says(length, head):
    payload = b"x" * length

    frame = frames.text_frame(payload)

    assert frame == head + payload
    assert frames.payload_of(frame) == payload


def test_a_quotes_message_has_the_published_form():
    part = frames.quote_part(
        symbol=b'"EURUSD"', bid=Decimal("1.10001"), ask=Decimal("1.10003"), time_ms=1_700_000_000_123
    )

    assert frames.payload_of(frames.quotes_frame([part])) == (
        b'{"ch":"quotes","q":[{"s":"EURUSD","b":"1.10001","a":"1.10003","t":1700000000123}]}'
    )


def test_decimals_travel_as_plain_strings():
    frame = frames.reply_frame(7, {"volume": Decimal("1E+2"), "price": Decimal("1.10")})

    assert frames.payload_of(frame) == b'{"id":7,"ok":true,"data":{"volume":"100","price":"1.10"}}'


def test_requests_become_structs():
    assert decode('{"op":"ping","id":"a"}') == Ping(op="ping", id="a")
    assert decode(b'{"op":"subscribe","channel":"quotes","symbols":["EURUSD"]}') == Subscribe(
        op="subscribe", channel="quotes", symbols=["EURUSD"]
    )


def test_numbers_of_an_order_stay_as_they_were_written():
    request = decode('{"op":"order.market","id":1,"data":{"volume":0.10}}')

    assert isinstance(request, Trade)
    assert bytes(request.data) == b'{"volume":0.10}'


@pytest.mark.parametrize(
    ("text", "code", "request_id"),
    [
        ("", "malformed", None),
        ("{", "malformed", None),
        ("[]", "malformed", None),
        ("null", "malformed", None),
        ('"ping"', "malformed", None),
        ('{"op":"ping","id":NaN}', "malformed", None),
        ('{"op":"ping","id":1e999}', "invalid", None),
        ('{"op":"ping","id":1,"id":2}', "malformed", None),
        ('{"op":"order.market","id":1,"data":{"side":"buy","side":"sell"}}', "malformed", None),
        (b'{"op":"\xff"}', "malformed", None),
        ("[" * 100_000, "malformed", None),
        ("{}", "unknown_op", None),
        ('{"op":7,"id":3}', "unknown_op", 3),
        ('{"op":["ping"],"id":3}', "unknown_op", 3),
        ('{"op":"drop table","id":3}', "unknown_op", 3),
        ('{"op":"order.pending","id":4}', "invalid", 4),
        ('{"op":"ping","id":true}', "invalid", None),
        ('{"op":"ping","id":1.5}', "invalid", None),
        ('{"op":"ping","id":{}}', "invalid", None),
        ('{"op":"ping","id":"' + "x" * 65 + '"}', "invalid", None),
        ('{"op":"ping","id":5,"extra":1}', "invalid", 5),
        ('{"op":"auth","id":5}', "invalid", 5),
        ('{"op":"auth","id":5,"token":7}', "invalid", 5),
        ('{"op":"subscribe","id":5}', "invalid", 5),
        ('{"op":"subscribe","id":5,"channel":"quotes","symbols":"EURUSD"}', "invalid", 5),
        ('{"op":"subscribe","id":5,"channel":"quotes","symbols":[1]}', "invalid", 5),
        ('{"op":"subscribe","id":5,"channel":"account","account":"100001"}', "invalid", 5),
        ('{"op":"subscribe","id":5,"channel":"account","account":1,"since":1.5}', "invalid", 5),
        ('{"op":"order.market","id":5}', "invalid", 5),
        ('{"op":"order.market","id":5,"data":[]}', "invalid", 5),
    ],
)
def test_anything_else_is_refused_with_a_stable_code(text, code, request_id):
    with pytest.raises(RequestError) as refused:
        decode(text)

    assert (refused.value.code, refused.value.request_id) == (code, request_id)


def test_an_unknown_operation_names_what_there_is():
    with pytest.raises(RequestError) as refused:
        decode('{"op":"order.replace","id":1,"data":{}}')

    assert refused.value.more == {
        "supported": (
            "auth",
            "order.cancel",
            "order.market",
            "order.modify",
            "order.pending",
            "ping",
            "position.close",
            "position.close_all",
            "position.close_by",
            "position.modify",
            "subscribe",
            "unsubscribe",
        )
    }


def test_what_can_be_traded_is_what_rest_offers():
    assert set(OPERATIONS) == set(TRADES)


def test_a_budget_of_requests_refills_with_time():
    budget = RequestBudget(per_s=10, burst=3, now_s=0.0)

    taken = [budget.take(0.0) for _ in range(4)]

    assert taken == [True, True, True, False]
    assert [budget.take(0.1), budget.take(0.1)] == [True, False]
    assert [budget.take(60.0) for _ in range(4)] == [True, True, True, False]
