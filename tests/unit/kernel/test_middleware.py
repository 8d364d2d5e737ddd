"""Request ids, liveness, and the short way of API calls."""

import re
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from rtx.kernel.limits import TokenBucket
from rtx.kernel.middleware import ApiEntrance, ApiExit, RequestId


def show(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"session:{hasattr(request, 'session')} id:{request.META['rtx.request_id']}")


def fail(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("secret")


urlpatterns = [path("api/show", show), path("show", show), path("api/fail", fail)]
handler404 = "rtx.kernel.rest.page_not_found"
handler500 = "rtx.kernel.rest.server_error"

own_urls = override_settings(ROOT_URLCONF=__name__)


def call(given: str | None) -> tuple[str, str]:
    headers = {} if given is None else {"X-Request-ID": given}
    request = RequestFactory().get("/show", headers=headers)
    response = RequestId(show)(request)
    return response["X-Request-ID"], request.META["rtx.request_id"]


def test_a_callers_id_is_kept() -> None:
    assert call("client-0001.a_b") == ("client-0001.a_b", "client-0001.a_b")


@pytest.mark.parametrize(
    "given", [None, "", "short", "x" * 65, "with space in it", "line\nbreak-12345", "ümlaut-12"]
)
def test_any_other_id_is_replaced(given: str | None) -> None:
    answered, inside = call(given)

    assert answered == inside
    assert re.fullmatch(r"[0-9a-f]{32}", answered)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1, 203.0.113.9", "198.51.100.1"),
        (2, "203.0.113.9", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "unknown", "127.0.0.1"),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_only_trusted_proxies_are_believed(settings: Any, proxies: int, forwarded: str, address: str) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    request = RequestFactory().get("/show", headers={"X-Forwarded-For": forwarded})

    RequestId(show)(request)

    assert request.META["REMOTE_ADDR"] == address


def test_liveness_touches_nothing() -> None:
    def never(request: HttpRequest) -> Any:
        raise AssertionError("the rest of the chain was reached")

    response = RequestId(never)(RequestFactory().get("/health"))

    assert isinstance(response, HttpResponse)
    assert (response.status_code, response.content) == (200, b'{"status":"ok"}')


@own_urls
def test_api_calls_have_no_session_and_pages_have() -> None:
    client = Client()

    assert client.get("/api/show").content.startswith(b"session:False")
    assert client.get("/show").content.startswith(b"session:True")


@own_urls
def test_an_api_answer_keeps_the_security_headers_and_its_length() -> None:
    response = Client().get("/api/show")

    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Length"] == str(len(response.content))


@own_urls
def test_an_unknown_api_address_is_a_problem() -> None:
    response = Client().get("/api/nowhere")

    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["code"] == "not_found"


@own_urls
def test_a_fault_outside_the_framework_is_a_problem_without_details() -> None:
    response = Client(raise_request_exception=False).get("/api/fail")

    assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
    assert "secret" not in response.content.decode()


def test_each_chain_has_its_own_short_way() -> None:
    chains = []
    for answer in (b"first", b"second"):
        exit_ = ApiExit(lambda request, answer=answer: HttpResponse(answer))  # type: ignore[misc]
        chains.append(ApiEntrance(lambda request, exit_=exit_: HttpResponse(b"page")))  # type: ignore[misc]
    request = RequestFactory().get("/api/x")

    assert [chain(request).content for chain in chains] == [b"first", b"second"]  # type: ignore[attr-defined]


def test_a_bucket_lets_a_burst_through_and_refills(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("rtx.kernel.limits.time.monotonic", lambda: now[0])
    bucket = TokenBucket(rate=2.0, burst=3)

    taken = [bucket.take("a") for _ in range(4)]

    assert [verdict.remaining for verdict in taken] == [2, 1, 0, 0]
    assert [verdict.retry_after_s for verdict in taken] == [0, 0, 0, 1]
    assert bucket.take("b").retry_after_s == 0
    now[0] += 0.5
    assert bucket.take("a").retry_after_s == 0
    assert bucket.take("a").retry_after_s == 1
