"""Newest wins compares changes of what a CRM may change too: nothing else makes anybody's address newer."""

from collections.abc import Callable

import pytest

from apps.accounts.models import Client
from apps.accounts.services import clients
from apps.crm.domain.fields import CLIENT_FIELDS
from apps.crm.domain.mapping import Pair
from apps.crm.models import Conflict, Connection, FieldMapping, Link
from apps.crm.services import claims, field_mappings, outbox
from apps.crm.services.pulling import pull_named
from tests.factories.crm import STAFF, MemoryCrm, make_client, make_connection, settle
from tests.factories.rows import Holder, deposit, make_group, make_holder

pytestmark = pytest.mark.django_db
PULLABLE = {"first_name": "Bea", "last_name": "B", "phone": "+1", "address": "Here 1", "country": "FR"}


@pytest.fixture
def connection(db: None) -> Connection:
    """Return a connection whose mapping has money in it, so that trades are followed."""
    made = make_connection(account_object="deals")
    pairs = [
        Pair("email", "email"),
        Pair("phone", "phone", "newest"),
        Pair("balance", "balance", transform="number"),
    ]
    field_mappings.replace(connection_id=made.pk, kind="client", pairs=pairs, actor=STAFF)
    return made


@pytest.fixture
def holder(connection: Connection, crm: MemoryCrm) -> Holder:
    """Return an account whose client is in step with the CRM."""
    made = make_holder(group=make_group(), balance="100")
    clients.change(client_id=made.row.client_id, changes={"phone": "+4930111"})
    settle(connection, crm)
    return made


def named(connection: Connection, crm: MemoryCrm, crm_id: str) -> None:
    pull_named(connection, crm, object_name="contacts", crm_ids=[crm_id], cause="webhook")


def test_a_trade_after_the_crm_s_change_does_not_win_for_rtx(
    connection: Connection, crm: MemoryCrm, holder: Holder
) -> None:
    client = holder.row.client
    kept = crm.of(client)
    clients.change(client_id=client.pk, changes={"phone": "+4930222"})
    crm.put(kept.crm_id, phone="+33999")  # later than RTX's own change
    deposit(holder.id, "50")
    outbox.dispatch()

    named(connection, crm, kept.crm_id)
    settle(connection, crm)

    conflict = Conflict.objects.get()
    assert (conflict.rtx_field, conflict.winner) == ("phone", "crm")
    assert (Client.objects.get(pk=client.pk).phone, kept.fields["phone"]) == ("+33999", "+33999")
    assert kept.fields["balance"] == "150"


def test_the_client_s_own_later_change_wins_with_a_trade_in_between(
    connection: Connection, crm: MemoryCrm, holder: Holder
) -> None:
    client = holder.row.client
    kept = crm.of(client)
    crm.put(kept.crm_id, phone="+33999")
    deposit(holder.id, "50")
    clients.change(client_id=client.pk, changes={"phone": "+4930222"})
    outbox.dispatch()

    named(connection, crm, kept.crm_id)
    settle(connection, crm)

    assert Conflict.objects.get().winner == "rtx"
    assert (Client.objects.get(pk=client.pk).phone, kept.fields["phone"]) == ("+4930222", "+4930222")


def verify(client: Client) -> None:
    Client.objects.filter(pk=client.pk).update(kyc_status="pending")


def renew_key(client: Client) -> None:
    client.rewrap()
    client.save(update_fields=["data_key"])


def change_email(client: Client) -> None:
    clients.change(client_id=client.pk, changes={"email": "other@example.com"})


@pytest.mark.parametrize("change", [verify, renew_key, change_email])
@pytest.mark.parametrize("is_dispatched", [True, False])
def test_what_no_crm_may_change_makes_nothing_newer(
    is_dispatched: bool,
    change: Callable[[Client], None],
    connection: Connection,
    crm: MemoryCrm,
    holder: Holder,
) -> None:
    client = Client.objects.get(pk=holder.row.client_id)
    kept = crm.of(client)
    clients.change(client_id=client.pk, changes={"phone": "+4930222"})
    outbox.dispatch()
    before = Link.objects.get(kind="client")
    crm.put(kept.crm_id, phone="+33999")  # later than RTX's own change
    change(Client.objects.get(pk=client.pk))
    if is_dispatched:
        outbox.dispatch()
        after = Link.objects.get(kind="client")
        assert after.changed_at == before.changed_at
        assert (after.wanted, after.touched_at > before.touched_at) == (before.wanted + 1, True)

    named(connection, crm, kept.crm_id)
    settle(connection, crm)

    assert Conflict.objects.get().winner == "crm"
    assert (Client.objects.get(pk=client.pk).phone, kept.fields["phone"]) == ("+33999", "+33999")


def test_each_field_that_a_crm_may_change_makes_the_client_newer(
    connection: Connection, crm: MemoryCrm, holder: Holder
) -> None:
    assert {field.name for field in CLIENT_FIELDS if field.is_pullable} == set(PULLABLE)
    for name, value in PULLABLE.items():
        before = Link.objects.get(kind="client").changed_at
        clients.change(client_id=holder.row.client_id, changes={name: value})
        outbox.dispatch()
        assert Link.objects.get(kind="client").changed_at > before


def test_a_change_of_the_account_is_none_of_the_client(
    connection: Connection, crm: MemoryCrm, holder: Holder
) -> None:
    of_client, of_account = Link.objects.get(kind="client"), Link.objects.get(kind="account")
    type(holder.row).objects.filter(pk=holder.id).update(leverage=holder.row.leverage + 1)
    outbox.dispatch()

    client_now, account_now = Link.objects.get(kind="client"), Link.objects.get(kind="account")
    assert client_now.changed_at == of_client.changed_at
    assert account_now.changed_at > of_account.changed_at
    assert client_now.touched_at == account_now.touched_at == account_now.changed_at


def test_who_traded_last_is_sent_first(connection: Connection, crm: MemoryCrm, holder: Holder) -> None:
    for number in range(3):
        make_client(number)
    outbox.dispatch()
    deposit(holder.id, "50")
    outbox.dispatch()

    waiting = Link.objects.filter(kind=FieldMapping.Kind.CLIENT, is_waiting=True)
    assert claims.claim(waiting, limit=1)[0].client == holder.row.client
