"""
Zoho's fields and values: as a person chooses fields, as texts turn into what Zoho's JSON wants (numbers,
yes/no, lists, instants), and back. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from apps.crm.adapters.provider import CallRefused, FieldInfo, Fields, Forbidden

FieldType = Literal["text", "number", "boolean", "date", "datetime", "choice", "email", "phone"]
Value = str | int | float | bool | list[str] | dict[str, str] | None
_TYPES: Mapping[str, FieldType] = {
    "bigint": "number",
    "boolean": "boolean",
    "currency": "number",
    "date": "date",
    "datetime": "datetime",
    "double": "number",
    "email": "email",
    "integer": "number",
    "multiselectpicklist": "choice",
    "percent": "number",
    "phone": "phone",
    "picklist": "choice",
}
_JSON = {
    "boolean": "boolean",
    "currency": "double",
    "double": "double",
    "integer": "integer",
    "lookup": "jsonobject",
    "multiselectpicklist": "jsonarray",
    "percent": "double",
}
_SKIPPED = frozenset(
    {"consent_lookup", "fileupload", "imageupload", "multiselectlookup", "profileimage", "subform"}
)
PERSONAL = frozenset({"date", "email", "phone", "text", "textarea", "website"})
# Texts for certain: their values need no look at the description of the fields.
TEXTS = frozenset(
    {
        *("Company", "Deal_Name", "Description", "Email", "First_Name", "Last_Name", "Mobile", "Name"),
        *("Phone", "RTX_Client_Id", "RTX_Login", "Stage", "Lead_Source"),
        *("City", "Country", "State", "Street", "Zip_Code"),
        *("Mailing_City", "Mailing_Country", "Mailing_State", "Mailing_Street", "Mailing_Zip"),
    }
)
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
_FLAGS = {"true": True, "false": False}


def name(given: str) -> str:
    """
    Return the API name of a module or field.

    :raises Forbidden: it has another form; it goes into no path and no query.
    """
    if not re.fullmatch(r"[A-Za-z]\w{0,79}", given, re.ASCII):
        raise Forbidden("This is no name of a module or field.", code="object_missing")
    return given


def record_id(given: str) -> str:
    """
    Return a record's id.

    :raises CallRefused: it has another form.
    """
    if not re.fullmatch(r"[0-9]{1,20}", given, re.ASCII):
        raise CallRefused("This is no id of Zoho.", code="not_found")
    return given


def field_info(row: Mapping[str, Any]) -> FieldInfo | None:
    """Return a field as a person chooses it; None for those that hold no single value."""
    kind, api_name = str(row.get("data_type")), row.get("api_name")
    if not isinstance(api_name, str) or not api_name or kind in _SKIPPED or row.get("visible") is False:
        return None
    choices = row.get("pick_list_values")
    return FieldInfo(
        name=api_name,
        label=str(row.get("field_label") or api_name),
        type=_TYPES.get(kind, "text"),
        is_read_only=is_read_only(row),
        is_required=row.get("system_mandatory") is True,
        is_unique=bool(row.get("unique")),
        choices=tuple(
            str(one["actual_value"])
            for one in (choices if isinstance(choices, list) else [])
            if isinstance(one, dict) and one.get("actual_value") not in (None, "-None-")
        ),
    )


def is_read_only(row: Mapping[str, Any]) -> bool:
    """Tell whether the API cannot write a field."""
    allowed = row.get("operation_type")
    is_barred = isinstance(allowed, dict) and allowed.get("api_update") is False
    is_computed = row.get("data_type") in ("autonumber", "formula", "rollup_summary")
    return bool(row.get("read_only") or row.get("field_read_only") or is_barred or is_computed)


def erasing(rows: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    """Return what empties the personal fields of a record; a field that must be filled gets a word."""
    emptied: dict[str, str | None] = {}
    for row in rows:
        kind = row.get("data_type")
        if kind not in PERSONAL or is_read_only(row) or not row.get("api_name"):
            continue
        if row.get("system_mandatory") is not True:
            emptied[str(row["api_name"])] = None
        elif kind in ("text", "textarea"):
            emptied[str(row["api_name"])] = "Erased"
    return emptied


def may_need_type(fields: Fields) -> bool:
    """Tell whether a value may be something else than a text in Zoho's JSON."""
    return any(
        value is not None
        and field not in TEXTS
        and bool(_NUMBER.fullmatch(value) or _INSTANT.fullmatch(value) or value in _FLAGS)
        for field, value in fields.items()
    )


def outward(text: str | None, kind: tuple[str, str] | None) -> Value:
    """
    Return a text as Zoho's JSON wants it. `kind`: data type and JSON type of the field, where they are known.
    What does not fit stays a text: Zoho then names the field.
    """
    if not text:
        return None
    data_type, json_type = kind or ("text", "string")
    json_type = json_type or _JSON.get(data_type, "string")
    if data_type == "datetime" and _INSTANT.fullmatch(text):
        return instant(text)
    if json_type == "integer" and re.fullmatch(r"-?\d{1,18}(\.0*)?", text):
        return int(text.partition(".")[0])
    if json_type == "double" and _NUMBER.fullmatch(text):
        return float(text)
    if json_type == "boolean" and text.lower() in _FLAGS:
        return _FLAGS[text.lower()]
    if json_type == "jsonarray":
        return [part.strip() for part in text.split(";") if part.strip()]
    if json_type == "jsonobject" and re.fullmatch(r"\d{1,20}", text):
        return {"id": text}
    return text


def instant(text: str) -> str:
    """Return an instant as Zoho writes it: seconds, with an offset."""
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return at.astimezone(UTC).isoformat(timespec="seconds")


def inward(value: Any) -> str | None:
    """Return a value of Zoho's JSON as text; None: empty. A record that is named is shown by its name."""
    match value:
        case None | "" | [] | {}:
            return None
        case bool():
            return "true" if value else "false"
        case float():
            return format(Decimal(repr(value)).normalize(), "f")
        case list():
            return ";".join(shown for one in value if (shown := inward(one)) is not None) or None
        case dict():
            return inward(value.get("name") or value.get("id"))
        case _:
            return str(value)
