"""The server behind the fakes: routes, limits, latency, faults. Benches trust what it tells of calls."""

from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.grants import GrantRefused, Grants
from tests.fakes.server import Fake, Fault, Limit, Reply, Request, route, serving


class Shop(Fake):
    name = "shop"

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []

    @route("POST", "/things/{thing}")
    def put(self, request: Request) -> Reply:
        self.carries(len(request.json))
        self.kept.append(request.params["thing"])
        return Reply(201, {"id": request.params["thing"]})

    @route("GET", "/token", is_counted=False)
    def token(self, request: Request) -> Reply:
        return Reply(200, {"q": request.query})


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def http(shop: Shop) -> Iterator[httpx.Client]:
    with serving(shop) as url, httpx.Client(base_url=url, timeout=0.3, trust_env=False) as client:
        yield client


def test_a_route_names_parts_of_its_path_and_is_logged(shop: Shop, http: httpx.Client) -> None:
    answer = http.post("/things/a%20b", json=[1, 2, 3])

    assert (answer.status_code, answer.json()) == (201, {"id": "a b"})
    assert [(call.name, call.status, call.records) for call in shop.calls] == [("put", 201, 3)]
    assert http.get("/nothing").status_code == 404


def test_calls_over_the_limit_are_refused_and_do_not_count(shop: Shop, http: httpx.Client) -> None:
    shop.clock.stop()
    shop.limit = Limit(calls_max=2, window_s=10)

    first = [http.post("/things/a", json=[]).status_code for _ in range(3)]
    shop.clock.advance(9.9)
    almost = http.post("/things/a", json=[])
    shop.clock.advance(0.2)
    second = [http.post("/things/a", json=[]).status_code for _ in range(3)]
    shop.clock.advance(10)
    http.post("/things/a", json=[])

    assert first == second == [201, 201, 429]
    assert (almost.status_code, almost.headers["retry-after"]) == (429, "1")
    assert http.get("/token").status_code == 200
    assert shop.windows(10) == [2, 2]
    assert len(shop.kept) == 5


@pytest.mark.parametrize("kind", ["drop", "timeout", "truncated", "malformed"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_fault_spoils_one_answer_before_or_after_the_deed(
    shop: Shop, http: httpx.Client, kind: str, is_done: bool
) -> None:
    shop.fail(Fault(kind=kind, is_done=is_done, body={"a": "long"}), path="things", skip=1)

    http.post("/things/a", json=[])
    with pytest.raises((httpx.TransportError, ValueError)):
        http.post("/things/b", json=[]).json()
    http.post("/things/c", json=[])

    assert shop.kept == (["a", "b", "c"] if is_done else ["a", "c"])


def test_a_status_with_headers_is_answered_as_often_as_planned(shop: Shop, http: httpx.Client) -> None:
    shop.fail(Fault(status=429, headers={"Retry-After": "7"}, body={"m": 1}), times=2)

    answers = [http.post("/things/a", json=[]) for _ in range(3)]

    assert [one.status_code for one in answers] == [429, 429, 201]
    assert answers[0].headers["retry-after"] == "7"
    assert shop.count("put", status=429) == 2


def test_a_code_is_good_once_for_its_verifier() -> None:
    shop = Shop()
    grants = Grants(shop.clock, prefix="s", lifetime_s=60)
    asked = {
        "client_id": "c",
        "redirect_uri": "https://b.example/back",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",  # of RFC 7636, appendix B
        "code_challenge_method": "S256",
    }
    form = {
        "grant_type": "authorization_code",
        "client_id": "c",
        "redirect_uri": "https://b.example/back",
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    }
    code = httpx.URL(grants.agree(asked)).params["code"]

    given = grants.exchange({**form, "code": code})

    assert grants.is_good(given["access_token"])
    with pytest.raises(GrantRefused, match="invalid_grant"):
        grants.exchange({**form, "code": code})
    other = httpx.URL(grants.agree(asked)).params["code"]
    with pytest.raises(GrantRefused, match="invalid_grant"):
        grants.exchange({**form, "code": other, "code_verifier": "wrong"})


def test_rotation_ends_the_old_refresh_token() -> None:
    shop = Shop()
    grants = Grants(shop.clock, prefix="s", lifetime_s=60, rotates=True)
    _, refresh = grants.give()

    fresh = grants.exchange({"grant_type": "refresh_token", "refresh_token": refresh})

    assert fresh["refresh_token"] not in ("", refresh)
    with pytest.raises(GrantRefused):
        grants.exchange({"grant_type": "refresh_token", "refresh_token": refresh})
    shop.clock.advance(61)
    assert not grants.is_good(fresh["access_token"])
