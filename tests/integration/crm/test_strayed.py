"""Updates that went to records nobody here is known by: read before anybody takes them."""

from collections.abc import Sequence

import pytest

from apps.accounts.models import Client
from apps.accounts.services import clients, erasing
from apps.crm.adapters.provider import Upsert, Written
from apps.crm.models import Connection, Link
from apps.crm.services import claims, mergers, outbox, pushing
from rtx.kernel import clock
from tests.factories.crm import STAFF, MemoryCrm, make_client, settle
from tests.factories.rows import make_group, make_holder

pytestmark = pytest.mark.django_db


@pytest.fixture
def strayed(connection: Connection, crm: MemoryCrm, monkeypatch) -> Client:
    """Return a client whose next update is answered by the id of another record: 777."""
    client = make_client(2)
    settle(connection, crm)
    clients.change(client_id=client.pk, changes={"email": "other@example.com"})
    while outbox.dispatch():
        pass

    def merged(object_name: str, wanted: Sequence[Upsert]) -> list[Written]:
        return [Written(one.external_id, "777") for one in wanted]

    monkeypatch.setattr(crm, "upsert", merged)
    return client


def test_a_record_of_which_nothing_is_told_is_taken_by_nobody(
    connection: Connection, crm: MemoryCrm, strayed: Client
) -> None:
    crm.untold.add("777")

    pushing.push_due(connection, crm)

    link = Link.objects.get()
    assert (link.crm_id == "777", link.status, link.attempts) == (False, "active", 1)
    assert (link.last_error_code, link.is_waiting) == ("record_unknown", True)


def test_a_record_that_was_deleted_meanwhile_is_gone(
    connection: Connection, crm: MemoryCrm, strayed: Client
) -> None:
    pushing.push_due(connection, crm)

    link = Link.objects.get()
    assert (link.crm_id == "777", link.status) == (False, "gone")


def test_a_record_of_a_client_who_was_not_known_there_yet_is_given_to_them(
    connection: Connection, crm: MemoryCrm, strayed: Client
) -> None:
    owner = make_client(1)  # nothing was dispatched: there is no link
    crm.put("777", external_id=str(owner.pk), email="other@example.com")

    pushing.push_due(connection, crm)

    told = set(Link.objects.values_list("client_id", "crm_id", "status", "is_waiting"))
    crm_id = Link.objects.get(client=strayed).crm_id
    assert told == {(owner.pk, "777", "active", True), (strayed.pk, crm_id, "gone", False)}


def test_a_record_of_an_erased_client_is_given_to_nobody_else_than_who_was_merged_into_it(
    connection: Connection, crm: MemoryCrm, strayed: Client
) -> None:
    erased = make_client(1)
    crm.put("777", external_id=str(erased.pk))
    erasing.erase(client_id=erased.pk, actor=STAFF)

    pushing.push_due(connection, crm)

    link = Link.objects.get(client=strayed)
    assert (link.crm_id, link.status, link.is_waiting, link.in_step_at) == ("777", "active", True, None)


def test_a_login_that_is_written_otherwise_is_nobody_s(connection: Connection) -> None:
    holder = make_holder(group=make_group())
    claims.add(connection, [(holder.row.client_id, holder.row.pk, clock.now())])
    login = str(holder.login)

    found = [mergers.bearers(connection, "account", [text]).count() for text in (login, f"0{login}", "x")]

    assert found == [1, 0, 0]
