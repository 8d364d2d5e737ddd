"""What changed between two states, value by value, for people. Pure; takes what JSON can say."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One value before and after; empty text: it was not there."""

    name: str
    before: str
    after: str

    @property
    def is_changed(self) -> bool:
        """Whether the two differ."""
        return self.before != self.after


def differences(before: Any, after: Any) -> list[Difference]:
    """Return every value of two states by the path of its names, in the order of their telling."""
    was, becomes = dict(_flat(before)), dict(_flat(after))
    return [Difference(name, was.get(name, ""), becomes.get(name, "")) for name in {**was, **becomes}]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and (value or path == ""):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for number, inner in enumerate(value, start=1):
            yield from _flat(inner, f"{path} {number}".strip())
    elif isinstance(value, list):
        yield path, ", ".join(_text(one) for one in value)
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
