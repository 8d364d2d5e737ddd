"""How values travel to the broker: exact text, never a float; what stays as it is, is left out."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import uuid4

Number = Decimal | int | str


class Keep(Enum):
    """Says that a change leaves a value as it is; None removes it."""

    KEEP = "keep"


KEEP = Keep.KEEP


def new_id() -> str:
    """Return a fresh `client_order_id`."""
    return uuid4().hex


def text_of(value: Any) -> Any:
    """
    Return a value as JSON carries it.

    :raises TypeError: a float, which is not exact.
    """
    if isinstance(value, float):
        raise TypeError("a float is not exact: give a Decimal or a text")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def body_of(**values: Any) -> dict[str, Any]:
    """Return a body of the values that are given; numbers that stand for money travel as text."""
    return {name: text_of(value) for name, value in values.items() if value is not None}


def changes_of(**values: Any) -> dict[str, Any]:
    return {name: text_of(value) for name, value in values.items() if value is not KEEP}


def number_text(value: Number | None) -> str | None:
    return None if value is None else str(text_of(value))


def from_ms(ms: int) -> datetime:
    """Return the instant of milliseconds since the epoch, exactly."""
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
