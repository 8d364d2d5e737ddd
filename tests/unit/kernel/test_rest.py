"""Strict input, problem details, pagination and rendering of the REST interfaces."""

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import DisallowedHost, PermissionDenied
from django.db import OperationalError
from django.http import Http404
from django.test import RequestFactory
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rtx.kernel import rest
from rtx.kernel.errors import Conflict, Invalid, TooManyRequests, Unavailable
from rtx.kernel.limits import TokenBucket, Verdict


class Order(rest.Input):
    """An input as views have them."""

    account: int
    volume: rest.PositiveDecimal
    price: rest.PositiveDecimal | None = None


def read(body: str | bytes) -> Order:
    return Order.validated(rest.RawBody(body.encode() if isinstance(body, str) else body))


@pytest.mark.parametrize("written", ['"0.10"', "0.10", "1e-1"])
def test_numbers_and_texts_become_exact_decimals(written: str) -> None:
    order = read(f'{{"account": 100001, "volume": {written}, "price": 1.10001}}')

    assert (order.volume, order.price) == (Decimal("0.1"), Decimal("1.10001"))


def test_no_digit_is_lost() -> None:
    assert read('{"account":1,"volume":0.123456789012345678}').volume == Decimal("0.123456789012345678")


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        ('"NaN"', "must be a finite number"),
        ('"Infinity"', "must be a finite number"),
        ('"-Infinity"', "must be a finite number"),
        ("0", "must be positive"),
        ('"-0.01"', "must be positive"),
        ("1e400", "is out of range"),
        ('"1e-30"', "is out of range"),
        ('"1.00000000000000000000000000001"', "is out of range"),
    ],
)
def test_an_impossible_number_is_named(volume: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(f'{{"account":1,"volume":{volume}}}')

    assert caught.value.errors == {"volume": [reason]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"account":1}', "body"),
        ('{"account":"1","volume":"1"}', "account"),
        ('{"account":true,"volume":"1"}', "account"),
        ('{"account":1.5,"volume":"1"}', "account"),
        ('{"account":1,"volume":[]}', "volume"),
        ('{"account":1,"volume":"ten"}', "volume"),
        ('{"account":1,"volume":"1","extra":1}', "body"),
        ("[]", "body"),
        ("null", "body"),
        ('"text"', "body"),
        ("", "body"),
    ],
)
def test_a_wrong_form_names_the_field(body: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(body)

    assert (caught.value.status, caught.value.code) == (400, "invalid")
    assert list(caught.value.errors or {}) == [field]


@pytest.mark.parametrize(
    "body", [b"{", b'{"account":1,}', b'{"volume":NaN}', b"\xff\xfe", b'{"account":1,"volume":"1"}x']
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read(body)

    assert caught.value.code == "malformed_json"


def test_a_body_above_64_kb_is_refused() -> None:
    parser = rest.StrictJSONParser()

    assert len(parser.parse(io.BytesIO(b"x" * 65_536))) == 65_536
    with pytest.raises(rest.TooLarge) as caught:
        parser.parse(io.BytesIO(b"x" * 65_537))
    assert caught.value.status == 413


def test_decimals_are_rendered_as_plain_text_and_instants_with_a_z() -> None:
    shown = rest.JSONRenderer().render(
        {"amount": Decimal("1E+3"), "none": None, "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}
    )

    assert json.loads(shown) == {"amount": "1000", "none": None, "at": "2026-01-02T03:04:05Z"}


def answer(error: Exception) -> Any:
    request = RequestFactory().get("/api/orders")
    request.META["rtx.request_id"] = "request-1"
    return rest.problem_handler(error, {"request": request})


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Conflict("The id is taken.", code="client_order_id_reused"), 409, "client_order_id_reused"),
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "forbidden"),
        (DisallowedHost("evil.example"), 400, "suspicious"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.UnsupportedMediaType("text/xml"), 415, "unsupported_media_type"),
        (OperationalError("connection refused at 10.0.0.7"), 503, "unavailable"),
        (ZeroDivisionError("secret detail"), 500, "internal"),
    ],
)
def test_every_exception_becomes_problem_details(error: Exception, status: int, code: str) -> None:
    response = answer(error)

    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    shown = response.data
    assert (shown["status"], shown["code"], shown["request_id"]) == (status, code, "request-1")
    assert shown["type"] == f"urn:rtx:problem:{code}"
    assert set(shown) == {"type", "title", "status", "code", "detail", "request_id"}


def test_a_fault_of_ours_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    response = answer(ZeroDivisionError("secret detail"))

    assert "secret" not in str(response.data)
    assert "request request-1 failed" in caplog.text
    assert "secret detail" in caplog.text


def test_field_errors_are_shown() -> None:
    response = answer(Invalid("volume is bad", errors={"volume": ["is bad"]}))

    assert response.data["errors"] == {"volume": ["is bad"]}


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (TooManyRequests(retry_after_s=17), {"Retry-After": "17"}),
        (Unavailable(), {"Retry-After": "1"}),
        (
            rest.RateLimited(Verdict(limit=5, remaining=0, reset_s=9, retry_after_s=2)),
            {"Retry-After": "2"},
        ),
        (exceptions.NotAuthenticated(), {"WWW-Authenticate": "Bearer"}),
    ],
)
def test_headers_say_what_to_do(error: Exception, headers: dict[str, str]) -> None:
    response = answer(error)

    assert {name: response[name] for name in headers} == headers


class OneAtOnce(rest.BucketThrottle):
    """One request at once, one every ten seconds."""

    _bucket = TokenBucket(rate=0.1, burst=1)

    def key(self, request: Any) -> str | None:
        return request.META.get("REMOTE_USER")


class LimitedView(APIView):
    """Answers nothing, under a limit."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = (OneAtOnce,)

    def get(self, request: Request) -> Response:
        return Response({})


def limited(name: str) -> Any:
    return LimitedView.as_view()(RequestFactory().get("/api/limited", REMOTE_USER=name))


def test_every_answer_says_how_much_is_left() -> None:
    first, second, other = limited("a"), limited("a"), limited("b")
    told = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")

    assert [first.status_code, second.status_code, other.status_code] == [200, 429, 200]
    assert [first[name] for name in told] == ["1", "0", "11"]
    assert [second[name] for name in told] == ["1", "0", "10"]
    assert (second["Retry-After"], second.data["code"]) == ("10", "rate_limit")


@pytest.mark.parametrize("written", ['" 1"', '"1_0"', '"+1"', '"1e3"', '".5"', '"5."', '"1\\u0660"'])
def test_a_text_that_is_no_plain_number_is_refused(written: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(f'{{"account":1,"volume":{written}}}')

    assert list(caught.value.errors or {}) == ["volume"]


@pytest.mark.parametrize(
    "body",
    [
        '{"account":1,"volume":"1","volume":"2"}',
        '{"account":1,"volume" : "1","account":1}',
        '{"account":1,"volume":"1","\\u0061ccount":2}',
    ],
)
def test_a_name_that_comes_twice_is_refused(body: str) -> None:
    with pytest.raises(Invalid, match="twice"):
        read(body)


@pytest.mark.parametrize("given", ["cD1ub3Q%3D", "\x00", "", "AAAA", "cD0", "ü", "cj0x!"])
def test_a_bad_cursor_is_400(given: str) -> None:
    request = Request(RequestFactory().get("/api/orders", {"cursor": given}))

    with pytest.raises(Invalid, match="cursor"):
        rest.CursorPagination().decode_cursor(request)


@pytest.mark.parametrize(
    ("given", "instant"),
    [
        ("2026-01-05T10:00:00Z", datetime(2026, 1, 5, 10, tzinfo=UTC)),
        ("2026-01-05t10:00:00.25z", datetime(2026, 1, 5, 10, 0, 0, 250_000, UTC)),
        ("2026-01-05T10:00:00+01:00", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05T10:00:00 01:00", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05 10:00:00-01:00", datetime(2026, 1, 5, 11, tzinfo=UTC)),
        ("2026-01-05T10:00:00", datetime(2026, 1, 5, 10, tzinfo=UTC)),
    ],
)
def test_an_instant_is_rfc_3339(given: str, instant: datetime) -> None:
    assert rest.instant_of(given, "from") == instant


@pytest.mark.parametrize(
    "given",
    [
        "",
        "20260101",
        "2026-W01-1",
        "2026-01-05",
        "2026-01-05T10",
        "2026-01-05T10:00:00,5Z",
        "2026-01-05T10:00:00+0100",
        "2026-01-05x10:00:00Z",
        "2026-02-30T10:00:00Z",
        "2026-01-05T24:00:01Z",
        "0001-01-01T00:00:00+01:00",
        "２026-01-05T10:00:00Z",
        "2026-01-05T10:00:00Z\n",
    ],
)
def test_what_only_python_reads_as_an_instant_is_refused(given: str) -> None:
    with pytest.raises(Invalid) as caught:
        rest.instant_of(given, "from")

    assert caught.value.errors == {"from": ["must be RFC 3339"]}


def test_a_page_has_results_and_next_and_no_total() -> None:
    pages = rest.CursorPagination()
    pages.has_next = False

    assert pages.get_paginated_response([1]).data == {"results": [1], "next": None}
