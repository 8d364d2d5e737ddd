"""Who calls the admin interface of risk in tests, and how."""

import json
from typing import Any

import pytest

from apps.accounts.models import User
from apps.accounts.selectors import tokens as token_states
from apps.risk.selectors import snapshot
from apps.risk.selectors.kept import kept
from rtx.kernel.rest import UserThrottle
from tests.factories.house import PASSWORD, House, make_house, staff
from tests.factories.rows import Trader
from tests.factories.staff import token_of

BASE = "/api/admin/risk/"


@pytest.fixture(autouse=True)
def fresh(db: None) -> None:
    """Forget what this process keeps about the broker of another test."""
    token_states.forget()
    kept.forget()
    snapshot.forget()
    UserThrottle._bucket._levels.clear()


@pytest.fixture
def house(db: None) -> House:
    """A broker with a USD and an EUR group, one account in each."""
    return make_house()


def caller(user: User) -> Trader:
    """Return a program with this user's token."""
    return Trader(token_of(user))


@pytest.fixture
def dealer(house: House) -> Trader:
    """A dealer who reaches the USD group only."""
    return caller(staff("dealer@example.com", groups=(house.usd,)))


@pytest.fixture
def boss(house: House) -> Trader:
    """A super administrator."""
    return caller(User.objects.create_superuser("boss@example.com", PASSWORD))


def get(http: Trader, path: str) -> Any:
    """Ask."""
    return http.call("GET", BASE + path)


def post(http: Trader, path: str, body: Any, **headers: str) -> Any:
    """Send a body as JSON."""
    return http.call("POST", BASE + path, json.dumps(body), **headers)
