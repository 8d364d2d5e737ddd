"""RTX's ids are written again where records lost them: without them nobody is found after a new setup."""

import pytest
from django.db.models import F

from apps.accounts.services import clients
from apps.crm.models import Connection, FieldMapping, Link
from apps.crm.services import calling, pulling, pushing
from tests.factories.crm import MemoryCrm, make_client, make_connection, run_through
from tests.factories.crm import settle as settle_memory
from tests.factories.rows import make_group, make_holder
from tests.fakes.fake import Fault
from tests.fakes.hubspot import HubSpotFake
from tests.integration.crm.test_sync_hubspot import contacts, settle

pytestmark = pytest.mark.django_db
ACCOUNTS = Link.objects.filter(kind="account")


def logins(fake: HubSpotFake) -> list[str]:
    """Return the logins that the portal's deals bear."""
    return sorted(one.properties.get("rtx_login", "") for one in fake.deals.records.values())


def change_accounts() -> None:
    """Let every account differ from what the CRM has."""
    ACCOUNTS.update(base_sealed=b"", wanted=F("wanted") + 1)


def lose_property(fake: HubSpotFake, object_name: str, name: str) -> None:
    """Let somebody delete RTX's property with all that it holds."""
    store = fake.store(object_name)
    del store.properties[name]
    for kept in store.records.values():
        kept.properties.pop(name, None)


def test_an_account_s_login_that_was_cleared_is_written_again_and_no_deal_is_doubled(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    login = make_holder(group=make_group()).login
    run_through(joined)
    hubspot.edit("deals", ACCOUNTS.get().crm_id, rtx_login="")
    change_accounts()

    settle(joined)

    assert logins(hubspot) == [str(login)]
    assert not ACCOUNTS.get().is_waiting
    Link.objects.all().delete()  # the connection is set up anew
    run_through(joined)
    assert logins(hubspot) == [str(login)]


@pytest.mark.parametrize(("follows_merged", "read"), [(True, 1), (False, 0)])
def test_an_update_of_an_account_brings_its_login_back(
    follows_merged: bool, read: int, crm: MemoryCrm
) -> None:
    crm.follows_merged = follows_merged
    connection = make_connection(account_object="deals")
    login = make_holder(group=make_group()).login
    settle_memory(connection, crm)
    (deal,) = crm.all("deals")
    deal.external_id = ""
    change_accounts()
    crm.calls.clear()

    assert pushing.push_due(connection, crm, kind="account").updated == 1

    assert (deal.external_id, crm.calls) == (str(login), ["get_many"] * read + ["upsert"])
    assert (ACCOUNTS.get().is_waiting, len(crm.all("deals"))) == (False, 1)


def test_a_webhook_of_a_deal_without_a_login_lets_it_be_written_again(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    login = make_holder(group=make_group()).login
    run_through(joined)
    crm_id = ACCOUNTS.get().crm_id
    hubspot.edit("deals", crm_id, rtx_login="")

    with calling.opened(joined) as provider:
        pulling.pull_named(joined, provider, object_name="deals", crm_ids=[crm_id], cause="webhook")
    assert ACCOUNTS.get().is_waiting
    settle(joined)

    assert (logins(hubspot), ACCOUNTS.get().is_waiting) == ([str(login)], False)


def test_a_full_run_finds_what_accounts_lost(joined: Connection, hubspot: HubSpotFake) -> None:
    group = make_group()
    known = [make_holder(group=group).login for _ in range(3)]
    run_through(joined)
    first, second, _ = ACCOUNTS.order_by("account__login")
    hubspot.edit("deals", first.crm_id, rtx_login="")
    hubspot.remove("deals", second.crm_id)

    run = run_through(joined)

    assert (run.status, run.updated, run.error_code) == ("done", 1, "")
    assert hubspot.deals.records[first.crm_id].properties["rtx_login"] == str(known[0])
    assert [one.status for one in ACCOUNTS.order_by("account__login")] == ["active", "gone", "active"]


def test_a_full_run_whose_look_at_accounts_is_refused_ends_all_the_same(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    make_holder(group=make_group())
    run_through(joined)
    refused = Fault(status=403, body={"category": "MISSING_SCOPES"})
    hubspot.fail(refused, path="/deals/batch/read", times=99)

    run = run_through(joined)

    joined.refresh_from_db()
    assert (run.status, run.done, run.unchanged, run.failed) == ("done", 2, 2, 0)
    assert (joined.fault_code, joined.fault_during) == ("missing_scopes", "get_many deals")
    assert (joined.open_until, joined.account_push_refusals) == (None, 0)


def test_a_login_of_another_account_is_not_overwritten(joined: Connection, hubspot: HubSpotFake) -> None:
    group = make_group()
    for _ in range(2):
        make_holder(group=group)
    run_through(joined)
    first, second = ACCOUNTS.order_by("account__login")
    hubspot.remove("deals", second.crm_id)
    hubspot.edit("deals", first.crm_id, rtx_login=str(second.account.login))
    ACCOUNTS.filter(pk=first.pk).update(base_sealed=b"", wanted=F("wanted") + 1)

    settle(joined)

    assert hubspot.deals.records[first.crm_id].properties["rtx_login"] == str(second.account.login)


def test_a_property_that_is_made_anew_gets_every_client_s_id(
    joined: Connection, hubspot: HubSpotFake
) -> None:
    FieldMapping.objects.filter(connection=joined).update(direction="push")  # nothing is read before it
    known = [make_client(1), make_client(2)]
    run_through(joined)
    lose_property(hubspot, "contacts", "rtx_client_id")
    clients.change(client_id=known[0].pk, changes={"phone": "+4930"})  # in the batch that finds it missing

    known.append(make_client(3))
    settle(joined)

    assert set(contacts(hubspot)) == {str(one.pk) for one in known}
    assert (hubspot.contacts.properties["rtx_client_id"].is_unique, len(hubspot.contacts.records)) == (
        True,
        3,
    )
    assert not Link.objects.filter(is_waiting=True).exists()
    assert not Link.objects.filter(in_step_at=None).exists()


def test_a_property_that_is_made_anew_gets_every_login(joined: Connection, hubspot: HubSpotFake) -> None:
    group = make_group()
    known = [make_holder(group=group).login]
    run_through(joined)
    lose_property(hubspot, "deals", "rtx_login")

    known.append(make_holder(group=group).login)
    settle(joined)

    assert logins(hubspot) == [str(one) for one in known]
    assert Link.objects.filter(kind="client", in_step_at=None).count() == 0
