"""Salesforce's description of a field, in RTX's words. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from apps.crm.adapters.provider import FieldInfo

_TEXTS = frozenset({"string", "textarea", "email", "phone", "url", "encryptedstring"})
_EMPTIED = _TEXTS | {"currency", "date", "datetime", "double", "int", "percent"}
_SKIPPED = frozenset({"address", "location", "base64", "complexvalue", "anyType", "json"})
_TYPES: Mapping[str, Literal["text", "number", "boolean", "date", "datetime", "choice", "email", "phone"]] = {
    "boolean": "boolean",
    "combobox": "choice",
    "currency": "number",
    "date": "date",
    "datetime": "datetime",
    "double": "number",
    "email": "email",
    "int": "number",
    "long": "number",
    "multipicklist": "choice",
    "percent": "number",
    "phone": "phone",
    "picklist": "choice",
}


def emptied(fields: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    """Return what a record becomes before it is deleted: nothing, and `Erased` where there must be a text."""
    found: dict[str, str | None] = {}
    for one in fields:
        if one.get("updateable") is not True or one.get("type") not in _EMPTIED:
            continue
        if one.get("nillable"):
            found[str(one.get("name"))] = None
        elif one.get("type") in ("string", "textarea"):
            found[str(one.get("name"))] = "Erased"
    return found


def field_info(given: Mapping[str, Any]) -> FieldInfo | None:
    """Return a field as a person chooses it; None for compound and binary ones."""
    kind = str(given.get("type"))
    if kind in _SKIPPED or not given.get("name"):
        return None
    choices = given.get("picklistValues")
    may_write = given.get("updateable") is True or given.get("createable") is True
    return FieldInfo(
        name=str(given["name"]),
        label=str(given.get("label") or given["name"]),
        type=_TYPES.get(kind, "text"),
        is_read_only=given.get("updateable") is not True,
        is_required=may_write and not given.get("nillable") and not given.get("defaultedOnCreate"),
        is_unique=given.get("unique") is True,
        choices=tuple(
            str(one.get("value"))
            for one in (choices if isinstance(choices, list) else [])
            if isinstance(one, dict) and one.get("active") is not False
        ),
    )
