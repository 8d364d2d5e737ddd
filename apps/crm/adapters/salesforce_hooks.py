"""
What Salesforce sends of its own accord. It signs nothing itself, so there are two ways in:

Outbound Messages: SOAP, up to 100 notifications, proved by a secret that ends the address and by the id of
the organization. A relay (flow, middleware, subscriber of change events): JSON, proved by HMAC-SHA256 over
the raw body in `X-RTX-Signature`. Both only name records; nothing of their content is taken over.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

from apps.crm.adapters import salesforce_soql as soql
from apps.crm.adapters.provider import CallRefused, Forbidden, HookEvent, Settings
from apps.crm.domain import signatures

SIGNATURE = "x-rtx-signature"
CLIENT = "RTX"  # by which Salesforce names RTX as the origin of a change
NOTIFICATIONS_MAX = 100  # of one Outbound Message
EVENTS_MAX = 1000  # of one relayed body
DEPTH_MAX = 8
ACKNOWLEDGED = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack>'
    b"</notificationsResponse></soapenv:Body></soapenv:Envelope>"
)
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_OUTBOUND = "http://soap.sforce.com/2005/09/outbound"
_TYPE = "http://www.w3.org/2001/XMLSchema-instance type"
_WHAT: Mapping[str, Literal["created", "changed", "deleted"]] = {
    "CREATE": "created",
    "UNDELETE": "created",
    "UPDATE": "changed",
    "DELETE": "deleted",
    "created": "created",
    "changed": "changed",
    "updated": "changed",
    "deleted": "deleted",
}


@dataclass(slots=True)
class _Element:
    name: str  # "namespace name"
    attributes: Mapping[str, str]
    text: str = ""
    inner: list["_Element"] = field(default_factory=list)

    def all(self, name: str) -> Iterator["_Element"]:
        return (one for one in self.inner if one.name == name)

    def one(self, name: str) -> "_Element":
        found = next(self.all(name), None)
        if found is None:
            raise _malformed()
        return found


def is_soap(content_type: str) -> bool:
    """Tell an Outbound Message from a relayed body."""
    return content_type.partition(";")[0].strip().lower() in ("text/xml", "application/xml")


def verify(settings: Settings, *, url: str, headers: Mapping[str, str], body: bytes) -> str:
    """
    Check the proof of either way in and return the delivery's digest.

    :raises CallRefused: `webhook_signature`; also for a body of another organization or none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    if is_soap(given.get("content-type", "")):
        last = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
        is_proved = signatures.same(last, settings.webhook_secret) and _is_ours(settings, body)
    else:
        is_proved = signatures.is_hmac(given.get(SIGNATURE, ""), secret=settings.webhook_secret, body=body)
    if not is_proved:
        raise CallRefused("The proof of the sender is missing or wrong.", code="webhook_signature")
    return signatures.digest(b"salesforce", body)


def events(body: bytes, content_type: str) -> list[HookEvent]:
    """Read a verified body of either way in. Raises `CallRefused` (`webhook_malformed`)."""
    return _notified(body) if is_soap(content_type) else _relayed(body)


def _is_ours(settings: Settings, body: bytes) -> bool:
    try:
        told = soql.record_id(_message(body).one(f"{_OUTBOUND} OrganizationId").text)
        ours = soql.record_id(settings.external_id)  # empty before the first health check: nobody is let in
    except CallRefused:
        return False
    return signatures.same(told, ours)


def _notified(body: bytes) -> list[HookEvent]:
    notifications = list(_message(body).all(f"{_OUTBOUND} Notification"))
    if len(notifications) > NOTIFICATIONS_MAX:
        raise _malformed()
    found: list[HookEvent] = []
    for one in notifications:
        record = one.one(f"{_OUTBOUND} sObject")
        fields = {inner.name.rpartition(" ")[2]: inner.text for inner in record.inner}
        stamp = soql.read_instant(fields.get("SystemModstamp") or fields.get("LastModifiedDate"))
        is_deleted = fields.get("IsDeleted") == "true"
        is_new = stamp is not None and stamp == soql.read_instant(fields.get("CreatedDate"))
        found.append(
            HookEvent(
                key=f"om:{_id(one.one(f'{_OUTBOUND} Id').text)}",
                object_name=_name(record.attributes.get(_TYPE, "").rpartition(":")[2]),
                crm_id=_id(fields.get("Id", "")),
                what="deleted" if is_deleted else "created" if is_new else "changed",
                occurred_at=stamp,
            )
        )
    return found


def _message(body: bytes) -> _Element:
    envelope = _parsed(body)
    if envelope.name != f"{_SOAP} Envelope":
        raise _malformed()
    return envelope.one(f"{_SOAP} Body").one(f"{_OUTBOUND} notifications")


def _parsed(body: bytes) -> _Element:
    """Read XML with expat itself: a DTD, and with it every entity, ends the reading at once."""
    top = _Element("", {})
    path = [top]
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def refuse(*_: Any) -> Any:
        raise _malformed()

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(path) > DEPTH_MAX:
            raise _malformed()
        element = _Element(name, attributes)
        path[-1].inner.append(element)
        path.append(element)

    def text(data: str) -> None:
        path[-1].text += data

    def end(_name: str) -> None:
        path.pop()

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.ProcessingInstructionHandler = refuse
    parser.StartElementHandler = begin
    parser.CharacterDataHandler = text
    parser.EndElementHandler = end
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: its encoding is not known
        raise _malformed() from error
    return top.inner[0]


def _relayed(body: bytes) -> list[HookEvent]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _malformed() from error
    if isinstance(given, dict) and isinstance(given.get("events"), list):
        given = given["events"]
    listed = given if isinstance(given, list) else [given]
    found = [event for one in listed for event in _of_relay(one)]
    if len(found) > EVENTS_MAX:
        raise _malformed()
    return found


def _of_relay(given: Any) -> Iterator[HookEvent]:
    """Read one event: Salesforce's own change event, or {id, object, recordId, change, at}."""
    if not isinstance(given, dict):
        raise _malformed()
    inner = given.get("detail", given)  # as EventBridge wraps it
    inner = inner.get("data", inner) if isinstance(inner, dict) else None  # as the streaming API wraps it
    payload = inner.get("payload", inner) if isinstance(inner, dict) else None
    header = payload.get("ChangeEventHeader") if isinstance(payload, dict) else None
    if isinstance(header, dict):
        yield from _changed(header)
        return
    change, key = given.get("change", "UPDATE"), given.get("id")
    if not _is_key(key) or not isinstance(change, str):
        raise _malformed()
    if change not in _WHAT:
        return
    yield HookEvent(
        key=f"relay:{key}",
        object_name=_name(given.get("object")),
        crm_id=_id(given.get("recordId")),
        what=_WHAT[change],
        occurred_at=soql.read_instant(given.get("at")),
    )


def _changed(header: Mapping[str, Any]) -> Iterator[HookEvent]:
    ids, change = header.get("recordIds"), header.get("changeType")
    number, transaction = header.get("sequenceNumber", 1), header.get("transactionKey")
    if not isinstance(ids, list) or not isinstance(change, str) or not _is_key(transaction):
        raise _malformed()
    if not isinstance(number, int) or not 0 <= number < 10**9:
        raise _malformed()
    what = _WHAT.get(change.removeprefix("GAP_"))
    if what is None:
        return  # an overflow or a snapshot names no record: the next run finds what changed
    for one in ids:
        if isinstance(one, str) and one.endswith("*"):
            continue
        crm_id = _id(one)
        yield HookEvent(
            key=f"cdc:{transaction}:{number}:{crm_id}",
            object_name=_name(header.get("entityName")),
            crm_id=crm_id,
            what=what,
            occurred_at=_of_ms(header.get("commitTimestamp")),
            changed_by_us=f";client={CLIENT};" in f"{header.get('changeOrigin') or ''};",
        )


def _of_ms(given: Any) -> datetime | None:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given < 10**14:
        return None
    return datetime.fromtimestamp(given / 1000, tz=UTC)


def _is_key(given: Any) -> bool:
    return isinstance(given, str) and re.fullmatch(r"[!-~]{1,80}", given) is not None


def _id(given: Any) -> str:
    try:
        return soql.record_id(given if isinstance(given, str) else "")
    except CallRefused as error:
        raise _malformed() from error


def _name(given: Any) -> str:
    try:
        return soql.name(given if isinstance(given, str) else "")
    except Forbidden as error:
        raise _malformed() from error


def _malformed() -> CallRefused:
    return CallRefused("The delivery cannot be read.", code="webhook_malformed")
