"""What every call to a provider shares: token, limits, breaker, repeats, bounds, the log of calls."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connections as databases
from django.db import transaction

from apps.audit.models import StaffAction
from apps.crm.adapters.provider import AccessRevoked, CallRefused, ConnectionFault, Unavailable
from apps.crm.models import Connection, Exchange, OAuthToken, SyncRun
from apps.crm.services import calling, tokens
from apps.risk.models import RiskAlarm
from rtx.kernel import clock
from tests.fakes.server import Fault
from tests.fakes.toy import Toy
from tests.integration.crm.toys import call, give_access

pytestmark = pytest.mark.django_db


def names(connection, method="GET", operation="names", **options):
    with calling.opened(connection) as provider:
        return provider.session.call(method, "/names", operation=operation, **options)


def test_a_call_carries_the_token_and_is_logged_without_content(connected, toy):
    answer = names(connected, object_name="contacts", records=3)

    assert answer.body["names"] == ["a"]
    assert answer.headers["content-type"].startswith("application/json")
    row = Exchange.objects.get()
    assert (row.operation, row.object_name, row.records, row.status_code, row.error_code, row.is_write) == (
        "names",
        "contacts",
        3,
        200,
        "",
        False,
    )
    assert row.provider_request_id == "r-1x"  # nothing but plain characters
    assert Connection.objects.get().last_ok_at is not None


def test_calls_of_a_run_are_counted_and_marked(connected, toy):
    run = SyncRun.objects.create(connection=connected, kind="full", asked_by="x", created_at=clock.now())

    call(connected, run)
    call(connected, run)

    run.refresh_from_db()
    assert run.calls == 2
    assert Exchange.objects.filter(run=run).count() == 2


@pytest.mark.parametrize("status", ["draft", "paused", "revoked", "removed"])
def test_a_connection_that_is_not_active_is_not_called(status, connected, toy):
    Connection.objects.update(status=status)

    with pytest.raises(calling.NotConnected):
        call(connected)

    assert toy.calls == []


def test_a_paused_connection_may_be_tested(connected, toy):
    Connection.objects.update(status="paused")

    assert call(connected, is_test=True).account_name == "Acme"


def test_a_provider_is_not_called_inside_a_transaction(connected, toy):
    with calling.opened(connected) as provider, transaction.atomic(), pytest.raises(RuntimeError):
        provider.health()


@pytest.mark.parametrize("path", ["https://evil.example/x", "//evil.example/x", "x", ""])
def test_the_token_goes_to_the_provider_s_own_api_only(path, connected, toy):
    with calling.opened(connected) as provider, pytest.raises(CallRefused) as refused:
        provider.session.call("GET", path, operation="x")

    assert refused.value.code == "address_refused"
    assert toy.calls == []


def test_a_token_that_ends_soon_is_refreshed_before_the_call(connected, toy):
    OAuthToken.objects.update(expires_at=clock.now() + timedelta(seconds=59))

    call(connected)

    held = OAuthToken.objects.get()
    assert toy.grants.refreshed == 1
    assert held.generation == 2
    assert toy.seen == [held.access_token]
    assert held.expires_at > clock.now() + timedelta(minutes=55)


def test_a_rotated_refresh_token_is_stored_with_the_access_token(connected, toy):
    before = OAuthToken.objects.get().refresh_token
    OAuthToken.objects.update(expires_at=clock.now())

    call(connected)

    after = OAuthToken.objects.get().refresh_token
    assert after != before
    assert list(toy.grants.refresh_tokens) == [after]


def test_a_refused_token_is_refreshed_once_and_the_call_repeated(connected, toy):
    toy.grants.expire()

    assert call(connected).account_name == "Acme"

    assert toy.grants.refreshed == 1
    assert list(Exchange.objects.order_by("id").values_list("operation", "status_code")) == [
        ("health", 401),
        ("refresh", 200),
        ("health", 200),
    ]


def test_a_grant_that_is_gone_makes_the_connection_revoked_for_all_to_see(connected, toy):
    toy.grants.revoke_all()

    with pytest.raises(AccessRevoked):
        call(connected)

    row = Connection.objects.get()
    assert (row.status, row.last_error_code) == ("revoked", "access_revoked")
    assert not OAuthToken.objects.exists()
    assert RiskAlarm.objects.get().kind == "crm_access"
    assert StaffAction.objects.get().operation == "crm.access_revoked"


def test_a_fresh_token_that_is_refused_too_is_a_fault_and_takes_no_access_away(connected, toy):
    toy.fail(Fault(status=401), path="/names", times=2)

    with pytest.raises(ConnectionFault) as fault:
        call(connected)

    assert (fault.value.code, toy.count("names"), toy.grants.refreshed) == ("not_authorized", 2, 1)
    held = OAuthToken.objects.get()
    assert toy.grants.is_good(held.access_token)
    assert held.refresh_token in toy.grants.refresh_tokens
    assert Connection.objects.get().status == "active"
    assert not RiskAlarm.objects.filter(kind="crm_access").exists()


def test_a_probe_whose_token_ended_is_sent_again_with_a_fresh_one(connected, toy):
    Connection.objects.update(failures=5, open_until=clock.now() - timedelta(seconds=1))
    toy.grants.expire()

    assert call(connected).account_name == "Acme"

    row = Connection.objects.get()
    assert (row.failures, row.open_until, toy.grants.refreshed) == (0, None, 1)


def test_access_given_anew_meanwhile_is_not_taken_away_by_a_late_refusal(connected, toy):
    assert tokens.lost(connection_id=connected.pk, generation=99) is False

    assert Connection.objects.get().status == "active"
    assert OAuthToken.objects.exists()


def test_a_token_endpoint_that_fails_leaves_the_tokens_as_they_are(connected, toy):
    OAuthToken.objects.update(expires_at=clock.now())
    before = OAuthToken.objects.get().refresh_token
    toy.fail(Fault(status=503), path="/token", times=4)

    with pytest.raises(Unavailable):
        call(connected)

    assert OAuthToken.objects.get().refresh_token == before
    assert Connection.objects.get().status == "active"


def test_workers_that_race_for_a_new_token_refresh_it_once(connected, toy):
    OAuthToken.objects.update(expires_at=clock.now())
    together = threading.Barrier(6)

    def work(_place):
        try:
            with calling.opened(connected) as provider:
                together.wait(10)
                return provider.health().account_name
        finally:
            databases.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == ["Acme"] * 6

    assert toy.grants.refreshed == 1
    assert OAuthToken.objects.get().generation == 2
    assert len(set(toy.seen)) == 1


def test_workers_whose_token_was_refused_at_once_refresh_it_once(connected, toy):
    toy.grants.expire()
    together = threading.Barrier(4)

    def work(_place):
        try:
            with calling.opened(connected) as provider:
                together.wait(10)
                return provider.health().account_name
        finally:
            databases.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == ["Acme"] * 4

    assert toy.grants.refreshed == 1


def test_a_server_error_is_repeated(connected, toy):
    toy.fail(Fault(status=502), path="/names", times=2)

    assert call(connected).account_name == "Acme"
    assert toy.count("names") == 3


def test_what_stays_broken_ends_after_four_tries(connected, toy):
    toy.fail(Fault(status=502), path="/names", times=99)

    with pytest.raises(Unavailable):
        call(connected)

    assert toy.count("names") == 4


def test_a_refusal_is_not_repeated(connected, toy):
    toy.fail(Fault(status=400, body={"message": "secret content"}), path="/names", times=1)

    with pytest.raises(CallRefused) as refused:
        call(connected)

    assert toy.count("names") == 1
    assert "secret" not in str(refused.value)
    assert Exchange.objects.get().error_code == "call_refused"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("drop", "provider_unavailable"),
        ("malformed", "provider_malformed"),
        ("truncated", "provider_unavailable"),
    ],
)
def test_no_usable_answer_is_repeated_and_then_unavailable(kind, code, connected, toy):
    toy.fail(Fault(kind=kind, is_done=True), path="/names", times=99)

    with pytest.raises(Unavailable) as failed:
        call(connected)

    assert failed.value.code == code
    assert toy.count("names") == 4
    assert set(Exchange.objects.values_list("error_code", flat=True)) == {code}


def test_an_expected_status_is_an_answer(connected, toy):
    toy.fail(Fault(status=404, body={"message": "none"}), path="/names", times=1)

    assert names(connected, expected=(404,)).status == 404


def test_an_answer_that_is_too_large_is_refused(connected, toy, monkeypatch):
    monkeypatch.setattr(calling, "ANSWER_MAX", 10)

    with pytest.raises(CallRefused) as refused:
        call(connected)

    assert refused.value.code == "answer_too_large"


def test_an_answer_that_takes_too_long_in_all_is_given_up(connected, toy, monkeypatch):
    monkeypatch.setattr(calling, "ANSWER_S", -1.0)

    with pytest.raises(Unavailable) as failed:
        call(connected)

    assert failed.value.code == "provider_timeout"


def test_an_address_inside_the_house_is_not_called(connected, toy, settings):
    settings.CRM_HUBSPOT_URL = "https://169.254.169.254"

    with pytest.raises(ConnectionFault) as refused:
        call(connected)

    assert refused.value.code == "address_refused"
    assert Exchange.objects.get().error_code == "address_refused"


def test_no_secret_is_written_to_logs(connected, toy, caplog, capsys):
    held = OAuthToken.objects.get()
    toy.grants.expire()
    toy.fail(Fault(status=500), path="/token", times=1)
    caplog.set_level("DEBUG")

    call(connected)

    written = caplog.text + "".join(capsys.readouterr())
    fresh = OAuthToken.objects.get()
    for secret in (held.access_token, held.refresh_token, fresh.access_token, fresh.refresh_token):
        assert secret not in written
    assert held.access_token not in repr(tokens.Access(held.access_token, 1, ""))


def test_access_of_another_connection_is_untouched(connected, toy, make_connection):
    other = make_connection(provider="zoho", status="active", region="com", customer_object="Contacts")
    give_access(other, toy)
    toy.grants.expire()

    call(connected)

    assert OAuthToken.objects.get(connection=other).generation == 1


def test_an_api_that_moved_is_called_at_its_new_address(connected, toy, settings, monkeypatch):
    """The provider names another address with a refresh (Salesforce: the instance, Zoho: the API domain)."""
    address = settings.CRM_HUBSPOT_URL
    settings.CRM_HUBSPOT_URL = ""
    Connection.objects.update(api_url="https://former.example")
    OAuthToken.objects.update(expires_at=clock.now())
    refresh = Toy.refresh
    monkeypatch.setattr(Toy, "refresh", lambda self, token: replace(refresh(self, token), api_url=address))

    assert call(connected).account_name == "Acme"
    assert Connection.objects.get().api_url == address
