"""Every body that the adapter sends is of HubSpot's own description: nothing missing, nothing unknown."""

import json
import re
from typing import Any

import pytest
from hubspot.crm import contacts, properties
from hubspot.crm.associations import v4 as associations

from apps.crm.adapters.provider import Upsert
from tests.fakes.fake import Request
from tests.unit.crm.hubspot.conftest import Portal
from tests.unit.crm.hubspot.test_hubspot_writing import client

MODELS: list[tuple[str, Any, str]] = [
    (r"POST .*/batch/upsert$", contacts, "BatchInputSimplePublicObjectBatchInputUpsert"),
    (r"POST .*/batch/update$", contacts, "BatchInputSimplePublicObjectBatchInput"),
    (r"POST .*/batch/read$", contacts, "BatchReadInputSimplePublicObjectId"),
    (r"POST .*/search$", contacts, "PublicObjectSearchRequest"),
    (r"POST .*/gdpr-delete$", contacts, "PublicGdprDeleteInput"),
    (r"PATCH .*/contacts/\d+$", contacts, "SimplePublicObjectInput"),
    (r"POST /crm/v3/properties/contacts$", properties, "PropertyCreate"),
    (r"POST .*/associate/default$", associations, "BatchInputPublicDefaultAssociationMultiPost"),
]


class Raw:
    """An answer as their client reads it."""

    def __init__(self, body: bytes) -> None:
        self.data = body.decode()


@pytest.fixture
def sent(portal: Portal) -> list[Request]:
    """Do all that the adapter can do; return the requests that had a body."""
    seen: list[Request] = []
    portal.fake.on_request = seen.append
    hubspot = portal.hubspot
    del portal.fake.contacts.properties["rtx_client_id"]
    portal.fake.add("contacts", email="c2@rtx.example")
    hubspot.health()
    first, joined = hubspot.upsert("contacts", [client(1), client(2)])
    hubspot.upsert("contacts", [Upsert(first.external_id, {"firstname": None}, crm_id=first.crm_id)])
    hubspot.upsert("deals", [Upsert("1001", {"dealname": "1001"}, parent_crm_id=first.crm_id)])
    hubspot.update("contacts", first.crm_id, {"firstname": "X"})
    hubspot.get_many("contacts", [first.crm_id], ["email"])
    hubspot.changes("contacts", {"since": 0}, ["email"])
    hubspot.changes("contacts", {"since": 0, "tie": "0"}, ["email"])
    hubspot.delete("contacts", joined.crm_id)
    return [request for request in seen if request.body]


def test_every_body_is_of_the_description(sent: list[Request]) -> None:
    used = set()
    for request in sent:
        line = f"{request.method} {request.path}"
        module, name = next((module, name) for rule, module, name in MODELS if re.match(rule, line))
        their = module.ApiClient()
        read = their.deserialize(Raw(request.body), name)  # raises where something required is missing
        assert their.sanitize_for_serialization(read) == json.loads(request.body), line
        used.add(name)

    assert used == {name for *_, name in MODELS}


def test_every_body_is_json_and_says_so(sent: list[Request]) -> None:
    assert {request.headers["content-type"] for request in sent} == {"application/json"}


def test_no_batch_is_larger_than_the_description_allows(portal: Portal) -> None:
    portal.hubspot.upsert("contacts", [client(place) for place in range(100)])

    assert portal.hubspot.batch_max == 100
    assert max(portal.fake.batches("batch_upsert")) == 100
