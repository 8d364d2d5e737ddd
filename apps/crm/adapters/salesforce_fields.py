"""Salesforce's description of a field, in RTX's words. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

from apps.crm.adapters.provider import FieldInfo

# What is emptied before a record is deleted.
PERSONAL = frozenset({"string", "textarea", "email", "phone", "url", "date", "encryptedstring"})
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
