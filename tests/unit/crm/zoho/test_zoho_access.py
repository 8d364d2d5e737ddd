"""Access to Zoho: regions, agreeing with PKCE, refreshing, addresses; whose organization it is."""

from dataclasses import replace
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
    LimitReached,
    Unavailable,
)
from tests.fakes.fake import Fault, Limit
from tests.unit.crm.zoho.conftest import Organization, adapter, client

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
BACK = "https://broker.example/crm/callback"


def agreed(organization: Organization) -> str:
    """Walk through the page on which a person agrees; return the code."""
    url = organization.zoho.authorize_url(state="st", challenge=oauth.challenge(VERIFIER), redirect_uri=BACK)
    assert httpx.get(url, trust_env=False).status_code == 200
    reply = httpx.post(url, data={"agreed": "1"}, trust_env=False)
    query = parse_qs(urlsplit(reply.headers["location"]).query)
    assert (reply.status_code, query["state"]) == (302, ["st"])
    return query["code"][0]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("com", "accounts.zoho.com"),
        ("eu", "accounts.zoho.eu"),
        ("in", "accounts.zoho.in"),
        ("com.au", "accounts.zoho.com.au"),
        ("jp", "accounts.zoho.jp"),
        ("com.cn", "accounts.zoho.com.cn"),
        ("sa", "accounts.zoho.sa"),
        ("ca", "accounts.zohocloud.ca"),
    ],
)
def test_each_region_has_its_own_accounts_server(
    organization: Organization, settings: Any, region: str, host: str
) -> None:
    settings.CRM_ZOHO_OAUTH_URL = ""

    url = adapter(organization.session, region=region).authorize_url(
        state="st", challenge="ch", redirect_uri=BACK
    )

    assert urlsplit(url)[:3] == ("https", host, "/oauth/v2/auth")


def test_an_unknown_region_is_called_nowhere(organization: Organization, settings: Any) -> None:
    settings.CRM_ZOHO_OAUTH_URL = ""

    with pytest.raises(ConnectionFault) as caught:
        adapter(organization.session, region="evil.example").refresh("r")

    assert caught.value.code == "address_refused"


def test_the_person_is_asked_for_lasting_access_with_pkce(organization: Organization) -> None:
    asked = parse_qs(
        urlsplit(organization.zoho.authorize_url(state="st", challenge="ch", redirect_uri=BACK)).query
    )

    assert (asked["access_type"], asked["prompt"]) == (["offline"], ["consent"])
    assert (asked["code_challenge"], asked["code_challenge_method"]) == (["ch"], ["S256"])
    assert asked["scope"][0].split(",") == [
        "ZohoCRM.modules.contacts.ALL",
        "ZohoCRM.modules.deals.ALL",
        "ZohoCRM.settings.fields.ALL",
        "ZohoCRM.org.READ",
        "ZohoCRM.coql.READ",
        "ZohoCRM.notifications.ALL",
    ]
    own = adapter(organization.session, customer_object="Leads", account_object="Trading")
    assert own.scopes[:2] == ("ZohoCRM.modules.leads.ALL", "ZohoCRM.modules.custom.ALL")


def test_a_code_gives_tokens_and_the_address_of_the_api(organization: Organization) -> None:
    grant = organization.zoho.authenticate(code=agreed(organization), verifier=VERIFIER, redirect_uri=BACK)

    assert organization.fake.grants.is_good(grant.access_token)
    assert grant.refresh_token in organization.fake.grants.refresh_tokens
    assert (grant.expires_in_s, grant.api_url) == (3600, organization.url)


def test_a_code_of_another_verifier_gives_nothing(organization: Organization) -> None:
    with pytest.raises(AccessRevoked):
        organization.zoho.authenticate(code=agreed(organization), verifier="x" * 43, redirect_uri=BACK)


def test_refreshing_gives_no_new_refresh_token(organization: Organization) -> None:
    old, refresh = organization.fake.grants.give(client_id="app")

    grant = organization.zoho.refresh(refresh)

    assert grant.access_token != old
    assert grant.refresh_token == ""
    assert grant.api_url == organization.url


def test_an_error_that_is_answered_with_200_is_one(organization: Organization) -> None:
    _, refresh = organization.fake.grants.give(client_id="app")
    organization.zoho.revoke(refresh)
    organization.zoho.revoke(refresh)  # it is gone already

    with pytest.raises(AccessRevoked):
        organization.zoho.refresh(refresh)


def test_a_wrong_client_secret_is_no_revocation(organization: Organization) -> None:
    _, refresh = organization.fake.grants.give(client_id="app")
    organization.fake.grants.clients["app"] = "another"

    with pytest.raises(ConnectionFault) as caught:
        organization.zoho.refresh(refresh)

    assert caught.value.code == "oauth_invalid_client"


def test_the_eleventh_token_within_ten_minutes_is_a_limit(organization: Organization) -> None:
    _, refresh = organization.fake.grants.give(client_id="app")
    for _ in range(10):
        organization.zoho.refresh(refresh)

    with pytest.raises(LimitReached) as caught:
        organization.zoho.refresh(refresh)

    assert caught.value.retry_after_s == 600
    organization.fake.clock.advance(601)
    assert organization.zoho.refresh(refresh).access_token


@pytest.mark.parametrize(
    "address",
    [
        "https://www.zohoapis.eu",
        "https://www.zohoapis.com.cn",
        "https://zohoapis.ca",
        "https://sandbox.zohoapis.com",
    ],
)
def test_the_address_that_the_token_s_answer_names_is_used(
    organization: Organization, settings: Any, address: str
) -> None:
    settings.CRM_ZOHO_URL = ""
    organization.fake.api_domain = address
    _, refresh = organization.fake.grants.give(client_id="app")

    assert organization.zoho.refresh(refresh).api_url == address


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "https://zohoapis.eu.evil.example",
        "https://evilzohoapis.eu",
        "http://www.zohoapis.eu",
        "https://www.zohoapis.eu:8443",
        "https://www.zohoapis.eu:x",
        "https://a@www.zohoapis.eu",
        "https://[::1",
        "https://169.254.169.254",
    ],
)
def test_an_address_that_is_not_zoho_s_gets_no_token(
    organization: Organization, settings: Any, address: str
) -> None:
    settings.CRM_ZOHO_URL = ""
    organization.fake.api_domain = address
    _, refresh = organization.fake.grants.give(client_id="app")

    with pytest.raises(ConnectionFault) as caught:
        organization.zoho.refresh(refresh)

    assert caught.value.code == "address_refused"


def test_calls_carry_zoho_s_own_kind_of_token(organization: Organization) -> None:
    seen: list[str] = []
    organization.fake.on_request = lambda request: seen.append(request.headers["authorization"])

    organization.zoho.describe("Contacts")

    assert seen == [f"Zoho-oauthtoken {organization.session.token}"]


def test_an_expired_token_is_not_authorized(organization: Organization) -> None:
    organization.fake.grants.expire()

    with pytest.raises(ConnectionFault) as caught:
        organization.zoho.describe("Contacts")

    assert caught.value.code == "not_authorized"


def test_health_tells_the_organization_and_makes_the_unique_fields(organization: Organization) -> None:
    contacts, deals = organization.fake.modules["Contacts"], organization.fake.modules["Deals"]
    del contacts.fields["RTX_Client_Id"]
    del deals.fields["RTX_Login"]

    health = organization.zoho.health()

    assert (health.account_name, health.external_id) == ("Zylker", organization.fake.org_id)
    assert (health.warnings, health.missing_scopes) == ((), ())
    made = contacts.fields["RTX_Client_Id"]
    assert (made.data_type, made.is_unique, made.length) == ("text", True, 64)
    assert deals.fields["RTX_Login"].is_unique
    assert organization.session.made == ["Contacts", "Deals"]


def test_health_warns_clearly_of_what_it_cannot_make(organization: Organization) -> None:
    del organization.fake.modules["Contacts"].fields["RTX_Client_Id"]
    organization.fake.modules["Deals"].fields["RTX_Login"].is_unique = False
    organization.fake.missing_scopes.add("ZohoCRM.settings.fields.CREATE")

    warnings = organization.zoho.health().warnings

    assert warnings == (
        "Contacts lacks the field RTX_Client_Id and RTX could not make it: make it (label RTX Client Id, "
        "single line, 64 characters, no duplicate values).",
        "The field RTX_Login of Deals must not allow duplicate values.",
    )


def test_health_names_scopes_that_are_missing(organization: Organization) -> None:
    organization.fake.missing_scopes.add("ZohoCRM.settings.fields.READ")

    assert organization.zoho.health().missing_scopes == ("ZohoCRM.settings.fields.ALL",)


def test_fields_are_described_as_a_person_chooses_them(organization: Organization) -> None:
    known = {one.name: one for one in organization.zoho.describe("Contacts")}

    assert {name: known[name].type for name in ("Email", "Phone", "Lead_Source", "Date_of_Birth")} == {
        "Email": "email",
        "Phone": "phone",
        "Lead_Source": "choice",
        "Date_of_Birth": "date",
    }
    assert known["Lead_Source"].choices == ("Cold Call", "Web Download")
    assert known["RTX_Client_Id"].is_unique
    assert known["Last_Name"].is_required
    assert {name for name, one in known.items() if one.is_read_only} == {
        "Created_Time",
        "Modified_Time",
        "Owner",
        "Full_Name",
    }
    assert "Record_Image" not in known


@pytest.mark.parametrize("name", ["../oauth", "Contacts?x=1", "", "a/b", "Kontakte\u0301"])
def test_a_name_that_is_no_module_goes_nowhere(organization: Organization, name: str) -> None:
    with pytest.raises(Forbidden) as caught:
        organization.zoho.describe(name)

    assert (caught.value.code, organization.fake.calls) == ("object_missing", [])


def test_a_name_that_is_none_is_told_by_the_call_that_needs_it(organization: Organization) -> None:
    zoho, wrong = organization.zoho, replace(client(1), fields={"Last Name": "Doe"}, crm_id="7")
    calls = {
        "changes Contacts": lambda: zoho.changes("Contacts", {}, ["Last Name"]),
        "get_many Contacts": lambda: zoho.get_many("Contacts", ["7"], ["Last Name"]),
        "upsert Contacts": lambda: zoho.upsert("Contacts", [wrong]),
        "upsert My Deals": lambda: zoho.upsert("My Deals", [client(1)]),
    }
    for during, call in calls.items():
        with pytest.raises(Forbidden) as caught:
            call()
        assert (caught.value.code, caught.value.during) == ("object_missing", during)
    assert organization.fake.calls == []


def test_ids_of_another_form_go_nowhere(organization: Organization) -> None:
    for call in (
        lambda: organization.zoho.get("Contacts", "1/../2", []),
        lambda: organization.zoho.get_many("Contacts", ["1,2&fields=x"], []),
    ):
        with pytest.raises(CallRefused):
            call()

    assert organization.fake.calls == []


def test_a_call_too_many_says_how_long_to_wait(organization: Organization) -> None:
    organization.fake.limit = Limit(calls_max=1, window_s=86_400)
    organization.zoho.describe("Contacts")

    with pytest.raises(LimitReached) as caught:
        organization.zoho.describe("Contacts")

    assert (caught.value.code, caught.value.retry_after_s) == ("daily_limit", 900.0)
    organization.fake.limit = None
    organization.fake.fail(Fault(status=429, headers={"Retry-After": "3"}))
    with pytest.raises(LimitReached) as caught:
        organization.zoho.describe("Contacts")
    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", 3.0)


def test_headers_tell_the_credits_that_are_left(organization: Organization) -> None:
    assert organization.zoho.limits({"x-api-credits-remaining": "4999"}).daily_left == 4999
    assert organization.zoho.limits({"x-api-credits-remaining": "many"}).daily_left is None
    assert organization.zoho.limits({}).daily_left is None


def test_an_organization_that_is_not_named_is_malformed(organization: Organization) -> None:
    organization.fake.fail(Fault(status=200, body={"org": []}))

    with pytest.raises(Unavailable):
        organization.zoho.health()
