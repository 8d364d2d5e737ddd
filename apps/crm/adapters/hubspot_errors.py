"""
What HubSpot's refusals mean, in RTX's errors, and what its headers say about limits. Messages are RTX's own:
those of HubSpot may hold values of the record. Only codes and names of properties are taken over.
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

DAILY_PAUSE_S = 900.0  # the day ends at midnight of the portal's time zone, which the answer does not tell
PAUSES_S = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}
LOCKED_PAUSE_S = 2.0
NO_OBJECT = "Unable to infer object type"  # of a validation error without a code of its own
_MEANINGS = {
    "PROPERTY_DOESNT_EXIST": ("field_unknown", "A mapped property does not exist in HubSpot."),
    "READ_ONLY_VALUE": ("field_read_only", "A mapped property cannot be written."),
    "CONFLICTING_UNIQUE_VALUE": ("several_records", "Another record has this value in a unique property."),
    "REQUIRED_FIELD": ("field_missing", "A property that HubSpot requires has no value."),
}
OF_MAPPING = frozenset({"field_unknown", "field_read_only"})  # every record with that property is refused


def failure(answer: Answer) -> ProviderError:
    """Return the error that a whole answer outside 2xx means."""
    body = answer.body if isinstance(answer.body, dict) else {}
    told = retry_after(answer.headers)
    if answer.status == 429:
        return _limit(str(body.get("policyName") or ""), told)
    if answer.status == 401:
        return ConnectionFault("HubSpot does not take the access token.", code="not_authorized")
    if answer.status >= 500 or answer.status in (408, 423, 477):
        pause = told if told is not None else LOCKED_PAUSE_S if answer.status == 423 else None
        return Unavailable(f"HubSpot answered {answer.status}.", retry_after_s=pause)
    return of_whole(of_record(body, status=answer.status))


def of_record(error: Mapping[str, Any], *, status: int = 0) -> CallRefused:
    """Return why a record, or a whole request, was refused."""
    category = word(error.get("category"))
    if status == 409 or category == "CONFLICT":
        return CallRefused("Another contact has this e-mail address.", code="duplicate_value")
    if category == "MISSING_SCOPES":
        return CallRefused("The OAuth app lacks a scope for this.", code="missing_scopes")
    if str(error.get("message") or "").startswith(NO_OBJECT):
        return CallRefused("HubSpot has no such object.", code="object_missing")
    if category == "OBJECT_NOT_FOUND":
        return CallRefused("There is no such record (any more).", code="not_found")
    if status == 404:
        return CallRefused("HubSpot does not know what was asked for.", code="object_missing")
    if status == 403:
        return CallRefused("The connected app may not do this.", code="missing_rights")
    code, names = details(error)
    if code in _MEANINGS:
        meant, text = _MEANINGS[code]
        return CallRefused(_named(text, names), code=meant)
    if code.startswith("INVALID_") or code == "PROPERTY_VALUE_TOO_LONG":
        return CallRefused(_named("HubSpot does not take a value.", names), code="value_refused")
    what = code or category or (f"status {status}" if status else "an error without a code")
    return CallRefused(_named(f"HubSpot refused: {what}.", names))


def details(error: Mapping[str, Any]) -> tuple[str, list[str]]:
    """
    Return the first detail's code and the properties that are named. Older endpoints write both as JSON into
    the message.
    """
    codes: list[str] = []
    names: list[Any] = []
    given = error.get("errors")
    for one in given if isinstance(given, list) else []:
        if isinstance(one, dict):
            codes.append(word(one.get("code")))
            context = one.get("context")
            found = context.get("propertyName") if isinstance(context, dict) else one.get("in")
            names += found if isinstance(found, list) else [found]
    message = str(error.get("message") or "")
    codes += re.findall(r'"error":\s*"([A-Z_]{1,60})"', message)
    names += re.findall(r'"name":\s*"(\w{1,100})"', message)
    known = [one for one in names if isinstance(one, str) and re.fullmatch(r"\w{1,100}", one)]
    return next((code for code in codes if code), ""), list(dict.fromkeys(known))[:5]


def existing_id(error: Mapping[str, Any]) -> str:
    """Return the id of the contact that has the e-mail address already; empty where none is named."""
    found = re.search(r"Existing ID:\s*(\d{1,20})", str(error.get("message") or ""))
    return found[1] if found else ""


def limits(headers: Mapping[str, str]) -> Limits:
    """Read the X-HubSpot-RateLimit headers; OAuth apps and searches are told less, or nothing."""

    def number(name: str) -> int | None:
        given = headers.get(f"x-hubspot-ratelimit-{name}", "")
        return int(given) if re.fullmatch(r"\d{1,12}", given) else None

    return Limits(
        window_max=number("max"),
        window_left=number("remaining"),
        window_ms=number("interval-milliseconds"),
        daily_max=number("daily"),
        daily_left=number("daily-remaining"),
    )


def _limit(policy: str, told: float | None) -> LimitReached:
    if "DAILY" in policy.upper():
        return LimitReached(
            "The calls of the day are used up.", code="daily_limit", retry_after_s=told or DAILY_PAUSE_S
        )
    pause = told if told is not None else PAUSES_S.get(policy.upper(), 10.0)
    return LimitReached("Too many calls.", retry_after_s=pause)


def _named(text: str, names: list[str]) -> str:
    return f"{text} Property: {', '.join(names)}." if names else text
