"""
Properties of HubSpot's objects: as a person chooses them, and the unique ones that hold RTX's ids.
"""

from collections.abc import Mapping
from typing import Any, Literal

from apps.crm.adapters.provider import FieldInfo, Session

CLIENT_PROPERTY, ACCOUNT_PROPERTY = "rtx_client_id", "rtx_login"
FieldType = Literal["text", "number", "boolean", "date", "datetime", "choice", "email", "phone"]
TYPES: Mapping[str, FieldType] = {
    "number": "number",
    "bool": "boolean",
    "date": "date",
    "datetime": "datetime",
    "enumeration": "choice",
}
GROUPS = {"contacts": "contactinformation", "deals": "dealinformation", "companies": "companyinformation"}


def prepare(session: Session, object_name: str, name: str) -> list[str]:
    """Make RTX's property of an object where it is missing; return what a person must do."""
    path = f"/crm/v3/properties/{object_name}"
    known = session.call(
        "GET", f"{path}/{name}", operation="describe", object_name=object_name, expected=(404,)
    )
    if known.status != 404:
        is_unique = isinstance(known.body, dict) and known.body.get("hasUniqueValue") is True
        advice = f"Property {name} of {object_name} is not unique. Delete it; RTX makes it anew."
        return [] if is_unique else [advice]
    made = session.call(
        "POST",
        path,
        operation="create_property",
        object_name=object_name,
        is_write=True,
        json={
            "name": name,
            "label": "RTX client id" if name == CLIENT_PROPERTY else "RTX login",
            "type": "string",
            "fieldType": "text",
            "groupName": GROUPS.get(object_name, f"{object_name}_information"),
            "hasUniqueValue": True,
            "description": "Written by RTX. By it records are found again: do not change it.",
        },
        expected=(400, 403, 409),
    )
    if made.status < 300:
        session.id_field_made(object_name)
    if made.status < 300 or made.status == 409:
        return []
    advice = f"Property {name} of {object_name} is missing and RTX could not make it:"
    return [f"{advice} make it (single-line text, unique values), or allow the app crm.schemas scopes."]


def field_info(row: Mapping[str, Any]) -> FieldInfo:
    """Return a property as the API describes it."""
    name = str(row.get("name") or "")
    meta = row.get("modificationMetadata")
    is_fixed = isinstance(meta, dict) and meta.get("readOnlyValue") is True
    options = row.get("options")
    kind: FieldType = TYPES.get(str(row.get("type")), "text")
    if name == "email":
        kind = "email"
    elif row.get("fieldType") == "phonenumber":
        kind = "phone"
    return FieldInfo(
        name=name,
        label=str(row.get("label") or name),
        type=kind,
        is_read_only=is_fixed or row.get("calculated") is True,
        is_unique=row.get("hasUniqueValue") is True or name == "email",
        choices=tuple(
            str(one["value"])
            for one in (options if isinstance(options, list) else [])
            if isinstance(one, dict) and one.get("value") is not None
        ),
    )
