"""
What the Zoho fake keeps: modules with fields and their rules, records with unique values, the recycle bin,
times in whole seconds. Knows no request (`tests.fakes.zoho` does).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.fakes.fake import Clock, Numbers

HOME = timezone(timedelta(hours=5, minutes=30))  # of the organization: Zoho writes times in it
USER = {"name": "Patricia Boyle", "id": "5725767000000411001"}
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
JSON_TYPES = {
    "bigint": "string",
    "boolean": "boolean",
    "currency": "double",
    "double": "double",
    "integer": "integer",
    "lookup": "jsonobject",
    "multiselectpicklist": "jsonarray",
    "ownerlookup": "jsonobject",
}
PYTHON = {"boolean": bool, "double": (int, float), "integer": int, "jsonarray": list, "jsonobject": dict}


class Refused(Exception):
    """A request, or one record of it, that Zoho refuses with this code and these details."""

    def __init__(self, code: str, message: str, status: int = 400, **details: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.details = code, message, status, details

    def as_json(self) -> dict[str, Any]:
        """As Zoho writes it."""
        return {"code": self.code, "details": self.details, "message": self.message, "status": "error"}


@dataclass
class Field:
    """A field of a module."""

    api_name: str
    data_type: str = "text"
    is_unique: bool = False
    is_read_only: bool = False
    is_mandatory: bool = False
    length: int = 255
    choices: tuple[str, ...] = ()

    @property
    def json_type(self) -> str:
        """What its values are in JSON."""
        return JSON_TYPES.get(self.data_type, "string")

    def as_json(self) -> dict[str, Any]:
        """As the fields API writes it."""
        return {
            "api_name": self.api_name,
            "field_label": self.api_name.replace("_", " "),
            "display_label": self.api_name.replace("_", " "),
            "data_type": self.data_type,
            "json_type": self.json_type,
            "unique": {"casesensitive": "false"} if self.is_unique else {},
            "read_only": self.is_read_only,
            "field_read_only": self.is_read_only,
            "system_mandatory": self.is_mandatory,
            "visible": True,
            "length": self.length,
            "custom_field": self.api_name.startswith("RTX_"),
            "operation_type": {
                "web_update": True,
                "api_create": True,
                "web_create": True,
                "api_update": not self.is_read_only,
            },
            "pick_list_values": [{"display_value": one, "actual_value": one} for one in self.choices],
        }

    def check(self, value: Any, place: int) -> None:
        """Refuse a value that is none of this field's; None empties it."""
        where = {"api_name": self.api_name, "json_path": f"$.data[{place}].{self.api_name}"}
        if value is None:
            if self.is_mandatory:
                raise Refused("MANDATORY_NOT_FOUND", "required field not found", **where)
            return
        wanted = PYTHON.get(self.json_type, str)
        is_fit = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
        if is_fit and isinstance(value, str):
            pattern = {"email": EMAIL, "date": DATE, "datetime": INSTANT}.get(self.data_type)
            is_fit = pattern is None or bool(pattern.fullmatch(value))
        if not is_fit:
            shown = self.json_type if self.json_type != "string" else self.data_type
            raise Refused("INVALID_DATA", "invalid data", expected_data_type=shown, **where)
        if isinstance(value, str) and len(value) > self.length:
            raise Refused("INVALID_DATA", "invalid data", maximum_length=self.length, **where)


@dataclass
class Kept:
    """One record. `deleted_at`: in the recycle bin since then."""

    id: str
    values: dict[str, Any]
    created_at: int
    modified_at: int
    deleted_at: int | None = None
    is_permanent: bool = False


def shown_time(at: int) -> str:
    """Write an instant as Zoho does."""
    return datetime.fromtimestamp(at, tz=UTC).astimezone(HOME).isoformat(timespec="seconds")


class Module:
    """The records of one module."""

    def __init__(self, name: str, fields: list[Field], ids: Numbers, clock: Clock) -> None:
        self.name, self.ids, self.clock = name, ids, clock
        self.fields = {one.api_name: one for one in fields}
        self.records: dict[str, Kept] = {}

    def alive(self) -> list[Kept]:
        """Return the records that are not deleted."""
        return [one for one in self.records.values() if one.deleted_at is None]

    def find(self, record_id: str) -> Kept | None:
        """Return a record by its id; None for a deleted one too."""
        kept = self.records.get(record_id)
        return kept if kept is not None and kept.deleted_at is None else None

    def matching(self, name: str, value: Any) -> Kept | None:
        """Return the oldest record with a value; case makes no difference."""
        wanted = str(value).lower()
        return next((one for one in self.alive() if str(one.values.get(name, "")).lower() == wanted), None)

    def write(self, kept: Kept | None, given: dict[str, Any], place: int = 0) -> Kept:
        """Create or change one record, all or nothing. Names that are no field are passed over."""
        values = {
            name: None if value == "" else value
            for name, value in given.items()
            if name in self.fields and not self.fields[name].is_read_only
        }
        for name, known in self.fields.items():
            if name in values:
                known.check(values[name], place)
                self._check_free(known, values[name], kept, place)
            elif kept is None and known.is_mandatory:
                known.check(None, place)
        now = int(self.clock())
        if kept is None:
            kept = Kept(f"5725767000{next(self.ids):09d}", {}, now, now)
            self.records[kept.id] = kept
        kept.values |= values
        kept.modified_at = now
        return kept

    def delete(self, kept: Kept) -> None:
        """Put a record into the recycle bin."""
        kept.deleted_at = int(self.clock())

    def shown(self, kept: Kept, names: list[str]) -> dict[str, Any]:
        """Write a record as the API does."""
        own = {"Created_Time": shown_time(kept.created_at), "Modified_Time": shown_time(kept.modified_at)}
        known = {**dict.fromkeys(self.fields), **kept.values, **own}
        return {"id": kept.id, **{name: known[name] for name in names if name in known}}

    def _check_free(self, known: Field, value: Any, kept: Kept | None, place: int) -> None:
        if not known.is_unique or value is None:
            return
        other = self.matching(known.api_name, value)
        if other is not None and other is not kept:
            raise Refused(
                "DUPLICATE_DATA",
                "duplicate data",
                api_name=known.api_name,
                json_path=f"$.data[{place}].{known.api_name}",
                duplicate_record={"id": other.id, "Owner": USER},
                more_records=False,
            )


def person(*, is_lead: bool) -> list[Field]:
    """Return the fields that every organization's contacts, or leads, have."""
    prefix = "" if is_lead else "Mailing_"
    return [
        Field("Created_Time", "datetime", is_read_only=True),
        Field("Modified_Time", "datetime", is_read_only=True),
        Field("Owner", "ownerlookup", is_read_only=True),
        Field("First_Name", length=40),
        Field("Last_Name", length=80, is_mandatory=True),
        Field("Email", "email", length=100),
        Field("Phone", "phone", length=30),
        Field(f"{prefix}Street", length=250),
        Field(f"{prefix}Country", length=100),
        Field("Description", "textarea", length=32_000),
        Field("Email_Opt_Out", "boolean"),
        Field("Lead_Source", "picklist", choices=("-None-", "Cold Call", "Web Download")),
        Field("Full_Name", "formula", is_read_only=True),
        Field("Record_Image", "profileimage"),
        *([Field("Company", is_mandatory=True, length=200)] if is_lead else [Field("Date_of_Birth", "date")]),
    ]


def deal() -> list[Field]:
    """Return the fields that every organization's deals have."""
    return [
        Field("Created_Time", "datetime", is_read_only=True),
        Field("Modified_Time", "datetime", is_read_only=True),
        Field("Deal_Name", is_mandatory=True),
        Field("Amount", "currency"),
        Field("Closing_Date", "date"),
        Field("Stage", "picklist", is_mandatory=True, choices=("Qualification", "Closed Won")),
        Field("Contact_Name", "lookup"),
    ]
