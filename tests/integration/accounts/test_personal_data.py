"""Personal data is unreadable in the database and in the change log, and can still be found."""

import json
from datetime import date
from io import StringIO
from typing import Any

import psycopg
import pytest
from auditlog.models import LogEntry
from django.core.management import call_command
from django.db import connection

from apps.accounts.models import Client, User
from apps.accounts.services import clients
from rtx.kernel import encryption
from rtx.kernel.errors import Conflict
from tests.integration.accounts.conftest import PASSWORD, PERSON

pytestmark = pytest.mark.django_db
SECRETS = ["wilhelmina", "featherstone", "5550123", "sample lane", "x9981234"]


def dump(*tables: str) -> str:
    """Return all rows of tables as text, bytes also as characters."""
    found = []
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT * FROM {table}")
            for row in cursor.fetchall():
                found += [
                    bytes(v).decode("latin-1") if isinstance(v, bytes | memoryview) else str(v) for v in row
                ]
    return "\n".join(found).lower()


def test_a_client_reads_back_in_clear(trader: Client) -> None:
    client = Client.objects.get()

    assert (client.first_name, client.last_name, client.full_name) == (
        "Wilhelmina",
        "Featherstone",
        "Wilhelmina Featherstone",
    )
    assert (client.email, client.phone) == ("mina@example.com", "+49 170 5550123")
    assert client.document_number == "X9981234"
    assert client.birth_date is None
    client.birth_date = date(1990, 2, 28)
    client.save()
    assert Client.objects.get().birth_date == date(1990, 2, 28)


def test_no_row_holds_personal_data_in_clear(trader: Client) -> None:
    text = dump("accounts_client", "auditlog_logentry")

    assert [secret for secret in [*SECRETS, "mina@example.com"] if secret in text] == []


def test_the_change_log_says_that_a_name_changed_but_not_how(trader: Client) -> None:
    trader.last_name = "Sommerfeld"
    trader.country = "AT"
    trader.save()

    entry = LogEntry.objects.get_for_object(trader).first()
    assert entry is not None
    assert entry.changes["last_name_hash"] == ["****", "****"]
    assert entry.changes["country"] == ["DE", "AT"]
    assert not {name for name in entry.changes if name.endswith("_sealed") or name == "data_key"}


def test_the_change_log_masks_a_users_address_and_leaves_the_password_out(trader: Client) -> None:
    user = User.objects.get()
    user.email = "other@example.com"
    user.set_password("something new 55")
    user.save()

    entry = LogEntry.objects.get_for_object(user).first()
    assert entry is not None
    assert entry.changes == {"email": ["****", "****"]}
    assert "example" not in json.dumps([entry.object_repr, entry.changes])


@pytest.mark.parametrize(
    ("column", "kind", "term"),
    [
        ("email_hash", "email", "MINA@example.com"),
        ("phone_hash", "phone", "0049 170-5550123"[2:]),
        ("last_name_hash", "last_name", "  FEATHERSTONE "),
        ("full_name_hash", "full_name", "wilhelmina  featherstone"),
        ("document_number_hash", "document_number", "x9981234"),
    ],
)
def test_a_client_is_found_by_keyed_hash(trader: Client, column: str, kind: str, term: str) -> None:
    assert Client.objects.filter(**{column: encryption.search_hash(kind, term)}).get() == trader


def test_each_client_has_a_key_of_its_own(trader: Client) -> None:
    other = clients.register(email="b@example.com", password=PASSWORD, person=PERSON)
    swapped = Client.objects.get(pk=trader.pk)
    swapped.last_name_sealed = other.last_name_sealed

    with pytest.raises(encryption.DecryptionFailed):
        _ = swapped.last_name


def test_a_value_moved_to_another_column_does_not_open(trader: Client) -> None:
    trader.first_name_sealed = trader.last_name_sealed

    with pytest.raises(encryption.DecryptionFailed):
        _ = trader.first_name


def test_a_new_master_key_rewraps_without_touching_the_data(trader: Client, settings: Any) -> None:
    sealed, wrapped = bytes(trader.last_name_sealed), bytes(trader.data_key or b"")
    settings.ENCRYPTION_KEYS = ["new:" + "A" * 43 + "=", *settings.ENCRYPTION_KEYS]
    out = StringIO()

    call_command("rewrap_keys", stdout=out)

    assert out.getvalue() == "1 of 1 data keys were wrapped anew.\n"
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    client = Client.objects.get()
    assert client.last_name == "Featherstone"
    assert bytes(client.last_name_sealed) == sealed
    assert bytes(client.data_key or b"") != wrapped


def test_rewrapping_again_changes_nothing(trader: Client) -> None:
    assert clients.rewrap_keys(progress=lambda _: None) == 0
    assert bytes(Client.objects.get().data_key or b"") == bytes(trader.data_key or b"")


def test_erasing_leaves_nothing_readable_and_nothing_to_search(trader: Client) -> None:
    clients.erase(client_id=trader.pk)

    client = Client.objects.get()
    assert client.is_erased
    assert (client.full_name, client.email, client.phone) == ("", "", "")
    assert client.last_name_hash == ""
    assert User.objects.get().is_active is False
    assert "mina" not in dump("accounts_client", "accounts_user", "auditlog_logentry")
    with pytest.raises(ValueError, match="erased"):
        client.last_name = "Again"


def test_an_address_is_registered_once_whatever_its_case(trader: Client) -> None:
    with pytest.raises(Conflict):
        clients.register(email="MINA@example.com", password=None, person=PERSON)
    assert Client.objects.count() == 1


def test_the_database_refuses_an_address_in_capitals(trader: Client, owner: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute("UPDATE accounts_user SET email = 'Mina@Example.com'")
