"""
Every request that the adapter sends is of Zoho's own description (v8): paths, parameters, required fields,
batch sizes. What follows is taken from the tables of that description.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from apps.crm.adapters.provider import Upsert
from tests.fakes.fake import Request
from tests.unit.crm.zoho.conftest import NOW, URL, Organization, client


@dataclass(frozen=True)
class Operation:
    """One operation: its parameters (a `!` marks required ones) and the keys of its body's rows."""

    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    rows: str = ""
    row: tuple[str, ...] = ()
    most: int = 100
    headers: tuple[str, ...] = ()


LISTED = ("fields!", "ids", "per_page", "page", "page_token", "sort_order", "sort_by", "converted", "cvid")
CHANNEL = ("notify_url!", "events!", "channel_id", "channel_expiry", "token")
FIELD = ("field_label!", "data_type!", "length", "unique")
OPERATIONS: Mapping[str, Operation] = {
    "POST /crm/v8/Contacts/upsert": Operation(
        body=("data!", "duplicate_check_fields", "trigger", "lar_id"), rows="data"
    ),
    "PUT /crm/v8/Contacts": Operation(body=("data!", "trigger"), rows="data", row=("id!",)),
    "PUT /crm/v8/Contacts/{id}": Operation(body=("data!", "trigger"), rows="data", most=1),
    "DELETE /crm/v8/Contacts/{id}": Operation(query=("wf_trigger",)),
    "GET /crm/v8/Contacts": Operation(query=LISTED, headers=("if-modified-since",)),
    "GET /crm/v8/Contacts/deleted": Operation(
        query=("type", "page", "per_page"), headers=("if-modified-since",)
    ),
    "POST /crm/v8/coql": Operation(body=("select_query!", "include_meta")),
    "GET /crm/v8/org": Operation(),
    "GET /crm/v8/settings/fields": Operation(query=("module!", "type", "include")),
    "POST /crm/v8/settings/fields": Operation(
        query=("module!",), body=("fields!",), rows="fields", row=FIELD
    ),
    "POST /crm/v8/actions/watch": Operation(body=("watch!",), rows="watch", row=CHANNEL, most=50),
}


def fits(given: Mapping[str, object], allowed: tuple[str, ...]) -> bool:
    known = {name.rstrip("!") for name in allowed}
    return set(given) <= known and {name[:-1] for name in allowed if name.endswith("!")} <= set(given)


@pytest.fixture
def sent(organization: Organization) -> list[Request]:
    """Do all that the adapter can do; return the requests."""
    seen: list[Request] = []
    organization.fake.on_request = seen.append
    zoho = organization.zoho
    del organization.fake.modules["Contacts"].fields["RTX_Client_Id"]
    organization.fake.add("Contacts", Email="c2@rtx.example")
    zoho.health()
    first, joined = zoho.upsert("Contacts", [client(1), client(2)])
    zoho.upsert("Contacts", [Upsert(first.external_id, {"First_Name": None}, crm_id=first.crm_id)])
    zoho.update("Contacts", first.crm_id, {"First_Name": "X"})
    zoho.get("Contacts", first.crm_id, ["Email"])
    zoho.get_many("Contacts", [first.crm_id, joined.crm_id], ["Email"])
    page = zoho.changes("Contacts", {}, ["Email"])
    while not page.is_last:
        page = zoho.changes("Contacts", page.cursor, ["Email"])
    zoho.changes("Contacts", page.cursor, ["Email"])
    zoho.delete("Contacts", joined.crm_id)
    zoho.watch(notify_url=URL, watched={}, now=NOW)
    return seen


def line(request: Request) -> str:
    return f"{request.method} {re.sub(r'/[0-9]{10,}$', '/{id}', request.path)}"


def test_every_request_is_of_the_description(sent: list[Request]) -> None:
    for request in sent:
        operation = OPERATIONS[line(request)] if "Deals" not in request.target else None
        if operation is None:
            continue
        assert fits(request.query, operation.query), request.target
        assert ("if-modified-since" not in request.headers) or operation.headers
        if not operation.body:
            assert request.body == b""
            continue
        body = request.json
        assert fits(body, operation.body)
        rows = body[operation.rows] if operation.rows else []
        assert len(rows) <= operation.most
        if operation.row == ("id!",):
            assert all("id" in row for row in rows)
        elif operation.row:
            assert all(fits(row, operation.row) for row in rows)

    assert {line(request) for request in sent if "Deals" not in request.target} == set(OPERATIONS)


def test_every_body_is_json_and_every_instant_has_an_offset(sent: list[Request]) -> None:
    assert {request.headers["content-type"] for request in sent if request.body} == {"application/json"}
    stamps = [one.headers["if-modified-since"] for one in sent if "if-modified-since" in one.headers]
    assert stamps
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", one) for one in stamps)


def test_the_channel_keeps_to_its_limits(sent: list[Request]) -> None:
    (channel,) = next(one.json["watch"] for one in sent if one.path.endswith("/actions/watch"))

    assert isinstance(channel["channel_id"], str)
    assert len(channel["channel_id"]) <= 64
    assert len(channel["notify_url"]) <= 255
    assert len(channel["token"]) <= 50
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", channel["channel_expiry"])


def test_no_batch_and_no_list_is_larger_than_the_description_allows(organization: Organization) -> None:
    organization.zoho.upsert("Contacts", [client(place) for place in range(100)])
    queries: list[str] = []
    organization.fake.on_request = lambda one: queries.append(json.dumps(one.query))
    organization.zoho.changes("Contacts", {}, ["Email"])

    assert organization.zoho.batch_max == 100
    assert max(organization.fake.batches("upsert")) == 100
    assert '"per_page": "200"' in queries[0]
