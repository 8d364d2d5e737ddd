"""
What the Salesforce fake keeps: records with typed fields, unique values, stamps, deletions, transactions that
are not committed yet, and the change events of all writes. Knows no request (`tests.fakes.salesforce` does).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.fake import Numbers
from tests.fakes.salesforce_schema import OBJECTS, PREFIXES, Field, fields_of

USER_ID = "005000000000001AAA"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PARSED = {
    "double": r"-?\d+(\.\d+)?",
    "currency": r"-?\d+(\.\d+)?",
    "boolean": r"true|false",
    "date": r"\d{4}-\d\d-\d\d",
    "datetime": r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)",
}


class Refused(Exception):
    """A request, or one record of a collection, that is refused in these words."""

    def __init__(self, code: str, message: str, fields: tuple[str, ...] = (), *, status: int = 400) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.fields = status, code, message, fields


class Unparsed(Refused):
    """A body that the parser refuses as a whole, whatever else is in it."""


@dataclass
class Kept:
    """One record."""

    id: str
    values: dict[str, Any]
    created_at: float
    stamp: float
    deleted_at: float | None = None
    master_id: str | None = None
    is_committed: bool = True


def stamp_text(at: float) -> str:
    """Return seconds since 1970 as Salesforce writes an instant: whole seconds, as if they were exact."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


@dataclass
class Store:
    """The records of one object."""

    name: str
    clock: Callable[[], float]
    fields: dict[str, Field] = field(default_factory=dict)
    records: dict[str, Kept] = field(default_factory=dict)
    by_unique: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    is_held: bool = False
    numbers: Numbers = field(default_factory=Numbers)

    def row(self, kept: Kept) -> dict[str, Any]:
        """Return all values of a record."""
        row = {**dict.fromkeys(self.fields), **kept.values}
        row.update(
            Id=kept.id,
            IsDeleted=kept.deleted_at is not None,
            CreatedDate=stamp_text(kept.created_at),
            LastModifiedDate=stamp_text(kept.stamp),
            SystemModstamp=stamp_text(kept.stamp),
            MasterRecordId=kept.master_id,
        )
        row["OwnerId"] = row.get("OwnerId") or USER_ID
        if "LastName" in self.fields:
            row["Name"] = " ".join(filter(None, (row.get("FirstName"), row.get("LastName"))))
        for one in self.fields.values():
            if one.type == "boolean" and row.get(one.name) is None:
                row[one.name] = False
        return row

    def shown(self, kept: Kept, names: list[str]) -> dict[str, Any]:
        """Return some values of a record as answers write it."""
        row = self.row(kept)
        url = f"/services/data/v62.0/sobjects/{self.name}/{kept.id}"
        return {"attributes": {"type": self.name, "url": url}, **{name: row[name] for name in names}}

    def check(self, names: set[str] | list[str]) -> None:
        """Refuse names that are no field."""
        for name in names:
            if name not in self.fields:
                message = f"No such column '{name}' on entity '{self.name}'."
                raise Unparsed("INVALID_FIELD", message)

    def alive(self) -> list[Kept]:
        """Return the records that queries see."""
        return [one for one in self.committed() if one.deleted_at is None]

    def committed(self) -> list[Kept]:
        """Return the records that queries see which look into the bin too."""
        return [one for one in self.records.values() if one.is_committed]

    def get(self, record_id: str) -> Kept:
        """Return a record by its id (15 or 18 characters)."""
        if not re.fullmatch(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?", record_id):
            raise Refused("MALFORMED_ID", "malformed id", ("Id",))
        kept = next((one for one in self.records.values() if one.id[:15] == record_id[:15]), None)
        if kept is None or not kept.is_committed:
            raise Refused("NOT_FOUND", "The requested resource does not exist", status=404)
        if kept.deleted_at is not None:
            raise Refused("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return kept

    def matching(self, name: str, value: str) -> list[Kept]:
        """Return the living records with a value in an external-id field, whatever its case."""
        one = self.fields.get(name)
        if one is None or not one.is_external:
            raise Unparsed(
                "NOT_FOUND", "Provided external ID field does not exist or is not accessible", status=404
            )
        ids = self.by_unique.get((name, value.lower()), set())
        return [self.records[one] for one in sorted(ids) if self.records[one].deleted_at is None]

    def parsed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Read a record of a body: unknown fields and values of a wrong type fail the whole request."""
        content = {name: value for name, value in given.items() if name not in ("attributes", "Id", "id")}
        self.check(list(content))
        read: dict[str, Any] = {}
        for name, value in content.items():
            kind = self.fields[name].type
            text = ("true" if value else "false") if isinstance(value, bool) else value
            if value is not None and kind in _PARSED and not re.fullmatch(_PARSED[kind], str(text)):
                message = f"Cannot deserialize instance of {kind} from VALUE_STRING value {value}"
                raise Unparsed("JSON_PARSER_ERROR", message)
            if value is not None and kind not in _PARSED and not isinstance(value, str):
                raise Unparsed("JSON_PARSER_ERROR", f"Cannot deserialize instance of string from {value}")
            read[name] = _typed(kind, text)
        return read

    def write(self, kept: Kept | None, values: Mapping[str, Any]) -> Kept:
        """Create (`kept` is None) or change a record."""
        self._rules(kept, values)
        at = self.clock()
        if kept is None:
            number = f"{next(self.numbers):012d}"
            kept = Kept(f"{PREFIXES[self.name]}{number}AAA", {}, at, at, is_committed=not self.is_held)
            self.records[kept.id] = kept
        for name, value in values.items():
            if self.fields[name].is_unique or self.fields[name].is_external:
                if kept.values.get(name):
                    self.by_unique.get((name, kept.values[name].lower()), set()).discard(kept.id)
                if value:
                    self.by_unique.setdefault((name, value.lower()), set()).add(kept.id)
        kept.values.update(values)
        kept.stamp = at
        return kept

    def delete(self, kept: Kept) -> None:
        """Put a record into the recycle bin."""
        kept.deleted_at = kept.stamp = self.clock()

    def _rules(self, kept: Kept | None, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            one = self.fields[name]
            if not (one.may_create if kept is None else one.may_update):
                message = f"Unable to create/update fields: {name}."
                raise Refused("INVALID_FIELD_FOR_INSERT_UPDATE", message, (name,))
            if value is None:
                continue
            if one.type == "email" and not _EMAIL.fullmatch(value):
                raise Refused("INVALID_EMAIL_ADDRESS", f"Email: invalid email address: {value}", (name,))
            if one.length and len(value) > one.length:
                message = f"{name}: data value too large: {value} (max length={one.length})"
                raise Refused("STRING_TOO_LONG", message, (name,))
            if one.choices and value not in one.choices:
                message = f"{name}: bad value for restricted picklist field: {value}"
                raise Refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (name,))
            others = self.by_unique.get((name, value.lower()), set()) if one.is_unique else set()
            if any(self.records[other].deleted_at is None for other in others - {kept.id if kept else ""}):
                message = f"duplicate value found: {name} duplicates value on record with id: {min(others)}"
                raise Refused("DUPLICATE_VALUE", message)
        before = kept.values if kept else {}
        missing = tuple(
            name
            for name, one in self.fields.items()
            if one.is_required and not {**before, **values}.get(name)
        )
        if missing:
            raise Refused("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{missing[0]}]", missing)
        if kept is not None and kept.values.get("IsConverted"):
            raise Refused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")


class Organization:
    """All objects of one organization."""

    def __init__(self, clock: Callable[[], float], organization_id: str) -> None:
        self.id = organization_id
        self.stores = {name: Store(name, clock, fields_of(name)) for name in OBJECTS}
        kept = Kept(organization_id, {"Name": "Example Ltd"}, clock(), clock())
        self.stores["Organization"].records[organization_id] = kept

    def store(self, name: str) -> Store:
        """Return an object's records."""
        found = self.stores.get(name)
        if found is None:
            raise Unparsed("NOT_FOUND", "The requested resource does not exist", status=404)
        return found

    def lacks(self, object_name: str, field_name: str) -> None:
        """Take a field away, as in an organization that was not prepared."""
        del self.store(object_name).fields[field_name]

    @contextmanager
    def long_transaction(self, object_name: str) -> Iterator[None]:
        """Records made inside get their stamp at once and are seen by others only afterwards."""
        store = self.store(object_name)
        store.is_held = True
        try:
            yield
        finally:
            store.is_held = False
            for kept in store.records.values():
                kept.is_committed = True


def _typed(kind: str, text: Any) -> Any:
    if text is None or text == "":
        return None
    if kind == "boolean":
        return text == "true"
    if kind in ("double", "currency"):
        return float(text)
    if kind == "datetime":
        at = datetime.fromisoformat(text).astimezone(UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000"
    return text
