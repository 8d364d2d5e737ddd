"""
Salesforce's words: names and ids that may stand in a path or a query, SOQL that cannot be broken out of,
values as text. Pure; knows no call.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from apps.crm.adapters.provider import CallRefused, Forbidden

QUERY_MAX = 12_000  # of a percent-encoded query; the whole address may have 16,384 bytes
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_NEXT = re.compile(r"/services/data/v\d{2,3}\.0/query/[A-Za-z0-9_-]{1,200}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:?\d\d)")
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def name(given: str) -> str:
    """
    Return the name of an object or field, which ends up in queries.

    :raises Forbidden: `field_name`: it has another form; no record is at fault.
    """
    if _NAME.fullmatch(given) is None:
        raise Forbidden("Names in Salesforce have letters, digits and _ only.", code="field_name")
    return given


def record_id(given: str) -> str:
    """Return a record's id with 18 characters, so that both forms are one. Refuses all else (`record_id`)."""
    if _ID.fullmatch(given) is None:
        raise CallRefused("This is no id of Salesforce.", code="record_id")
    if len(given) == 18:
        return given
    return given + "".join(
        _SUFFIX[sum(1 << place for place, char in enumerate(given[start : start + 5]) if char.isupper())]
        for start in (0, 5, 10)
    )


def next_page(given: str) -> str:
    """Return the address of a query's next page; anything that is none is refused."""
    if _NEXT.fullmatch(given) is None:
        raise CallRefused("This is no next page of a query.", code="provider_malformed")
    return given


def quoted(text: str) -> str:
    """Return a SOQL string. Characters that SOQL cannot say are refused (`value_refused`)."""
    if any(ord(char) < 32 and char not in _ESCAPES for char in text):
        raise CallRefused("The value holds control characters.", code="value_refused")
    return "'" + "".join(_ESCAPES.get(char, char) for char in text) + "'"


def one_of(field: str, values: Iterable[str]) -> str:
    """Return the condition that a field has one of some values."""
    return f"{name(field)} IN ({','.join(quoted(value) for value in values)})"


def select(
    object_name: str, names: Iterable[str], *, where: str = "", order_by: str = "", limit: int | None = None
) -> str:
    """Return a query. `where` is made of `one_of`, `quoted`, `name` and `instant` alone."""
    fields = dict.fromkeys(name(one) for one in names)
    parts = ["SELECT", ", ".join(fields), "FROM", name(object_name)]
    parts += ["WHERE", where] if where else []
    parts += ["ORDER BY", order_by] if order_by else []
    parts += ["LIMIT", str(limit)] if limit else []
    return " ".join(parts)


def portions(values: Sequence[tuple[str, ...]], *, room: int = QUERY_MAX) -> Iterator[list[tuple[str, ...]]]:
    """Split rows of values so that each part fits into one query's address."""
    part: list[tuple[str, ...]] = []
    used = 0
    for row in values:
        size = sum(len(quote(quoted(value))) + 3 for value in row)
        if part and used + size > room:
            yield part
            part, used = [], 0
        part.append(row)
        used += size
    if part:
        yield part


def instant(at: datetime) -> str:
    """Return an instant as queries and paths say it (UTC, milliseconds)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def read_instant(text: Any) -> datetime | None:
    """Read an instant of an answer (2026-01-31T10:15:00.000+0000); None where there is none."""
    if not isinstance(text, str) or _INSTANT.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def minute(at: datetime) -> datetime:
    """Return the full minute before an instant: some resources ignore seconds."""
    return at.replace(second=0, microsecond=0)


def as_text(value: Any) -> str | None:
    """Return a value of an answer as RTX compares it: numbers plain, instants in UTC, no empty text."""
    if value is None or value == "" or isinstance(value, dict | list):
        return None  # compound fields are not mapped
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _plain(Decimal(str(value)))
    text = str(value)
    at = read_instant(text)
    return text if at is None else at.isoformat().replace("+00:00", "Z")


def fits(kind: str, text: str | None) -> bool:
    """Tell whether a text can become a value of a type (`FieldInfo.type`)."""
    if text is None or kind not in ("number", "boolean", "date", "datetime"):
        return True
    if kind == "boolean":
        return text in ("true", "false")
    if kind == "date":
        return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None
    if kind == "datetime":
        return read_instant(text) is not None
    return re.fullmatch(r"-?\d+(?:\.\d+)?", text) is not None


def _plain(value: Decimal) -> str:
    if not value.is_finite():
        return ""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
