"""Making, changing, testing and removing connections; new master keys."""

import base64
import os
from io import StringIO

import pytest
from django.core.management import call_command

from apps.audit.models import StaffAction
from apps.crm.models import Connection, FieldMapping, OAuthToken, WebhookDelivery
from apps.crm.services import calling, connections
from rtx.kernel import clock
from rtx.kernel.errors import Conflict, Invalid
from tests.factories.crm import make_client
from tests.fakes.server import Fault
from tests.integration.crm.toys import CLIENT_SECRET, link

pytestmark = pytest.mark.django_db
VALUES = {
    "provider": "hubspot",
    "client_id": "id",
    "client_secret": "very-secret",
    "webhook_secret": "hook-secret-0123456789",
}


@pytest.fixture(autouse=True)
def no_default_mappings(monkeypatch):
    monkeypatch.setattr("apps.crm.services.field_mappings.install_defaults", lambda connection: None)


def found(diagnosis) -> dict[str, tuple[str, str]]:
    return {one.step: (one.outcome, one.code) for one in diagnosis.findings}


def test_a_new_connection_has_sealed_secrets_and_a_log_entry_without_them(actor, db):
    row = connections.create(values=VALUES, actor=actor)

    row.refresh_from_db()
    assert (row.status, row.client_secret, row.webhook_secret) == (
        "draft",
        "very-secret",
        VALUES["webhook_secret"],
    )
    assert b"very-secret" not in bytes(row.client_secret_sealed)
    entry = StaffAction.objects.get()
    assert entry.operation == "crm.create_connection"
    assert "secret" not in str(entry.after)


def test_one_connection_per_provider(actor, db):
    connections.create(values=VALUES, actor=actor)

    with pytest.raises(Conflict) as conflict:
        connections.create(values=VALUES, actor=actor)
    assert conflict.value.code == "connection_exists"


def test_a_removed_connection_makes_room_for_a_new_one(actor, db):
    row = connections.create(values=VALUES, actor=actor)
    connections.remove(connection_id=row.pk, actor=actor)

    assert connections.create(values=VALUES, actor=actor).pk != row.pk


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"provider": "pipedrive"}, "provider"),
        ({"calls_max": 0}, "calls_max"),
        ({"calls_max": 2001}, "calls_max"),
        ({"window_s": 0}, "window_s"),
        ({"client_id": ""}, "client_id"),
        ({"provider": "zoho", "region": "mars"}, "region"),
        ({"provider": "zoho", "region": "eu", "webhook_secret": "x" * 51}, "webhook_secret"),
        ({"pull_every_s": 5}, "pull_every_s"),
        ({"webhook_secret": "fifteen-letters"}, "webhook_secret"),
        ({"webhook_secret": "sixteen/letters!"}, "webhook_secret"),
        ({"webhook_secret": "with a space in it"}, "webhook_secret"),
    ],
)
def test_a_value_that_does_not_fit_is_named(values, field, actor, db):
    with pytest.raises(Invalid) as invalid:
        connections.create(values={**VALUES, **values}, actor=actor)

    assert field in invalid.value.errors
    assert not Connection.objects.exists()


def test_zoho_gets_a_channel_token_that_nobody_has_to_copy(actor, db):
    row = connections.create(
        values={"provider": "zoho", "region": "eu", "client_id": "id", "client_secret": "s"}, actor=actor
    )

    assert 20 < len(row.webhook_secret) <= 50


def test_a_secret_stays_unless_a_new_one_is_given(actor, db):
    row = connections.create(values=VALUES, actor=actor)

    connections.change(connection_id=row.pk, values={"name": "Sales", "client_secret": ""}, actor=actor)
    row.refresh_from_db()
    assert (row.name, row.client_secret) == ("Sales", "very-secret")

    connections.change(connection_id=row.pk, values={"client_secret": "newer-secret"}, actor=actor)
    row.refresh_from_db()
    assert row.client_secret == "newer-secret"
    entries = list(StaffAction.objects.order_by("id").values_list("after", flat=True))
    assert entries[1:] == [{"name": "Sales"}, {"client_secret": "replaced"}]


def test_an_object_stays_while_its_records_are_linked(actor, db):
    row = connections.create(values=VALUES, actor=actor)
    kept = link(row, make_client(), crm_id="501")

    with pytest.raises(Conflict) as refused:
        connections.change(connection_id=row.pk, values={"customer_object": "companies"}, actor=actor)

    assert refused.value.code == "connection_linked"
    kept.delete()
    connections.change(connection_id=row.pk, values={"customer_object": "companies"}, actor=actor)
    assert Connection.objects.get().customer_object == "companies"


def test_pausing_and_resuming(connected, actor):
    assert connections.pause(connection_id=connected.pk, actor=actor).status == "paused"
    with pytest.raises(Conflict):
        connections.pause(connection_id=connected.pk, actor=actor)
    assert connections.resume(connection_id=connected.pk, actor=actor).status == "active"
    with pytest.raises(Conflict):
        connections.resume(connection_id=connected.pk, actor=actor)


def test_a_removed_connection_keeps_no_secret(connected, actor, toy):
    row = connections.remove(connection_id=connected.pk, actor=actor)

    assert (row.status, row.client_secret, row.webhook_secret) == ("removed", "", "")
    assert not OAuthToken.objects.exists()
    assert toy.grants.refresh_tokens == {}


def test_a_connection_that_works_is_told_so(connected, actor, toy):
    diagnosis = connections.test(connection_id=connected.pk, actor=actor)

    assert diagnosis.is_ok
    assert found(diagnosis) == {
        "settings": ("ok", ""),
        "access": ("ok", ""),
        "account": ("ok", ""),
        "object": ("ok", ""),
        "limits": ("ok", ""),
        "webhook": ("ok", ""),
    }
    assert Connection.objects.get().external_id == "acme"
    assert StaffAction.objects.get().detail == "ok"


def test_missing_settings_are_told_before_any_call(make_connection, toy, actor):
    row = make_connection()
    Connection.objects.update(client_secret_sealed=b"")

    diagnosis = connections.test(connection_id=row.pk, actor=actor)

    assert found(diagnosis) == {"settings": ("failed", "connection_incomplete")}
    assert diagnosis.findings[0].advice
    assert toy.calls == []


@pytest.mark.parametrize(("status", "code"), [("draft", "not_connected"), ("revoked", "access_revoked")])
def test_missing_access_is_told(status, code, make_connection, toy, actor):
    row = make_connection(status=status)

    diagnosis = connections.test(connection_id=row.pk, actor=actor)

    assert found(diagnosis)["access"] == ("failed", code)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(status=503), "provider_unavailable"),
        (Fault(kind="drop"), "provider_unavailable"),
        (Fault(kind="malformed"), "provider_malformed"),
        (Fault(status=429), "rate_limited"),
        (Fault(status=403), "missing_scopes"),
        (Fault(status=404), "call_refused"),
    ],
)
def test_a_provider_that_fails_is_told_with_advice(fault, code, connected, toy, actor):
    toy.fail(fault, path="/names", times=9)

    diagnosis = connections.test(connection_id=connected.pk, actor=actor)

    assert not diagnosis.is_ok
    assert found(diagnosis)["account"] == ("failed", code)
    assert diagnosis.findings[-1].advice
    assert toy.count("names") == 1  # somebody waits: nothing is repeated


def test_access_that_was_taken_back_is_told_and_shown(connected, toy, actor):
    toy.grants.revoke_all()

    diagnosis = connections.test(connection_id=connected.pk, actor=actor)

    assert found(diagnosis)["access"] == ("failed", "access_revoked")
    assert Connection.objects.get().status == "revoked"


def test_another_account_is_told(connected, toy, actor):
    Connection.objects.update(external_id="former")

    assert found(connections.test(connection_id=connected.pk, actor=actor))["account"] == (
        "failed",
        "oauth_other_account",
    )


def test_a_mapped_field_that_is_not_there_is_named(connected, toy, actor):
    FieldMapping.objects.create(connection=connected, rtx_field="number", crm_field="rtx_no")

    diagnosis = connections.test(connection_id=connected.pk, actor=actor)

    assert found(diagnosis)["fields"] == ("failed", "field_missing")
    assert any("rtx_no" in one.detail for one in diagnosis.findings)


def test_without_a_public_address_webhooks_are_a_warning(connected, toy, actor, settings):
    settings.PUBLIC_URL = ""

    diagnosis = connections.test(connection_id=connected.pk, actor=actor)

    assert diagnosis.is_ok
    assert found(diagnosis)["webhook"] == ("warning", "public_url_missing")


def key(name: str) -> str:
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


def test_one_command_seals_everything_by_a_new_master_key(connected, toy, settings):
    held = OAuthToken.objects.get()
    access, refresh = held.access_token, held.refresh_token
    delivery = WebhookDelivery(connection=connected, digest="d", received_at=clock.now(), due_at=clock.now())
    delivery.seal(b"body")
    delivery.save()
    old = list(settings.ENCRYPTION_KEYS)
    settings.ENCRYPTION_KEYS = [key("new"), *old]
    out = StringIO()

    call_command("rewrap_keys", stdout=out)
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]  # the old key is gone

    held.refresh_from_db()
    delivery.refresh_from_db()
    connected.refresh_from_db()
    assert (held.access_token, held.refresh_token) == (access, refresh)
    assert delivery.body() == b"body"
    assert connected.client_secret == CLIENT_SECRET
    assert "CRM" in out.getvalue()
    with calling.opened(connected) as provider:
        assert provider.health().account_name == "Acme"


def test_sealing_again_by_the_same_key_changes_nothing(connected, toy):
    before = bytes(OAuthToken.objects.get().access_token_sealed)

    call_command("rewrap_keys", stdout=StringIO())

    assert bytes(OAuthToken.objects.get().access_token_sealed) == before


def test_the_address_of_webhooks_has_no_slash_too_many(connected, actor, settings):
    settings.PUBLIC_URL = "https://rtx.example/"

    told = connections.test(connection_id=connected.pk, actor=actor).findings[-1]

    assert (told.step, told.detail) == ("webhook", "https://rtx.example/api/webhooks/crm/hubspot")
