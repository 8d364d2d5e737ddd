"""OAuth at Salesforce: PKCE, the organization and its address in the answer, rotation, revocation."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pytest_django import Settings

from apps.crm.adapters import oauth
from apps.crm.adapters.provider import AccessRevoked, ConnectionFault, Unavailable
from apps.crm.adapters.registry import NoSession, make
from apps.crm.adapters.salesforce import Salesforce
from tests.fakes.fake import Fault
from tests.fakes.salesforce import SalesforceFake
from tests.fakes.server import serving
from tests.unit.crm.salesforce.conftest import SETTINGS

BACK = "https://rtx.example/api/admin/crm/oauth/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.fixture
def fake() -> SalesforceFake:
    fake = SalesforceFake()
    fake.grants.clients = {"consumer-key": "consumer-secret"}
    fake.instance_url = "https://example.my.salesforce.com"
    return fake


@pytest.fixture
def salesforce(fake: SalesforceFake, settings: Settings) -> Iterator[Salesforce]:
    settings.OUTGOING_ALLOWS_LOOPBACK = True
    settings.CRM_SALESFORCE_URL = ""
    with serving(fake) as url:
        settings.CRM_SALESFORCE_OAUTH_URL = url
        yield Salesforce(settings=SETTINGS, session=NoSession())


def agreed(fake: SalesforceFake, salesforce: Salesforce) -> str:
    """Let a person agree; return the code."""
    url = salesforce.authorize_url(state="st", challenge=oauth.challenge(VERIFIER), redirect_uri=BACK)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    back = parse_qs(urlsplit(fake.grants.agree(asked)).query)
    assert back["state"] == ["st"]
    return back["code"][0]


def test_a_person_is_sent_to_salesforce_with_pkce(salesforce: Salesforce) -> None:
    url = salesforce.authorize_url(state="st", challenge=oauth.challenge(VERIFIER), redirect_uri=BACK)

    parts = urlsplit(url)
    assert parts.path == "/services/oauth2/authorize"
    assert parse_qs(parts.query) == {
        "response_type": ["code"],
        "client_id": ["consumer-key"],
        "redirect_uri": [BACK],
        "scope": ["api refresh_token"],
        "state": ["st"],
        "code_challenge": ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],  # of RFC 7636, appendix B
        "code_challenge_method": ["S256"],
    }


def test_the_answer_names_the_organization_and_its_address(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    grant = salesforce.authenticate(code=agreed(fake, salesforce), verifier=VERIFIER, redirect_uri=BACK)

    assert fake.grants.is_good(grant.access_token)
    assert grant.api_url == "https://example.my.salesforce.com"
    assert grant.external_id == "00D5g000004TESTEA4"
    assert (grant.expires_in_s, grant.scope) == (7200.0, "api refresh_token")


def test_a_code_is_good_once_and_for_its_verifier_only(salesforce: Salesforce, fake: SalesforceFake) -> None:
    code = agreed(fake, salesforce)
    salesforce.authenticate(code=code, verifier=VERIFIER, redirect_uri=BACK)

    with pytest.raises(AccessRevoked):
        salesforce.authenticate(code=code, verifier=VERIFIER, redirect_uri=BACK)
    with pytest.raises(AccessRevoked):
        salesforce.authenticate(code=agreed(fake, salesforce), verifier="x" * 43, redirect_uri=BACK)


def test_each_refresh_gives_a_new_refresh_token_and_ends_the_old_one(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    _, first = fake.grants.give(client_id="consumer-key")

    grant = salesforce.refresh(first)

    assert grant.refresh_token not in ("", first)
    with pytest.raises(AccessRevoked):
        salesforce.refresh(first)
    assert salesforce.refresh(grant.refresh_token).refresh_token


def test_without_rotation_the_old_refresh_token_stays(salesforce: Salesforce, fake: SalesforceFake) -> None:
    fake.grants.rotates = False
    _, first = fake.grants.give(client_id="consumer-key")

    assert [salesforce.refresh(first).refresh_token for _ in range(2)] == ["", ""]


def test_a_wrong_client_secret_is_told_from_a_revoked_grant(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    _, refresh = fake.grants.give(client_id="consumer-key")
    fake.grants.clients = {"consumer-key": "changed"}

    with pytest.raises(ConnectionFault) as refused:
        salesforce.refresh(refresh)

    assert refused.value.code == "oauth_invalid_client"
    assert "consumer-secret" not in str(refused.value)


def test_a_grant_is_given_back_and_one_that_is_gone_is_fine(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    access, refresh = fake.grants.give(client_id="consumer-key")

    salesforce.revoke(refresh)
    salesforce.revoke(refresh)

    assert not fake.grants.is_good(access)
    with pytest.raises(AccessRevoked):
        salesforce.refresh(refresh)
    fake.fail(Fault(status=503))
    with pytest.raises(Unavailable):
        salesforce.revoke(refresh)


@pytest.mark.parametrize(
    "told",
    [
        "https://evil.example",
        "https://salesforce.com.evil.example",
        "https://evilsalesforce.com",
        "http://example.my.salesforce.com",
        "https://example.my.salesforce.com:8443",
        "https://example.my.salesforce.com:99999",
        "https://example.my.salesforce.com:port",
        "https://[example.my.salesforce.com",
        "https://user@evil.example/.salesforce.com",
        "//169.254.169.254",
        "salesforce.com",
    ],
)
def test_a_token_goes_to_salesforce_alone(salesforce: Salesforce, fake: SalesforceFake, told: str) -> None:
    _, refresh = fake.grants.give(client_id="consumer-key")
    fake.instance_url = told

    with pytest.raises(ConnectionFault) as refused:
        salesforce.refresh(refresh)

    assert refused.value.code == "address_refused"


def test_a_configured_host_goes_before_the_told_one(
    salesforce: Salesforce, fake: SalesforceFake, settings: Settings
) -> None:
    settings.CRM_SALESFORCE_URL = "http://127.0.0.1:1/"
    _, refresh = fake.grants.give(client_id="consumer-key")

    assert salesforce.refresh(refresh).api_url == "http://127.0.0.1:1"


def test_the_page_on_which_a_person_declines_sends_the_error_back(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    url = salesforce.authorize_url(state="st", challenge="c", redirect_uri=BACK)

    shown = httpx.get(url)
    declined = httpx.post(url, data={"declined": "1"})

    assert "refresh_token" in shown.text
    assert declined.headers["location"] == f"{BACK}?error=access_denied&state=st"


def test_the_adapter_is_found_by_its_name() -> None:
    made = make("salesforce", settings=SETTINGS)

    assert (made.name, made.auth_scheme, made.batch_max) == ("salesforce", "Bearer", 200)
