"""Staff who have not signed in yet, and what is kept between tests forgotten."""

import pytest

from apps.accounts.models import User
from apps.accounts.selectors import tokens
from tests.factories.house import House, make_house, staff
from tests.factories.staff import with_app


@pytest.fixture(autouse=True)
def _forget(db: None) -> None:
    tokens.forget()


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def dealer(house: House) -> User:
    return with_app(staff("dealer@example.com", groups=(house.usd,)))


@pytest.fixture
def boss(db: None) -> User:
    return with_app(User.objects.create_superuser("boss@example.com", "correct horse battery 17"))
