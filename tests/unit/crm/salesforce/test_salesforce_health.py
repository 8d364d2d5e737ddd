"""Fields, health, limits and errors of Salesforce: what its answers mean and what is never sent."""

from dataclasses import replace

import pytest

from apps.crm.adapters.provider import CallRefused, ConnectionFault, Forbidden, LimitReached, Unavailable
from apps.crm.adapters.salesforce import Salesforce
from tests.fakes.fake import Fault, Limit
from tests.fakes.salesforce import SalesforceFake
from tests.fakes.session import BareSession
from tests.unit.crm.salesforce.conftest import adapter, customer

FIELDS = ["FirstName", "LastName", "Email"]


def test_fields_are_described_as_a_person_chooses_them(salesforce: Salesforce) -> None:
    fields = {info.name: info for info in salesforce.describe("Contact")}

    assert fields["Email"].type == "email"
    assert fields["Level__c"].choices == ("New", "Verified")
    assert (fields["LastName"].is_required, fields["FirstName"].is_required) == (True, False)
    assert (fields["OwnerId"].is_required, fields["Name"].is_read_only) == (False, True)
    assert fields["RTX_Client_Id__c"].is_unique
    assert "MailingAddress" not in fields
    assert {fields[name].type for name in ("Balance__c", "Verified__c", "Birthdate", "Last_Deal__c")} == {
        "number",
        "boolean",
        "date",
        "datetime",
    }


def test_health_names_the_organization_and_its_limits(salesforce: Salesforce, fake: SalesforceFake) -> None:
    fake.limit = Limit(calls_max=15_000, window_s=86_400)

    health = salesforce.health()

    assert (health.account_name, health.external_id) == ("Example Ltd", "00D5g000004TESTEA4")
    assert (health.daily_max, health.daily_left) == (15_000, 14_998)
    assert health.warnings == ()


def test_health_says_what_must_be_made_first(fake: SalesforceFake, session: BareSession) -> None:
    fake.organization.lacks("Contact", "RTX_Client_Id__c")
    fake.organization.lacks("Trading_Account__c", "RTX_Client__c")
    store = fake.organization.store("Trading_Account__c")
    store.fields["RTX_Login__c"] = replace(store.fields["RTX_Login__c"], is_unique=False)

    warnings = adapter(session, external_id="00D5g000004OTHREA4").health().warnings
    unseen = adapter(session, account_object="Missing__c").health().warnings

    assert warnings == (
        "Contact lacks the field RTX_Client_Id__c (text 64, unique, external id).",
        "The field RTX_Login__c of Trading_Account__c must be an external id and unique.",
        "Trading_Account__c lacks the lookup RTX_Client__c to Contact.",
        "Another organization answers than the one that was connected before.",
    )
    assert unseen[-1] == "The object Missing__c is not there, or the user may not see it."


def test_every_answer_tells_the_calls_of_the_day(
    salesforce: Salesforce, fake: SalesforceFake, session: BareSession
) -> None:
    fake.limit = Limit(calls_max=100, window_s=86_400)

    answer = session.call("GET", "/services/data/v62.0/limits", operation="limits")
    limits = salesforce.limits(answer.headers)

    assert (limits.daily_max, limits.daily_left, limits.window_max) == (100, 99, None)
    assert salesforce.limits({"sforce-limit-info": "api-usage=10018/100000"}).daily_left == 89_982
    told = "api-usage=25/5000; per-app-api-usage=17/250(appName=sample-app)"
    assert salesforce.limits({"sforce-limit-info": told}).daily_left == 4975
    assert salesforce.limits({"sforce-limit-info": "per-app-api-usage=17/250(appName=x)"}).daily_max is None
    assert salesforce.limits({"sforce-limit-info": "nonsense"}).daily_left is None


def test_the_used_up_day_is_a_limit_although_it_comes_as_403(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    fake.limit = Limit(calls_max=1, window_s=86_400)
    salesforce.describe("Contact")

    with pytest.raises(LimitReached) as reached:
        salesforce.describe("Contact")

    assert (reached.value.code, reached.value.retry_after_s) == ("daily_limit", 900.0)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "retry_after_s"),
    [
        (403, "ConcurrentRequests Limit exceeded.", LimitReached, "rate_limited", 5.0),
        (401, "INVALID_SESSION_ID", ConnectionFault, "not_authorized", None),
        (503, "SERVER_UNAVAILABLE", Unavailable, "provider_unavailable", 7.0),
        (400, "QUERY_TIMEOUT", Unavailable, "provider_unavailable", 7.0),
        (403, "API_DISABLED_FOR_ORG", Forbidden, "missing_rights", None),
        (400, "SOMETHING_NEW", CallRefused, "call_refused", None),
        (500, None, Unavailable, "provider_unavailable", 7.0),
    ],
)
def test_refusals_become_errors_that_say_what_to_do(
    salesforce: Salesforce,
    fake: SalesforceFake,
    status: int,
    body: str | None,
    kind: type[Exception],
    code: str,
    retry_after_s: float | None,
) -> None:
    is_busy = body is not None and " " in body
    error = {"message": body, "errorCode": "REQUEST_LIMIT_EXCEEDED" if is_busy else body}
    headers = {} if is_busy else {"Retry-After": "7"}
    fake.fail(Fault(status=status, body=[error] if body else None, headers=headers))

    with pytest.raises(kind) as failed:
        salesforce.describe("Contact")

    assert (failed.value.code, failed.value.retry_after_s) == (code, retry_after_s)  # type: ignore[attr-defined]


def test_answers_that_cannot_be_read_are_their_fault(salesforce: Salesforce, fake: SalesforceFake) -> None:
    for path in ("describe", "composite$", "/query"):
        fake.fail(Fault(status=200, body={"unexpected": 1}), path=path)
    with pytest.raises(Unavailable) as unread:
        salesforce.describe("Contact")
    assert unread.value.code == "provider_malformed"
    with pytest.raises(Unavailable):
        salesforce.upsert("Contact", [customer("id-1", "a@b.example")])
    with pytest.raises(Unavailable):
        salesforce.changes("Contact", {}, FIELDS)

    fake.fail(Fault(status=200, body=[]), path="composite/sobjects")
    with pytest.raises(Unavailable, match="does not fit"):
        salesforce.upsert("Contact", [customer("id-1")])


def test_names_and_ids_that_would_leave_their_place_are_refused(salesforce: Salesforce) -> None:
    for object_name in ("Contact/../Account", "Contact WHERE Id != null", "", "Kontakt\u00e4"):
        with pytest.raises(Forbidden) as refused:
            salesforce.changes(object_name, {}, FIELDS)
        assert (refused.value.code, refused.value.during) == ("field_name", f"changes {object_name}".strip())
    with pytest.raises(Forbidden):
        salesforce.changes("Contact", {}, ["Id FROM Contact LIMIT 1"])
    with pytest.raises(CallRefused):
        salesforce.get("Contact", "003/../../limits", FIELDS)
    with pytest.raises(CallRefused):
        salesforce.changes("Contact", {"next": "/services/oauth2/revoke"}, FIELDS)


def test_a_mapped_name_that_is_none_is_no_record_s_fault_and_names_the_call(salesforce: Salesforce) -> None:
    wrong = replace(customer("id-1"), fields={"Last Name": "Doe"})
    calls = {
        "upsert Contact": lambda: salesforce.upsert("Contact", [wrong]),
        "get_many Contact": lambda: salesforce.get_many("Contact", ["003000000000001"], ["Last Name"]),
    }
    for during, call in calls.items():
        with pytest.raises(Forbidden) as refused:
            call()
        assert (refused.value.code, refused.value.during) == ("field_name", during)
