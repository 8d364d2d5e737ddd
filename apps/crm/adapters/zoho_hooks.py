"""
Zoho's notifications. They are not signed: the channel's token, which Zoho repeats in the body, is the only
proof, and it could be repeated by whoever saw one. So nothing of a notification is believed but which records
to read anew.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from apps.crm.adapters.provider import CallRefused, HookEvent
from apps.crm.domain import signatures

TOKEN_MAX = 50
IDS_MAX = 1000
What = Literal["created", "changed", "deleted", "merged", "privacy"]
_WHATS: Mapping[str, What] = {"insert": "created", "create": "created", "delete": "deleted"}


def verify(*, secret: str, body: bytes) -> str:
    """
    Check the channel's token and return the delivery's digest.

    :raises CallRefused: `webhook_signature`; also for a body that cannot be read: it proves nothing.
    """
    given = _read(body)
    token = given.get("token") if given is not None else None
    if not isinstance(token, str) or len(token) > TOKEN_MAX or not signatures.same(token, secret):
        raise CallRefused("The channel's token is missing or wrong.", code="webhook_signature")
    return signatures.digest(b"zoho", body)


def events(body: bytes) -> list[HookEvent]:
    """
    Read a verified notification: one event per record.

    :raises CallRefused: `webhook_malformed`.
    """
    given = _read(body)
    ids = given.get("ids") if given is not None else None
    ids = [ids] if isinstance(ids, int | str) else ids
    if given is None or not isinstance(ids, list) or not ids or len(ids) > IDS_MAX:
        raise CallRefused("The body is no notification.", code="webhook_malformed")
    module, operation = given.get("module"), str(given.get("operation", "")).lower()
    if not isinstance(module, str) or not module:
        raise CallRefused("A notification names no module.", code="webhook_malformed")
    named = dict.fromkeys(str(one) for one in ids)
    if not all(one.isascii() and one.isdigit() and len(one) <= 20 for one in named):
        raise CallRefused("A notification names no record.", code="webhook_malformed")
    stamp = given.get("server_time")
    return [
        HookEvent(
            key=_key(given, crm_id),
            object_name=module,
            crm_id=crm_id,
            what=_WHATS.get(operation, "changed"),
            occurred_at=_instant(stamp),
        )
        for crm_id in named
    ]


def _key(given: Mapping[str, Any], crm_id: str) -> str:
    names = ("channel_id", "module", "operation", "server_time")
    return signatures.digest(crm_id.encode(), *(str(given.get(name, "")).encode() for name in names))


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return given if isinstance(given, dict) else None


def _instant(given: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(given) / 1000, tz=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
