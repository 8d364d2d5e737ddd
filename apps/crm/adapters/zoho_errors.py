"""
What Zoho's refusals mean, in RTX's errors. Messages are RTX's own: those of Zoho may hold values of the
record. Only codes and API names of fields are taken over.
"""

import re
from collections.abc import Mapping
from typing import Any

from apps.crm.adapters.base import retry_after, word
from apps.crm.adapters.provider import (
    Answer,
    CallRefused,
    ConnectionFault,
    LimitReached,
    Limits,
    ProviderError,
    Unavailable,
    of_whole,
)

DAILY_PAUSE_S = 900.0  # the 24 hours roll, and the answer does not say when there is room again
BUSY_PAUSE_S = 10.0  # too many calls at once
_BUSY = frozenset({"INTERNAL_ERROR", "RECORD_LOCKED", "RECORD_IN_BLUEPRINT", "SERVICE_UNAVAILABLE"})
_TEXTS = frozenset({"date", "email", "phone", "picklist", "string", "text", "textarea", "website"})
_MEANINGS = {
    "AUTHORIZATION_FAILED": ("missing_rights", "The connected user lacks a right for this."),
    "DEPENDENT_FIELD_MISSING": ("field_missing", "A field that another one needs has no value."),
    "DEPENDENT_MISMATCH": ("value_refused", "The value does not fit the others of the record."),
    "INVALID_DATA": ("value_refused", "Zoho does not take a value."),
    "INVALID_MODULE": ("object_missing", "The module does not exist, or the user may not see it."),
    "INVALID_URL_PATTERN": ("not_found", "There is no such record or module (any more)."),
    "MANDATORY_NOT_FOUND": ("field_missing", "A field that Zoho requires has no value."),
    "NO_PERMISSION": ("missing_rights", "The connected user lacks a right for this."),
    "NOT_APPROVED": ("record_locked", "The record waits for an approval in Zoho."),
    "OAUTH_SCOPE_MISMATCH": ("missing_scopes", "The OAuth app lacks a scope for this."),
    "CANNOT_UPDATE_CONVERTED_RECORD": ("lead_converted", "The lead was converted: it takes no more changes."),
}


def failure(answer: Answer) -> ProviderError:
    """Return the error that a whole answer outside 2xx means."""
    error = first(answer.body)
    code = word(error.get("code"))
    told = retry_after(answer.headers)
    if answer.status == 429 or code in ("TOO_MANY_REQUESTS", "RATE_LIMIT_EXCEEDED"):
        return _limit(answer, code, told)
    if answer.status == 401 and code != "OAUTH_SCOPE_MISMATCH":
        return ConnectionFault("Zoho does not take the access token.", code="not_authorized")
    if answer.status >= 500 or answer.status == 408:
        return Unavailable(f"Zoho answered {answer.status}.", retry_after_s=told)
    if answer.status == 404 and code not in _MEANINGS:
        return CallRefused("There is no such record or module (any more).", code="not_found")
    return of_whole(of_record(error, status=answer.status))


def of_record(error: Mapping[str, Any], *, status: int = 0, key: str = "") -> ProviderError:
    """Return why a record, or a whole request, was refused. `key`: the field of RTX's id."""
    details = error.get("details")
    details = details if isinstance(details, dict) else {}
    several = details.get("errors")
    if error.get("code") == "MULTIPLE_OR_MULTI_ERRORS" and isinstance(several, list) and several:
        return of_record(several[0] if isinstance(several[0], dict) else {}, status=status, key=key)
    code, name = word(error.get("code")), word(details.get("api_name"))
    if code in _BUSY:
        return Unavailable("Zoho could not write the record now.", code="record_busy")
    if code == "DUPLICATE_DATA":
        if key and name == key:
            return CallRefused("Another record has this RTX id.", code="several_records")
        return CallRefused(_named("Another record has this value.", name), code="duplicate_value")
    if code == "INVALID_DATA" and (name == "id" or (not name and details.get("id"))):
        return CallRefused("The record was deleted.", code="record_gone")
    known = _MEANINGS.get(code)
    if known is None:
        what = code or (f"status {status}" if status else "an error without a code")
        return CallRefused(_named(f"Zoho refused: {what}.", name))
    return CallRefused(_named(known[1], name), code=known[0])


def wants_another_type(error: Mapping[str, Any]) -> bool:
    """Tell whether a record was refused since a text stood where a number, yes/no or list belongs."""
    details = error.get("details")
    wanted = details.get("expected_data_type") if isinstance(details, dict) else None
    return error.get("code") == "INVALID_DATA" and isinstance(wanted, str) and wanted not in _TEXTS


def first(body: Any) -> Mapping[str, Any]:
    """Return the error of an answer: it stands alone, or first in a list."""
    if not isinstance(body, dict):
        return {}
    for name in ("data", "fields", "watch", "org"):
        rows = body.get(name)
        if isinstance(rows, list) and rows and isinstance(rows[0], dict):
            return rows[0]
    return body


def is_success(item: Any) -> bool:
    """Tell whether one record of an answer was written."""
    return isinstance(item, dict) and item.get("code") == "SUCCESS" and item.get("status") != "error"


def limits(headers: Mapping[str, str]) -> Limits:
    """Return how many credits are left of the 24 hours, where the answer tells it."""
    left = headers.get("x-api-credits-remaining", "")
    return Limits(daily_left=int(left) if re.fullmatch(r"\d{1,9}", left) else None)


def _limit(answer: Answer, code: str, told: float | None) -> LimitReached:
    """Too many at once passes soon; credits that are used up come back over the day."""
    left = limits(answer.headers).daily_left
    if left == 0 or code in ("LIMIT_EXCEEDED", "API_LIMIT_EXCEEDED", "CREDITS_EXCEEDED"):
        pause = told if told is not None else DAILY_PAUSE_S
        return LimitReached("The credits of the day are used up.", code="daily_limit", retry_after_s=pause)
    return LimitReached("Too many calls at once.", retry_after_s=told if told is not None else BUSY_PAUSE_S)


def _named(text: str, name: str) -> str:
    return f"{text} Field: {name}." if name else text
