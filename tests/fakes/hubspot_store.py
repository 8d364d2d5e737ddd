"""
What the HubSpot fake keeps: properties with their rules, records with unique values, times in milliseconds.
Knows no request (`tests.fakes.hubspot` does).
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.fake import Numbers

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
MODIFIED = {"contacts": "lastmodifieddate", "deals": "hs_lastmodifieddate"}
MERGED = "hs_merged_object_ids"
SINGULAR = {"contacts": "contact", "deals": "deal"}


class Refused(Exception):
    """A request, or one record of a batch, that HubSpot refuses in these words."""

    def __init__(self, status: int, category: str, message: str, code: str = "", prop: str = "") -> None:
        super().__init__(message)
        self.status, self.category, self.message, self.code, self.prop = status, category, message, code, prop

    @property
    def details(self) -> list[dict[str, Any]]:
        """The `errors` of the answer."""
        if not self.code:
            return []
        return [{"message": self.message, "code": self.code, "context": {"propertyName": [self.prop]}}]


@dataclass
class Property:
    """A field of an object."""

    name: str
    label: str
    type: str = "string"
    field_type: str = "text"
    is_unique: bool = False
    is_read_only: bool = False
    options: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As the properties API writes it."""
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": "",
            "groupName": "contactinformation",
            "hidden": False,
            "calculated": False,
            "externalOptions": False,
            "formField": True,
            "hasUniqueValue": self.is_unique,
            "hubspotDefined": not self.name.startswith("rtx_"),
            "options": [
                {"label": one, "value": one, "displayOrder": place, "hidden": False}
                for place, one in enumerate(self.options)
            ],
            "modificationMetadata": {
                "archivable": True,
                "readOnlyDefinition": not self.name.startswith("rtx_"),
                "readOnlyValue": self.is_read_only,
            },
        }

    def check(self, value: str) -> None:
        """Refuse a value that is none of this property's; empty clears it."""
        if self.is_read_only:
            raise Refused(400, "VALIDATION_ERROR", "is read only", "READ_ONLY_VALUE", self.name)
        if not value:
            return
        if self.name == "email" and not EMAIL.fullmatch(value):
            raise Refused(400, "VALIDATION_ERROR", "is not an email", "INVALID_EMAIL", self.name)
        if self.options and value not in self.options:
            raise Refused(400, "VALIDATION_ERROR", "was not one of", "INVALID_OPTION", self.name)
        if self.type == "number" and not re.fullmatch(r"-?\d+(\.\d+)?", value):
            raise Refused(400, "VALIDATION_ERROR", "is not a number", "INVALID_LONG", self.name)
        if self.type in ("date", "datetime") and not re.fullmatch(r"\d{4}-\d{2}-\d{2}.*|-?\d{5,}", value):
            raise Refused(400, "VALIDATION_ERROR", "is not a date", "INVALID_DATE", self.name)
        if len(value) > 65_536:
            raise Refused(400, "VALIDATION_ERROR", "is too long", "PROPERTY_VALUE_TOO_LONG", self.name)


@dataclass
class Kept:
    """One record."""

    id: str
    properties: dict[str, str]
    created_ms: int
    updated_ms: int
    is_archived: bool = False
    associated: set[tuple[str, str]] = field(default_factory=set)  # (object, id)


def iso(ms: int) -> str:
    """Write an instant as HubSpot does."""
    at = datetime.fromtimestamp(ms // 1000, tz=UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def millis(text: str) -> int:
    """Read an instant: milliseconds, or ISO."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(at.timestamp() * 1000)


class Store:
    """The records of one object. Ids come from one counter of the fake."""

    def __init__(self, name: str, properties: list[Property], ids: Numbers) -> None:
        self.name, self.ids = name, ids
        self.modified = MODIFIED[name]
        self.properties = {one.name: one for one in properties}
        self.records: dict[str, Kept] = {}
        self.merged: dict[str, str] = {}  # id of a record that was merged -> of the one it became a part of
        self._unique: dict[tuple[str, str], str] = {}
        self.also: dict[tuple[str, str], str] = {}  # a contact's other e-mail addresses

    def find(self, value: str, by: str = "") -> Kept | None:
        """Return the record with this id or unique value; None for an archived one too."""
        key = (by, value.lower() if by == "email" else value)
        wanted = self._unique.get(key, self.also.get(key)) if by else value
        kept = self.records.get(self.merged.get(wanted or "", wanted or ""))
        return None if kept is None or kept.is_archived else kept

    def check_unique(self, by: str) -> None:
        """Refuse a property by which records cannot be told apart."""
        known = self.properties.get(by)
        if known is None:
            raise Refused(
                400, "VALIDATION_ERROR", f'Property "{by}" does not exist', "PROPERTY_DOESNT_EXIST", by
            )
        if not known.is_unique:
            message = f"Unable to perform update/upsert by non-unique {by} property"
            raise Refused(400, "VALIDATION_ERROR", message, "", by)

    def check_names(self, properties: dict[str, Any]) -> None:
        """Refuse names that are no property."""
        for name in properties:
            if name not in self.properties:
                raise Refused(
                    400,
                    "VALIDATION_ERROR",
                    f'Property "{name}" does not exist',
                    "PROPERTY_DOESNT_EXIST",
                    name,
                )

    def write(self, kept: Kept | None, properties: dict[str, Any], now_ms: int) -> Kept:
        """Create or change one record; all or nothing."""
        values = {name: str("" if value is None else value).strip() for name, value in properties.items()}
        if "email" in values:
            values["email"] = values["email"].lower()  # as HubSpot does
        self.check_names(values)
        for name, value in values.items():
            self.properties[name].check(value)
            self.check_free(name, value, kept)
        if kept is None:
            kept = Kept(str(next(self.ids)), {}, now_ms, now_ms)
            self.records[kept.id] = kept
        for name, value in values.items():
            self._index(kept, name, value)
            if value:
                kept.properties[name] = value
            else:
                kept.properties.pop(name, None)
        kept.updated_ms = now_ms
        return kept

    def archive(self, kept: Kept, now_ms: int) -> None:
        """Delete a record: it can be listed as archived, and its unique values are free."""
        kept.is_archived, kept.updated_ms = True, now_ms
        self._unindex(kept)

    def merge(self, first: Kept, second: Kept, now_ms: int, *, keeps_id: bool) -> Kept:
        """
        Make one record of two: with the first one's values, and what those lack of the second's. It has a new
        id, or as it once was the first one's; all ids that were merged name it.
        """
        values = {**second.properties, **first.properties}
        old = [second.id] if keeps_id else [first.id, second.id]
        parts = [one for kept in (first, second) for one in kept.properties.get(MERGED, "").split(";") if one]
        self.purge(second)
        self.purge(first)
        made = Kept(first.id if keeps_id else str(next(self.ids)), {}, first.created_ms, now_ms)
        made.associated = first.associated | second.associated
        self.records[made.id] = made
        values[MERGED] = ";".join([*parts, *old])
        for name, value in values.items():
            self._index(made, name, value)
            made.properties[name] = value
        self.merged |= dict.fromkeys([*parts, *old], made.id)
        if "email" in second.properties and second.properties["email"] != values["email"]:
            self.also["email", second.properties["email"]] = made.id
        return made

    def purge(self, kept: Kept) -> None:
        """Delete a record for good."""
        self._unindex(kept)
        del self.records[kept.id]

    def shown(self, kept: Kept, names: list[str] | None = None) -> dict[str, Any]:
        """Write a record as the API does: with the default properties unless some are named."""
        own = {
            "hs_object_id": kept.id,
            "createdate": iso(kept.created_ms),
            self.modified: iso(kept.updated_ms),
        }
        asked = names if names else [*list(own), "email", "firstname", "lastname", "dealname"]
        known = {**kept.properties, **own}
        return {
            "id": kept.id,
            "properties": {
                name: known.get(name) for name in [*asked, *own] if name in known or name in self.properties
            },
            "createdAt": iso(kept.created_ms),
            "updatedAt": iso(kept.updated_ms),
            "archived": kept.is_archived,
        }

    def value(self, kept: Kept, name: str) -> str | None:
        """Return a value as searches compare it."""
        if name == self.modified:
            return str(kept.updated_ms)
        if name == "hs_object_id":
            return kept.id
        return str(kept.created_ms) if name == "createdate" else kept.properties.get(name)

    def check_free(self, name: str, value: str, kept: Kept | None) -> None:
        """Refuse a unique value that another record has."""
        if not value or not self.properties[name].is_unique:
            return
        other = self.find(value, name)
        if other is None or other is kept:
            return
        if name == "email":
            raise Refused(409, "CONFLICT", f"Contact already exists. Existing ID: {other.id}")
        message = f"{name} already has that value on object {other.id}"
        raise Refused(400, "VALIDATION_ERROR", message, "CONFLICTING_UNIQUE_VALUE", name)

    def _index(self, kept: Kept, name: str, value: str) -> None:
        if not self.properties[name].is_unique:
            return
        old = kept.properties.get(name, "")
        self._unique.pop((name, old.lower() if name == "email" else old), None)
        if value:
            self._unique[name, value.lower() if name == "email" else value] = kept.id

    def _unindex(self, kept: Kept) -> None:
        for name in self.properties:
            self._index(kept, name, "")


def standard(name: str) -> list[Property]:
    """Return the properties that every portal has."""
    own = [
        Property("hs_object_id", "Record ID", "number", "number", is_read_only=True),
        Property("createdate", "Create date", "datetime", "date", is_read_only=True),
        Property(MERGED, "Merged record IDs", "enumeration", "checkbox", is_read_only=True),
        Property(MODIFIED[name], "Last modified date", "datetime", "date", is_read_only=True),
    ]
    if name == "deals":
        return [
            *own,
            Property("dealname", "Deal name"),
            Property("amount", "Amount", "number", "number"),
            Property("dealstage", "Deal stage", "enumeration", "radio", options=STAGES),
            Property("pipeline", "Pipeline", "enumeration", "select", options=("default",)),
            Property("closedate", "Close date", "datetime", "date"),
            Property("description", "Description", field_type="textarea"),
        ]
    return [
        *own,
        Property("email", "Email", is_unique=True),
        Property("firstname", "First name"),
        Property("lastname", "Last name"),
        Property("phone", "Phone number", field_type="phonenumber"),
        Property("address", "Street address"),
        Property("city", "City"),
        Property("country", "Country/Region"),
        Property("company", "Company name"),
        Property("date_of_birth", "Date of birth"),
        Property("lifecyclestage", "Lifecycle stage", "enumeration", "radio", options=LIFECYCLE),
        Property("hs_language", "Preferred language"),
        Property("message", "Message", field_type="textarea"),
    ]


STAGES = ("appointmentscheduled", "qualifiedtobuy", "contractsent", "closedwon", "closedlost")
LIFECYCLE = ("subscriber", "lead", "opportunity", "customer", "other")
