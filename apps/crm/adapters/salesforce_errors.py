"""
What Salesforce's refusals mean, in RTX's errors. Messages are RTX's own: those of Salesforce may hold values
of the record. Only codes and names of fields are taken over.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from apps.crm.adapters.base import retry_after, word
from apps.crm.adapters.provider import (
    Answer,
    CallRefused,
    ConnectionFault,
    Forbidden,
    LimitReached,
    Limits,
    ProviderError,
    Unavailable,
    of_whole,
)

DAILY_PAUSE_S = 900.0  # the 24 hours roll, and the answer does not say when there is room again
BUSY_PAUSE_S = 5.0  # too many long calls at once
_BUSY = frozenset({"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION"})
_GONE = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY"})
_OF_MAPPING = frozenset({"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE"})  # of a whole call: any record
_MEANINGS = {
    "API_CURRENTLY_DISABLED": ("missing_rights", "The API is disabled for this user."),
    "API_DISABLED_FOR_ORG": ("missing_rights", "This edition of Salesforce has no API, or it is disabled."),
    "CANNOT_UPDATE_CONVERTED_LEAD": ("lead_converted", "The lead was converted: it takes no more changes."),
    "DUPLICATES_DETECTED": ("duplicate_value", "A duplicate rule of Salesforce blocks this record."),
    "DUPLICATE_EXTERNAL_ID": ("several_records", "Several records have the same RTX id."),
    "DUPLICATE_VALUE": ("duplicate_value", "Another record has this value in a unique field."),
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": ("value_refused", "A validation rule of Salesforce refuses it."),
    "FIELD_INTEGRITY_EXCEPTION": ("value_refused", "The value does not fit the others of the record."),
    "INSUFFICIENT_ACCESS": ("missing_rights", "The connected user lacks a right for this."),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": ("missing_rights", "The user may not use that record."),
    "INSUFFICIENT_ACCESS_OR_READONLY": ("missing_rights", "The connected user lacks a right for this."),
    "INVALID_EMAIL_ADDRESS": ("value_refused", "Salesforce does not take the e-mail address."),
    "INVALID_FIELD": ("field_missing", "A mapped field does not exist, or the user may not see it."),
    "INVALID_FIELD_FOR_INSERT_UPDATE": ("field_read_only", "A mapped field cannot be written."),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": ("value_refused", "The value is none of the list's."),
    "INVALID_TYPE": ("object_missing", "The object does not exist, or the user may not see it."),
    "INVALID_TYPE_ON_FIELD_IN_RECORD": ("value_refused", "The value does not fit the field's type."),
    "JSON_PARSER_ERROR": ("value_refused", "The value does not fit the field's type."),
    "NUMBER_OUTSIDE_VALID_RANGE": ("value_refused", "The number is too long for the field."),
    "REQUIRED_FIELD_MISSING": ("value_missing", "A field that Salesforce requires has no value."),
    "STRING_TOO_LONG": ("value_refused", "The text is too long for the field."),
}


def code_of(body: Any) -> str:
    """Return the code of an answer's first error; empty where it names none."""
    first = body[0] if isinstance(body, list) and body else body
    named = first.get("errorCode") or first.get("error") if isinstance(first, dict) else ""
    return word(named)


def failure(answer: Answer) -> ProviderError:
    """Return the error that a whole answer outside 2xx means."""
    code = code_of(answer.body)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(answer)
    if answer.status == 429:
        return LimitReached("Too many calls.", retry_after_s=retry_after(answer.headers) or BUSY_PAUSE_S)
    if answer.status == 401:
        return ConnectionFault("Salesforce does not take the access token.", code="not_authorized")
    if answer.status >= 500 or code in _BUSY:
        return Unavailable(f"Salesforce answered {answer.status}.", retry_after_s=retry_after(answer.headers))
    if answer.status == 300:
        return CallRefused("Several records have the same RTX id.", code="several_records")
    if answer.status == 404 and code not in _MEANINGS:
        # Whoever asks for one record takes this answer itself: here it is about an object or a field.
        return Forbidden("The object or its id field does not exist.", code="object_missing")
    refused = _meaning(code, _fields(answer.body), answer.status)
    if code in _OF_MAPPING:
        return Forbidden(str(refused), code=refused.code)
    return of_whole(refused)


def of_record(errors: Any, *, is_known: bool) -> ProviderError:
    """Return why one record of a collection was not written. `is_known`: it was named by its own id."""
    first = errors[0] if isinstance(errors, list) and errors else {}
    code = word(first.get("statusCode")) if isinstance(first, dict) else ""
    fields = _fields(errors)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return LimitReached(
            "The calls of the day are used up.", code="daily_limit", retry_after_s=DAILY_PAUSE_S
        )
    if code in _BUSY:
        return Unavailable("Salesforce could not write the record now.", code="record_busy")
    if code in _GONE:
        if is_known and not fields:
            return CallRefused("The record was deleted.", code="record_gone")
        return CallRefused(_named("A record that it refers to was deleted.", fields), code="parent_gone")
    return _meaning(code, fields, 0)


def limits(headers: Mapping[str, str]) -> Limits:
    """Read `Sforce-Limit-Info: api-usage=10018/100000`; a header of another form says nothing."""
    found = re.search(r"(?:^|[\s,;])api-usage=(\d{1,12})/(\d{1,12})", headers.get("sforce-limit-info", ""))
    if found is None:
        return Limits()
    used, most = int(found[1]), int(found[2])
    return Limits(daily_max=most, daily_left=max(0, most - used))


def _limit(answer: Answer) -> LimitReached:
    first = answer.body[0] if isinstance(answer.body, list) else answer.body
    told = retry_after(answer.headers)
    if "concurrent" in str(first.get("message", "")).lower():
        return LimitReached("Too many long calls at once.", retry_after_s=told or BUSY_PAUSE_S)
    return LimitReached(
        "The calls of the day are used up.", code="daily_limit", retry_after_s=told or DAILY_PAUSE_S
    )


def _meaning(code: str, fields: Sequence[str], status: int) -> CallRefused:
    known = _MEANINGS.get(code)
    if known is None:
        what = code or (f"status {status}" if status else "an error without a code")
        return CallRefused(_named(f"Salesforce refused: {what}.", fields))
    return CallRefused(_named(known[1], fields), code=known[0])


def _named(text: str, fields: Sequence[str]) -> str:
    return f"{text} Field: {', '.join(fields)}." if fields else text


def _fields(errors: Any) -> list[str]:
    """Return the names of fields in errors; "No such column" names one in its message alone."""
    found: list[str] = []
    for error in errors if isinstance(errors, list) else []:
        if not isinstance(error, dict):
            continue
        given = error.get("fields")
        found += [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
        column = re.search(r"No such column '(\w{1,80})'", str(error.get("message", "")))
        found += [column[1]] if column else []
    return [one for one in dict.fromkeys(found) if re.fullmatch(r"\w{1,80}", one)][:5]
