"""`GET /api/candles`: pages of candles, newest first, and what a wrong question is told."""

from decimal import Decimal
from urllib.parse import urlsplit

import pytest

from apps.accounts.services.clients import register
from apps.market.models import Candle
from tests.integration.accounts.conftest import PASSWORD, PERSON, Api
from tests.integration.market.conftest import at


@pytest.fixture
def get(eurusd):
    """Return a function that asks for candles as a trader."""
    register(email="mina@example.com", password=PASSWORD, person=PERSON, country="DE")
    api = Api()
    api.log_in()
    Candle.objects.bulk_create(
        Candle(
            symbol=eurusd, interval="1m", opened_at=at(f"2026-01-15T10:0{minute}:00"),
            open=Decimal("1.10010"), high=Decimal("1.10020"), low=Decimal("1.10000"),
            close=Decimal("1.10015"), ticks=minute,
        )
        for minute in range(5)
    )  # fmt: skip

    def ask(query: str):
        return api.http.get(f"/api/candles?{query}", headers={"Authorization": f"Bearer {api.access}"})

    return ask


def test_candles_come_newest_first_with_exact_prices(get):
    answer = get("symbol=EURUSD&interval=1m&from=2026-01-15T10:03:00Z").json()

    assert answer["next"] is None
    assert [row["time"] for row in answer["results"]] == ["2026-01-15T10:04:00Z", "2026-01-15T10:03:00Z"]
    assert answer["results"][0] == {
        "time": "2026-01-15T10:04:00Z",
        "open": "1.10010",
        "high": "1.10020",
        "low": "1.10000",
        "close": "1.10015",
        "ticks": 4,
    }


def test_pages_follow_each_other_without_gap_or_repeat(get):
    query, ticks = "symbol=EURUSD&interval=1m&limit=2", []
    while query:
        answer = get(query).json()
        ticks += [row["ticks"] for row in answer["results"]]
        query = urlsplit(answer["next"]).query if answer["next"] else ""

    assert ticks == [4, 3, 2, 1, 0]


def test_to_is_excluded_and_an_instant_may_have_an_offset(get):
    answer = get("symbol=EURUSD&interval=1m&from=2026-01-15T11:01:00%2B01:00&to=2026-01-15T10:03:00")

    assert [row["ticks"] for row in answer.json()["results"]] == [2, 1]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("interval=1m", 400, "invalid"),
        ("symbol=EURUSD", 400, "invalid"),
        ("symbol=EURUSD&interval=7m", 400, "invalid"),
        ("symbol=EURUSD&interval=1m&from=yesterday", 400, "invalid"),
        ("symbol=EURUSD&interval=1m&to=99999-01-01", 400, "invalid"),
        ("symbol=NOSUCH&interval=1m", 404, "symbol_not_found"),
        ("symbol=%00&interval=1m", 400, "out_of_range"),
    ],
)
def test_wrong_question_gets_a_problem(get, query, status, code):
    answer = get(query)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_candles_are_for_those_who_logged_in(client, db):
    assert client.get("/api/candles?symbol=EURUSD&interval=1m").status_code == 401
