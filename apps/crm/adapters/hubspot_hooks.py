"""
HubSpot's webhooks: signature v3 over the raw bytes, and the events of a delivery. An event only names a
record; its values are not taken over.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from apps.crm.adapters.provider import CallRefused, HookEvent
from apps.crm.domain import signatures

EVENTS_MAX = 1000  # HubSpot sends up to 100
OBJECTS = {"contact": "contacts", "deal": "deals", "company": "companies", "ticket": "tickets"}
TYPES = {"0-1": "contacts", "0-2": "companies", "0-3": "deals", "0-5": "tickets"}
What = Literal["created", "changed", "deleted", "merged", "privacy"]
WHATS: Mapping[str, What] = {
    "creation": "created",
    "propertyChange": "changed",
    "restore": "changed",
    "deletion": "deleted",
    "merge": "merged",
    "privacyDeletion": "privacy",
}


def verify(
    *, secret: str, method: str, url: str, headers: Mapping[str, str], body: bytes, now_ms: int
) -> str:
    """
    Check signature v3 (older versions prove too little) and return the delivery's digest.

    :raises CallRefused: `webhook_signature`, or `webhook_stale`: older than five minutes, or of the future.
    """
    known = {name.lower(): value for name, value in headers.items()}
    given, stamp = known.get("x-hubspot-signature-v3", ""), known.get("x-hubspot-request-timestamp", "")
    if not (secret and given and stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
        raise CallRefused("The request carries no signature v3.", code="webhook_signature")
    expected = signatures.hubspot_v3(secret=secret, method=method, uri=url, body=body, timestamp=stamp)
    if not signatures.same(given, expected):
        raise CallRefused("The signature is wrong.", code="webhook_signature")
    if not signatures.is_fresh(int(stamp), now_ms=now_ms):
        raise CallRefused("The request is too old, or of the future.", code="webhook_stale")
    return signatures.digest(stamp.encode(), body)


def events(body: bytes, *, portal_id: str) -> list[HookEvent]:
    """
    Read a delivery. Events of other portals (an app may serve several) and of other kinds are left out.

    :raises CallRefused: `webhook_malformed`.
    """
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    rows = given if isinstance(given, list) else [given]
    if len(rows) > EVENTS_MAX or not all(isinstance(row, dict) for row in rows):
        raise CallRefused("The body is no list of events.", code="webhook_malformed")
    found: list[HookEvent] = []
    for row in rows:
        if not portal_id or str(row.get("portalId", "")) == portal_id:
            found += _events(row)
    return found


def _events(row: Mapping[str, Any]) -> list[HookEvent]:
    """Return the event of a row: one per record where several were merged."""
    subject, _, happened = str(row.get("subscriptionType", "")).partition(".")
    what = WHATS.get(happened)
    object_name = TYPES.get(str(row.get("objectTypeId", "")), "") or OBJECTS.get(subject, "")
    if what is None or not object_name:
        return []
    ids = [row.get("objectId")]
    if what == "merged":
        merged = row.get("mergedObjectIds")
        ids = [
            row.get("newObjectId"),
            row.get("primaryObjectId"),
            *(merged if isinstance(merged, list) else []),
        ]
    named = dict.fromkeys(str(one) for one in ids if isinstance(one, int | str) and str(one).isdigit())
    if not named:
        raise CallRefused("An event names no record.", code="webhook_malformed")
    return [
        HookEvent(
            key=_key(row, crm_id),
            object_name=object_name,
            crm_id=crm_id,
            what=what,
            occurred_at=_instant(row.get("occurredAt")),
            changed_by_us=_is_ours(row),
        )
        for crm_id in named
    ]


def _key(row: Mapping[str, Any], crm_id: str) -> str:
    """Return by what an event is known again: `eventId` alone is not unique, and `attemptNumber` grows."""
    names = ("portalId", "subscriptionId", "eventId", "subscriptionType", "occurredAt", "propertyName")
    return signatures.digest(crm_id.encode(), *(str(row.get(name, "")).encode() for name in names))


def _is_ours(row: Mapping[str, Any]) -> bool:
    app = str(row.get("appId") or "")
    return row.get("changeSource") == "INTEGRATION" and bool(app) and str(row.get("sourceId")) == app


def _instant(given: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(given) / 1000, tz=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
