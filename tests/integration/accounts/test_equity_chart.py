"""The equity chart of an account's page costs a replay of its journal: seldom, one at a time, and bounded."""

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.trading.admin import account_watch
from tests.factories.house import PASSWORD, House, buy, make_house
from tests.factories.staff import signed_in

Asked = list[int]


@pytest.fixture
def house(db: None) -> House:
    cache.clear()
    return make_house()


@pytest.fixture
def http(house: House) -> Client:
    return signed_in(User.objects.create_superuser("boss@example.com", PASSWORD))


@pytest.fixture
def url(house: House) -> str:
    return reverse("admin:accounts_tradingaccount_equity", args=[house.anna.pk])


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Count how often a journal is replayed."""
    told: Asked = []
    replay = account_watch.statement

    def counted(account: Any, **wanted: Any) -> Any:
        told.append(account.pk)
        return replay(account, **wanted)

    monkeypatch.setattr(account_watch, "statement", counted)
    return told


def test_new_deals_do_not_replay_the_journal_anew(
    house: House, http: Client, url: str, replays: Asked
) -> None:
    first = http.get(url).json()
    buy(house.anna, "EURUSD", "0.10")

    assert http.get(url).json() == first
    assert http.get(f"{url}?days=1").status_code == 200
    assert replays == [house.anna.pk, house.anna.pk]  # once for each period


def test_who_finds_another_chart_being_drawn_is_told(
    http: Client, url: str, replays: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_watch, "WAIT_MAX_S", 0.01)
    with account_watch._turn:
        answer = http.get(url)

    assert (answer.status_code, answer.json()["detail"]) == (503, account_watch.BUSY)
    assert replays == []
    assert http.get(url).status_code == 200


def test_a_journal_that_is_too_long_is_not_replayed(
    http: Client, url: str, replays: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_watch, "EVENTS_MAX", 0)

    assert http.get(url).json() == {"currency": "USD", "points": [], "note": account_watch.TOO_LONG}
    assert replays == []
