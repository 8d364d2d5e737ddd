"""A trader with a login, and an API client that speaks JSON."""

from typing import Any

import pytest
from django.test import Client as HttpClient

from apps.accounts.api.auth import AddressThrottle
from apps.accounts.models import Client
from apps.accounts.selectors import tokens
from apps.accounts.services.clients import PersonalData, register

PASSWORD = "correct horse battery 17"
PERSON = PersonalData(
    first_name="Wilhelmina",
    last_name="Featherstone",
    phone="+49 170 5550123",
    address="Sample Lane 12, Springfield",
    document_number="X9981234",
)


class Api:
    """Calls the API as a program would, with one access token."""

    def __init__(self) -> None:
        self.http = HttpClient()
        self.access = ""

    def post(self, path: str, body: Any = None, *, raw: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.access}"} if self.access else {}
        if raw is None and body is None:
            raw = ""
        return self.http.post(
            path, data=body if raw is None else raw, content_type="application/json", headers=headers
        )

    def log_in(self, email: str = "mina@example.com", password: str = PASSWORD) -> Any:
        response = self.post("/api/auth/login", {"email": email, "password": password})
        if response.status_code == 200:
            self.access = response.json()["access"]
        return response


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> None:
    tokens.forget()
    AddressThrottle._bucket._levels.clear()


@pytest.fixture
def trader(db: None) -> Client:
    return register(email="Mina@Example.com", password=PASSWORD, person=PERSON, country="DE")


@pytest.fixture
def api() -> Api:
    return Api()
