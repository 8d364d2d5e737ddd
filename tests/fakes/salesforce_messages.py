"""
What Salesforce sends: Outbound Messages (SOAP) and change events as a relay passes them on, signed with
HMAC-SHA256 over the raw body.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

OUTBOUND_TYPE = "text/xml; charset=utf-8"


def outbound(
    records: Sequence[tuple[str, Mapping[str, str]]],
    *,
    object_name: str = "Contact",
    organization_id: str = "00D5g000004TESTEA4",
) -> bytes:
    """Return an Outbound Message: notification ids with the fields of their records."""
    notifications = "".join(
        f"<Notification><Id>{key}</Id>"
        f'<sObject xsi:type="sf:{object_name}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        + "".join(f"<sf:{name}>{escape(value)}</sf:{name}>" for name, value in fields.items())
        + "</sObject></Notification>"
        for key, fields in records
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{organization_id}</OrganizationId><ActionId>04k5g0000000001AAA</ActionId>"
        '<SessionId xsi:nil="true"/><EnterpriseUrl>https://example.my.salesforce.com/services/Soap/c/62.0/00D'
        "</EnterpriseUrl><PartnerUrl>https://example.my.salesforce.com/services/Soap/u/62.0/00D</PartnerUrl>"
        f"{notifications}</notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()


def change_event(
    *,
    entity: str,
    ids: Sequence[str],
    change: str,
    at_ms: int,
    number: int,
    origin: str = "",
    values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return an event of Change Data Capture as subscribers get it."""
    header = {
        "entityName": entity,
        "recordIds": list(ids),
        "changeType": change,
        "changeOrigin": origin,
        "transactionKey": f"0002343d-9d90-e395-ed20-{number:012d}",
        "sequenceNumber": 1,
        "commitTimestamp": at_ms,
        "commitNumber": 92847272780 + number,
        "commitUser": "005000000000001AAA",
        "changedFields": [],
    }
    return {
        "schema": "IeRuaY6cbI_HsV8Rv1Mc5g",
        "payload": {"ChangeEventHeader": header, **(values or {})},
        "event": {"replayId": number},
    }


def relayed(content: Any, *, secret: str) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a relay's request."""
    body = json.dumps(content).encode()
    proof = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return body, {"Content-Type": "application/json", "X-RTX-Signature": f"sha256={proof}"}
