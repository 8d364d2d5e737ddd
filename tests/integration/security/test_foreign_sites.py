"""
What another site can do with the browser of somebody who is signed in: send no write (CSRF), read no answer
(CORS), and use no cookie on the API. Over every route of the URL map.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import get_resolver

from tests.factories.staff import signed_in
from tests.integration.matrix import surface
from tests.integration.matrix.asking import PARAMETER, Asker
from tests.integration.matrix.broker import Broker

FOREIGN = "https://evil.example"
WRITES = ("POST", "PUT", "PATCH", "DELETE")
API = "api/"
KNOWN_TABLE = "admin/accounts/tradingaccount/"

pytestmark = pytest.mark.usefixtures("unrendered")


def refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Stand for the page about a missing token, so that this 403 is told from one for lack of a right."""
    return HttpResponse(reason, status=403, headers={"X-Refused-By": "csrf"})


def all_routes() -> list[str]:
    """Return every route once, those of tables and their actions too."""
    found = sorted({route for route, _view in surface._walk(get_resolver().url_patterns, "")})
    assert len(found) > 300
    assert f"{KNOWN_TABLE}<path:object_id>/deposit" in {route.rstrip("/") for route in found}
    return found


def paths(asker: Asker) -> Iterator[tuple[str, str]]:
    """Return every route with an address: its parameters name rows within reach."""
    for route in all_routes():
        yield route, address(asker, route)


def address(asker: Asker, route: str) -> str:
    return "/" + PARAMETER.sub(lambda found: parameter(asker, route, found[1]), route.lstrip("/"))


def parameter(asker: Asker, route: str, name: str) -> str:
    """Return whom a parameter names; where nobody says so, a number."""
    try:
        return asker._parameter(route, name, "own")
    except AssertionError:
        return "1"


@pytest.fixture
def asker(broker: Broker) -> Asker:
    return Asker(broker, "superadmin")


@pytest.mark.parametrize("method", WRITES)
def test_no_page_takes_a_write_without_the_token(method: str, asker: Asker, settings: Any) -> None:
    settings.CSRF_FAILURE_VIEW = f"{__name__}.refused"
    http = Client(enforce_csrf_checks=True, raise_request_exception=False)
    http.cookies = signed_in(asker.broker.users["superadmin"]).cookies
    taken = [
        f"{method} {route}: {answer.status_code}"
        for route, path in paths(asker)
        if not route.startswith(API)
        for answer in [http.generic(method, path)]
        if answer.headers.get("X-Refused-By") != "csrf"
    ]

    assert taken == []


def test_an_action_of_a_list_is_refused_without_the_token_and_taken_with_it(
    asker: Asker, settings: Any
) -> None:
    settings.CSRF_FAILURE_VIEW = f"{__name__}.refused"
    http = Client(enforce_csrf_checks=True, raise_request_exception=False)
    http.cookies = signed_in(asker.broker.users["superadmin"]).cookies
    token = "a" * 32
    http.cookies["csrftoken"] = token
    for label, page in surface.registry().items():
        bulk = [name for name, places in surface.action_methods(page).items() if "bulk" in places]
        for name in bulk:
            path = "/admin/{}/{}/".format(*label.split("."))
            data = {"action": name, "index": "0", "_selected_action": str(asker.broker.row(label, "own").pk)}
            without = http.post(path, data)
            forged = http.post(path, data | {"csrfmiddlewaretoken": "b" * 32})
            with_it = http.post(path, data | {"csrfmiddlewaretoken": token})
            assert [answer.headers.get("X-Refused-By") for answer in (without, forged, with_it)] == [
                "csrf",
                "csrf",
                None,
            ], f"{label} {name}"


def test_a_session_means_nothing_to_the_api(asker: Asker) -> None:
    http = Client(enforce_csrf_checks=True, raise_request_exception=False)
    http.cookies = signed_in(asker.broker.users["superadmin"]).cookies
    open_to_all = {"api/auth/login", "api/auth/refresh", "api/admin/auth/login", "api/schema", "api/docs"}
    open_to_all |= {"api/admin/crm/oauth/callback"}  # hands on to a page behind the sign-in, does nothing
    proved_otherwise = "api/webhooks/"  # by what the sender signed
    taken = [
        f"{key}: {answer.status_code}"
        for key in surface.routes()
        for method, _space, route in [key.partition(" ")]
        if route.startswith(API) and route not in open_to_all and not route.startswith(proved_otherwise)
        for answer in [http.generic(method, address(asker, route))]
        if answer.status_code != 401
    ]

    assert taken == []


def grants(answer: Any) -> list[str]:
    return [name for name in answer.headers if name.lower().startswith("access-control")]


def test_no_answer_may_be_read_by_a_foreign_site(asker: Asker) -> None:
    http = Client(raise_request_exception=False)
    bearer = f"Bearer {asker.broker.token('superadmin')}"
    opened = []
    for route, path in paths(asker):
        token = {"Authorization": bearer} if route.startswith(API) else {}
        preflight = {
            "Origin": FOREIGN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        }
        answers = [http.options(path, headers=preflight)]
        if route.startswith(API):
            answers.append(http.get(path, headers={"Origin": FOREIGN} | token))
        opened += [f"{route}: {grants(answer)}" for answer in answers if grants(answer)]

    assert opened == []


def test_an_error_may_not_be_read_by_a_foreign_site_either(broker: Broker) -> None:
    http = Client(raise_request_exception=False)
    answers = [
        http.get("/api/orders", headers={"Origin": FOREIGN}),
        http.get("/api/nothing", headers={"Origin": FOREIGN}),
        http.post("/api/auth/login", b"{", content_type="application/json", headers={"Origin": "null"}),
        http.get("/admin/", headers={"Origin": FOREIGN}),
    ]

    assert [answer.status_code for answer in answers] == [401, 404, 400, 302]
    assert [grants(answer) for answer in answers] == [[], [], [], []]
