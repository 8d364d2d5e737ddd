"""A browserless operator, a broker with rows, and the memory of the dashboard forgotten between tests."""

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.console.selectors import dashboard as selectors
from tests.factories.house import House, make_house
from tests.factories.staff import signed_in

__all__ = ["signed_in"]


@pytest.fixture(autouse=True)
def _forget() -> None:
    selectors.kept.forget()


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("operator@example.com", "correct horse battery 17")


@pytest.fixture
def admin_client(operator: User) -> Client:
    return signed_in(operator)
