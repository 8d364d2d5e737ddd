"""
No list tells a column that it does not offer as a filter: every path from every table, three relations deep,
by every way to compare that finds a text bit by bit.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.urls import reverse

from apps.accounts.models import User
from rtx.kernel.admin import LINKED
from tests.factories.house import PASSWORD, House, make_house, staff
from tests.factories.staff import signed_in

DEPTH = 3
GUESSES = ("", "__exact", "__startswith", "__istartswith", "__contains", "__regex", "__gt", "__gte", "__in")
SECRET = ("password", "_sealed", "_hash", "hash", "secret", "data_key", "session_key", "fingerprint")


def columns(model: type[Model], depth: int = DEPTH) -> Iterator[str]:
    """Yield the paths of all columns that can be reached from a table, relations of both directions."""
    for field in model._meta.get_fields():
        related = getattr(field, "related_model", None)
        if not field.is_relation:
            yield field.name
        elif depth and isinstance(related, type):
            path = field.name
            yield from (f"{path}__{rest}" for rest in columns(related, depth - 1))


def offered(page: Any) -> set[str]:
    entries = [entry[0] if isinstance(entry, list | tuple) else entry for entry in page.list_filter]
    names = {entry for entry in entries if isinstance(entry, str)}
    return names | {f"{name}__{key}" for name in names for key in ("id", "pk")} | set(LINKED)


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_a_list_is_filtered_by_what_it_offers_alone(model: type[Model]) -> None:
    page = admin.site._registry[model]
    allowed = offered(page) | {page.date_hierarchy}
    told = {
        path + guess
        for path in set(columns(model, 1)) | {path for path in columns(model) if path.endswith(SECRET)}
        if path not in allowed
        for guess in GUESSES
        if path + guess not in LINKED and page.lookup_allowed(path + guess, "x")
    }

    assert told == set()


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_no_list_offers_a_secret_as_a_filter(model: type[Model]) -> None:
    assert [name for name in offered(admin.site._registry[model]) if name.endswith(SECRET)] == []


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("accounts_user", "password__startswith"),
        ("accounts_user", "email__startswith"),
        ("accounts_client", "email_hash__startswith"),
        ("accounts_client", "user__password__startswith"),
        ("accounts_tradingaccount", "client__user__password__startswith"),
        ("accounts_refreshtoken", "jti__startswith"),
        ("accounts_staffsession", "session_key__startswith"),
        ("trading_order", "account__client__email_hash__startswith"),
        ("audit_staffaction", "reason__startswith"),
    ],
)
def test_a_guess_is_refused(page: str, query: str, house: House) -> None:
    boss = signed_in(User.objects.create_superuser("boss@example.com", PASSWORD))
    auditor = signed_in(staff("auditor@example.com", role="auditor", groups=(house.usd,)))

    for http in (boss, auditor):
        answer = http.get(reverse(f"admin:{page}_changelist"), {query: "a"})
        assert answer.status_code in {400, 302}
        assert answer.status_code == 400 or "e=1" in answer["Location"]
