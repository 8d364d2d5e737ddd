"""Giving RTX access to a CRM, and taking it away: state, PKCE, single use, clear failures."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connections as databases
from django.db import transaction

from apps.audit.models import StaffAction
from apps.crm.adapters.provider import Forbidden
from apps.crm.models import Connection, Exchange, Link, OAuthState, OAuthToken
from apps.crm.services import connections, faults, oauth
from apps.crm.services.oauth import OAuthFailed
from apps.risk.models import RiskAlarm
from apps.risk.services import alarms
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import Conflict, NotFound
from tests.factories.house import make_house, staff
from tests.fakes.server import Fault
from tests.fakes.toy import Toy
from tests.integration.crm.toys import call

pytestmark = pytest.mark.django_db
BACK = "https://rtx.example/api/admin/crm/oauth/callback"


@pytest.fixture
def draft(toy, make_connection) -> Connection:
    return make_connection()


def begin(row, actor) -> dict[str, str]:
    begun = oauth.start(connection_id=row.pk, actor=actor, redirect_uri=BACK)
    return {name: value for name, (value,) in parse_qs(urlsplit(begun.url).query).items()}


def agree(toy, asked) -> dict[str, str]:
    """The person agrees at the provider; return what it appends to the callback's address."""
    answer = parse_qs(urlsplit(toy.grants.agree(asked)).query)
    return {"code": answer["code"][0], "state": answer["state"][0], "error": ""}


def refused(actor, **given) -> str:
    with pytest.raises(OAuthFailed) as failed:
        oauth.finish(actor=actor, **{"state": "", "code": "", "error": "", **given})
    assert failed.value.detail
    return failed.value.code


def test_the_address_asks_for_a_code_with_pkce_and_state(draft, actor):
    asked = begin(draft, actor)

    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == BACK
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) >= 43
    assert "client_secret" not in asked


def test_only_the_hash_of_the_state_is_kept_and_the_verifier_is_sealed(draft, actor):
    asked = begin(draft, actor)

    held = OAuthState.objects.get()
    assert held.state_hash == hashlib.sha256(asked["state"].encode()).hexdigest()
    assert held.verifier.encode() not in bytes(held.verifier_sealed)
    assert timedelta(minutes=9) < held.expires_at - clock.now() <= timedelta(minutes=10)


def test_an_agreed_authorization_connects(draft, actor, toy, boss):
    row = oauth.finish(actor=actor, **agree(toy, begin(draft, actor)))

    held = OAuthToken.objects.get()
    assert (row.status, row.external_id) == ("active", "acme")
    assert toy.grants.is_good(held.access_token)
    assert held.refresh_token in toy.grants.refresh_tokens
    assert held.granted_by == boss
    assert list(StaffAction.objects.order_by("id").values_list("operation", "outcome")) == [
        ("crm.begin_connect", "requested"),
        ("crm.connect", "done"),
    ]
    assert list(Exchange.objects.order_by("id").values_list("operation", flat=True)) == [
        "authenticate",
        "health",
    ]


def test_tokens_are_sealed_and_bound_to_their_row(draft, actor, toy):
    oauth.finish(actor=actor, **agree(toy, begin(draft, actor)))

    held = OAuthToken.objects.get()
    for sealed, clear in (
        (bytes(held.access_token_sealed), held.access_token),
        (bytes(held.refresh_token_sealed), held.refresh_token),
    ):
        assert clear.encode() not in sealed
    held.access_token_sealed = held.refresh_token_sealed
    with pytest.raises(Exception, match="belongs to another place"):
        _ = held.access_token


def test_a_state_is_good_once(draft, actor, toy):
    given = agree(toy, begin(draft, actor))
    oauth.finish(actor=actor, **given)

    assert refused(actor, **given) == "oauth_state"


def test_a_state_is_used_up_even_when_the_code_is_refused(draft, actor, toy):
    given = agree(toy, begin(draft, actor))

    assert refused(actor, **{**given, "code": "wrong"}) == "oauth_code"
    assert refused(actor, **given) == "oauth_state"
    assert not OAuthToken.objects.exists()


def test_a_state_of_somebody_else_is_refused(draft, actor, toy):
    given = agree(toy, begin(draft, actor))
    other = Actor(kind=ActorKind.STAFF, name=f"user:{staff('other@example.com').pk}")

    assert refused(other, **given) == "oauth_state"
    assert oauth.finish(actor=actor, **given).status == "active"  # its own person is not shut out by that


def test_a_state_is_good_for_ten_minutes(draft, actor, toy):
    given = agree(toy, begin(draft, actor))
    OAuthState.objects.update(expires_at=clock.now())

    assert refused(actor, **given) == "oauth_state"


@pytest.mark.parametrize("state", ["", "unknown", "é" * 50])
def test_an_unknown_state_is_refused(state, draft, actor):
    assert refused(actor, state=state, code="x") == "oauth_state"


def test_a_person_who_declines_is_told_so(draft, actor):
    asked = begin(draft, actor)

    assert refused(actor, state=asked["state"], error="access_denied") == "oauth_access_denied"
    assert StaffAction.objects.order_by("-id")[0].outcome == "refused"


def test_an_error_word_of_the_provider_cannot_smuggle_text(draft, actor):
    asked = begin(draft, actor)

    assert refused(actor, state=asked["state"], error="<script>alert(1)</script>") == "oauth_code"


def test_a_wrong_client_secret_is_told_so(draft, actor, toy):
    draft.client_secret = "another"
    draft.save()

    assert refused(actor, **agree(toy, begin(draft, actor))) == "oauth_invalid_client"


def test_another_verifier_does_not_open(draft, actor, toy):
    given = agree(toy, begin(draft, actor))
    held = OAuthState.objects.get()
    held.verifier = "other"
    held.save()

    assert refused(actor, **given) == "oauth_code"


def test_a_provider_that_does_not_answer_is_told_so(draft, actor, toy):
    given = agree(toy, begin(draft, actor))
    toy.fail(Fault(status=503), path="/token")

    assert refused(actor, **given) == "provider_unavailable"


def test_without_a_client_secret_nothing_begins(draft, actor):
    Connection.objects.update(client_secret_sealed=b"")

    with pytest.raises(Conflict) as conflict:
        begin(draft, actor)
    assert conflict.value.code == "connection_incomplete"


def test_a_removed_connection_is_not_there(draft, actor):
    Connection.objects.update(status="removed")

    with pytest.raises(NotFound):
        begin(draft, actor)


def test_another_account_than_the_linked_one_is_refused_and_given_back(draft, actor, toy):
    house = make_house()
    now = clock.now()
    Connection.objects.update(external_id="former")
    Link.objects.create(
        connection=draft,
        provider="hubspot",
        client=house.anna.client,
        crm_id="1",
        wanted_at=now,
        changed_at=now,
        due_at=now,
    )

    assert refused(actor, **agree(toy, begin(draft, actor))) == "oauth_other_account"
    assert not OAuthToken.objects.exists()
    assert toy.grants.refresh_tokens == {}
    assert Connection.objects.get().status == "draft"


@pytest.fixture
def linked(connected) -> Connection:
    """A connection that works, with a customer linked."""
    now = clock.now()
    Connection.objects.update(external_id="acme", last_ok_at=now)
    client = make_house().anna.client
    Link.objects.create(
        connection=connected,
        provider="hubspot",
        client=client,
        crm_id="1",
        wanted_at=now,
        changed_at=now,
        due_at=now,
    )
    return connected


def test_another_account_leaves_the_former_access_as_it_was(linked, actor, toy):
    before = OAuthToken.objects.values().get()
    asked = begin(linked, actor)
    toy.account = "other"

    assert refused(actor, **agree(toy, asked)) == "oauth_other_account"

    held = OAuthToken.objects.get()
    assert OAuthToken.objects.values().get() == before
    assert list(toy.grants.refresh_tokens) == [held.refresh_token]  # the new grant was given back
    assert toy.grants.is_good(held.access_token)
    row = Connection.objects.get()
    assert (row.status, row.external_id) == ("active", "acme")


@pytest.mark.parametrize(
    ("status", "code"), [(503, "provider_unavailable"), (401, "not_authorized"), (403, "missing_scopes")]
)
def test_whose_account_it_is_not_known_is_not_connected(status, code, linked, actor, toy):
    before = OAuthToken.objects.values().get()
    asked = begin(linked, actor)
    toy.fail(Fault(status=status), path="/names", times=9)

    assert refused(actor, **agree(toy, asked)) == code

    assert OAuthToken.objects.values().get() == before
    assert Connection.objects.get().status == "active"
    assert (len(toy.grants.refresh_tokens), toy.grants.refreshed) == (1, 0)


def test_a_draft_whose_account_cannot_be_asked_stays_one(draft, actor, toy):
    asked = begin(draft, actor)
    toy.fail(Fault(status=503), path="/names")

    assert refused(actor, **agree(toy, asked)) == "provider_unavailable"

    assert not OAuthToken.objects.exists()
    assert Connection.objects.get().status == "draft"
    assert toy.grants.refresh_tokens == {}


def test_the_account_is_asked_with_the_new_token_alone(linked, actor, toy):
    given = agree(toy, begin(linked, actor))
    former = OAuthToken.objects.get().access_token

    oauth.finish(actor=actor, **given)

    held = OAuthToken.objects.get()
    assert toy.seen == [held.access_token] != [former]
    assert held.generation == 2


def test_another_account_of_a_connection_without_customers_is_read_from_its_beginning(connected, actor, toy):
    Connection.objects.update(external_id="former", pull_cursor={"since": 7}, pulled_at=clock.now())

    row = oauth.finish(actor=actor, **agree(toy, begin(connected, actor)))

    assert (row.external_id, row.pull_cursor, row.pulled_at) == ("acme", {}, None)


def test_connecting_again_ends_a_fault(connected, actor, toy):
    error = Forbidden("no", code="missing_scopes").of("upsert", "contacts")
    faults.note(connection_id=connected.pk, error=error)

    row = oauth.finish(actor=actor, **agree(toy, begin(connected, actor)))

    assert (row.fault_code, row.open_until) == ("", None)
    assert RiskAlarm.objects.get().cleared_at is not None


def test_connecting_again_clears_the_alarm_and_the_breaker(draft, actor, toy):
    alarms.raise_alarm(kind="crm_access", severity="critical", subject="hubspot", message="x")
    Connection.objects.update(status="revoked", failures=7, last_error_code="access_revoked")

    row = oauth.finish(actor=actor, **agree(toy, begin(draft, actor)))

    assert (row.status, row.failures, row.last_error_code) == ("active", 0, "")
    assert RiskAlarm.objects.get().cleared_at is not None


def test_disconnecting_gives_the_grant_back(connected, actor, toy):
    row = connections.disconnect(connection_id=connected.pk, actor=actor)

    assert row.status == "draft"
    assert not OAuthToken.objects.exists()
    assert toy.grants.refresh_tokens == {}
    assert Exchange.objects.get().operation == "revoke"


def test_disconnecting_forgets_the_tokens_even_when_the_provider_is_down(connected, actor, toy):
    toy.fail(Fault(status=500), path="/revoke")

    connections.disconnect(connection_id=connected.pk, actor=actor)

    assert not OAuthToken.objects.exists()
    assert Exchange.objects.get().error_code == "provider_unavailable"


def test_a_token_that_is_being_changed_is_given_back_as_it_will_be(connected, actor, toy, monkeypatch):
    """A refresh is on its way, and rotates the refresh token, while staff disconnect."""
    OAuthToken.objects.update(expires_at=clock.now())
    asked, refresh = threading.Event(), Toy.refresh
    given: list[str] = []
    monkeypatch.setattr(oauth, "_revoke", lambda row, token: given.append(token))

    def slowly(self, token):
        asked.set()
        with databases["default"].cursor() as cursor:
            waits = None
            while waits is None:  # staff wait for the token by now
                cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
                waits = cursor.fetchone()
        return refresh(self, token)

    monkeypatch.setattr(Toy, "refresh", slowly)

    def work():
        try:
            return call(connected)
        finally:
            databases.close_all()

    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(work)
        assert asked.wait(10)
        connections.disconnect(connection_id=connected.pk, actor=actor)
        called.exception(10)

    assert given == list(toy.grants.refresh_tokens)
    assert not OAuthToken.objects.exists()


def test_a_grant_is_given_back_only_once_the_change_is_committed(connected, actor, toy):
    with transaction.atomic():
        connections.disconnect(connection_id=connected.pk, actor=actor)
        assert len(toy.grants.refresh_tokens) == 1
        transaction.set_rollback(True)

    assert OAuthToken.objects.exists()
    assert len(toy.grants.refresh_tokens) == 1


def test_old_authorizations_are_purged(draft, actor):
    begin(draft, actor)
    begin(draft, actor)
    first = OAuthState.objects.order_by("id")[0]
    OAuthState.objects.filter(pk=first.pk).update(expires_at=clock.now() - timedelta(days=2))

    assert oauth.purge_states() == 1
    assert OAuthState.objects.count() == 1
