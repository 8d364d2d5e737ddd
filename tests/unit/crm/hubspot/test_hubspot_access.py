"""Access to HubSpot: agreeing with PKCE, refreshing, revoking; whose portal it is and what it lacks."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from apps.crm.adapters import oauth
from apps.crm.adapters.provider import (
    AccessRevoked,
    CallRefused,
    ConnectionFault,
    Forbidden,
    Unavailable,
    Upsert,
)
from tests.fakes.fake import Fault
from tests.unit.crm.hubspot.conftest import Portal, adapter

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
BACK = "https://broker.example/crm/callback"


def agreed(portal: Portal) -> str:
    """Walk through the page on which a person agrees; return the code."""
    url = portal.hubspot.authorize_url(state="st", challenge=oauth.challenge(VERIFIER), redirect_uri=BACK)
    assert httpx.get(url, trust_env=False).status_code == 200
    reply = httpx.post(url, data={"agreed": "1"}, trust_env=False)
    query = parse_qs(urlsplit(reply.headers["location"]).query)
    assert (reply.status_code, query["state"]) == (302, ["st"])
    return query["code"][0]


def test_the_person_is_asked_for_what_is_needed_with_pkce(portal: Portal) -> None:
    url = portal.hubspot.authorize_url(state="st", challenge="ch", redirect_uri=BACK)

    asked = parse_qs(urlsplit(url).query)
    assert urlsplit(url).path == "/oauth/authorize"
    assert asked["code_challenge"] == ["ch"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["scope"][0].split() == [
        "oauth",
        *("crm.objects.contacts.read", "crm.objects.contacts.write"),
        *("crm.schemas.contacts.read", "crm.schemas.contacts.write"),
        *("crm.objects.deals.read", "crm.objects.deals.write"),
        *("crm.schemas.deals.read", "crm.schemas.deals.write"),
    ]
    assert not any("deals" in one for one in adapter(portal.session, account_object="").scopes)


def test_a_code_gives_tokens_and_names_the_portal(portal: Portal) -> None:
    grant = portal.hubspot.authenticate(code=agreed(portal), verifier=VERIFIER, redirect_uri=BACK)

    assert portal.fake.grants.is_good(grant.access_token)
    assert (grant.expires_in_s, grant.external_id) == (1800, "62515")
    assert "crm.objects.contacts.write" in grant.scope.split()
    call = next(call for call in portal.fake.calls if call.name == "token")
    assert call.path == "/oauth/v3/token"


def test_an_answer_without_the_portal_is_introspected(portal: Portal) -> None:
    access, refresh = portal.fake.grants.give()
    body = {"access_token": access, "refresh_token": refresh, "expires_in": 1800}
    portal.fake.fail(Fault(status=200, body=body), path="/oauth/v3/token$")

    grant = portal.hubspot.authenticate(code="any", verifier=VERIFIER, redirect_uri=BACK)

    assert (grant.external_id, grant.refresh_token) == ("62515", refresh)
    assert portal.fake.count("introspect") == 1


def test_a_code_of_another_verifier_gives_nothing(portal: Portal) -> None:
    with pytest.raises(AccessRevoked):
        portal.hubspot.authenticate(code=agreed(portal), verifier="x" * 43, redirect_uri=BACK)


def test_refreshing_gives_a_new_access_token(portal: Portal) -> None:
    old, refresh = portal.fake.grants.give(client_id="app")

    grant = portal.hubspot.refresh(refresh)

    assert grant.access_token != old
    assert portal.fake.grants.is_good(grant.access_token)
    assert grant.refresh_token in ("", refresh)


def test_a_grant_that_was_taken_back_is_known_as_such(portal: Portal) -> None:
    _, refresh = portal.fake.grants.give(client_id="app")
    portal.hubspot.revoke(refresh)
    portal.hubspot.revoke(refresh)  # it is gone already

    with pytest.raises(AccessRevoked):
        portal.hubspot.refresh(refresh)


def test_a_wrong_client_secret_is_no_revocation(portal: Portal) -> None:
    _, refresh = portal.fake.grants.give(client_id="app")
    portal.fake.grants.clients["app"] = "another"

    with pytest.raises(ConnectionFault) as caught:
        portal.hubspot.refresh(refresh)

    assert caught.value.code == "oauth_invalid_client"


def test_a_token_endpoint_that_fails_may_be_asked_again(portal: Portal) -> None:
    portal.fake.fail(Fault(status=503), path="token")

    with pytest.raises(Unavailable):
        portal.hubspot.refresh("any")


def test_health_tells_the_portal_and_makes_what_is_missing(portal: Portal) -> None:
    del portal.fake.contacts.properties["rtx_client_id"]
    del portal.fake.deals.properties["rtx_login"]

    health = portal.hubspot.health()

    assert (health.external_id, health.account_name) == ("62515", "HubSpot portal 62515")
    assert (health.warnings, health.missing_scopes) == ((), ())
    assert portal.fake.contacts.properties["rtx_client_id"].is_unique
    assert portal.fake.deals.properties["rtx_login"].is_unique
    assert portal.session.made == ["contacts", "deals"]


def test_health_warns_clearly_of_what_it_cannot_make(portal: Portal) -> None:
    del portal.fake.contacts.properties["rtx_client_id"]
    portal.fake.deals.properties["rtx_login"].is_unique = False
    portal.fake.missing_scopes.add("crm.schemas.contacts.write")

    warnings = portal.hubspot.health().warnings

    assert warnings == (
        "Property rtx_client_id of contacts is missing and RTX could not make it: make it (single-line "
        "text, unique values), or allow the app crm.schemas scopes.",
        "Property rtx_login of deals is not unique. Delete it; RTX makes it anew.",
    )


def test_health_names_scopes_that_are_missing(portal: Portal) -> None:
    portal.fake.missing_scopes.add("crm.schemas.deals.read")

    assert portal.hubspot.health().missing_scopes == ("crm.schemas.deals.read",)


def test_rtx_s_property_that_may_not_be_made_is_no_record_s_fault(portal: Portal) -> None:
    del portal.fake.contacts.properties["rtx_client_id"]
    portal.fake.missing_scopes.add("crm.schemas.contacts.write")

    with pytest.raises(Forbidden) as caught:
        portal.hubspot.upsert("contacts", [Upsert("u-1", {}), Upsert("u-2", {})])

    assert (caught.value.code, caught.value.during) == ("field_missing", "upsert contacts")
    assert "rtx_client_id" in str(caught.value)


def test_an_object_that_is_not_there_is_told_by_describing_it(portal: Portal) -> None:
    hubspot = adapter(portal.session, customer_object="nonsense", account_object="")

    assert hubspot.health().external_id == "62515"
    assert "crm.objects.custom.read" in hubspot.scopes
    with pytest.raises(Forbidden) as caught:
        hubspot.describe("nonsense")
    assert caught.value.code == "object_missing"


def test_fields_are_described_as_a_person_chooses_them(portal: Portal) -> None:
    known = {one.name: one for one in portal.hubspot.describe("contacts")}

    assert known["rtx_client_id"].is_unique
    assert known["lastmodifieddate"].is_read_only
    assert {
        name: known[name].type for name in ("email", "phone", "lifecyclestage", "createdate", "city")
    } == {
        "email": "email",
        "phone": "phone",
        "lifecyclestage": "choice",
        "createdate": "datetime",
        "city": "text",
    }
    assert known["lifecyclestage"].choices == ("subscriber", "lead", "opportunity", "customer", "other")
    assert next(one.type for one in portal.hubspot.describe("deals") if one.name == "amount") == "number"


@pytest.mark.parametrize("name", ["../oauth", "contacts?x=1", "", "a/b"])
def test_a_name_that_is_no_object_goes_nowhere(portal: Portal, name: str) -> None:
    with pytest.raises(Forbidden) as caught:
        portal.hubspot.describe(name)

    assert (caught.value.code, portal.fake.calls) == ("object_missing", [])


def test_a_name_that_is_none_is_told_by_the_call_that_needs_it(portal: Portal) -> None:
    hubspot = portal.hubspot
    calls = {
        "changes my deals": lambda: hubspot.changes("my deals", {}, []),
        "get_many my deals": lambda: hubspot.get_many("my deals", ["7"], []),
        "upsert my deals": lambda: hubspot.upsert("my deals", [Upsert("1", {})]),
    }
    for during, call in calls.items():
        with pytest.raises(Forbidden) as caught:
            call()
        assert (caught.value.code, caught.value.during) == ("object_missing", during)
    assert portal.fake.calls == []


def test_ids_of_another_form_go_nowhere(portal: Portal) -> None:
    with pytest.raises(CallRefused):
        portal.hubspot.get("contacts", "1/../2", [])

    assert portal.fake.calls == []


def test_watching_needs_no_channel(portal: Portal, settings: Any) -> None:
    now: Any = None
    assert portal.hubspot.watch(notify_url="https://x.example", watched={}, now=now) == {}
    assert portal.hubspot.acknowledgement("application/json") == (b"", "")
