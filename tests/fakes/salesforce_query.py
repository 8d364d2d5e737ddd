"""
SOQL of the Salesforce fake: one object, comparisons, IN, AND, OR, NOT, brackets, ORDER BY, LIMIT. What is not
SOQL is refused as MALFORMED_QUERY, so that a query that was broken out of is seen.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Row = Mapping[str, Any]
Condition = Callable[[Row], bool]
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'\\\x00-\x1f]|\\[nNrRtTbBfF"'\\_%]|\\u[0-9A-Fa-f]{4})*')
    | (?P<instant>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))
    | (?P<date>\d{4}-\d\d-\d\d)
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z][A-Za-z0-9_.]*)
    | (?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


class Malformed(Exception):
    """Not SOQL."""


@dataclass
class Query:
    """A query that was read. `fields`: all names that it uses, selected or not."""

    object_name: str = ""
    selected: list[str] = field(default_factory=list)
    fields: set[str] = field(default_factory=set)
    condition: Condition = field(default=lambda row: True)
    order: list[tuple[str, bool]] = field(default_factory=list)
    limit: int | None = None
    is_count: bool = False


def read(text: str) -> Query:
    """Read a query. Raises `Malformed`."""
    return _Reader(text).query()


def instant_of(value: Any) -> Any:
    """Return a value as it is compared: instants as instants, text without regard to case."""
    if isinstance(value, str):
        try:
            return (
                datetime.fromisoformat(value).astimezone(UTC)
                if "T" in value and ":" in value
                else value.lower()
            )
        except ValueError:
            return value.lower()
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None or found.lastgroup is None:
                raise Malformed(f"unexpected token at {place}")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            place = found.end()
        self.place = 0
        self.made = Query()

    def query(self) -> Query:
        self.word("SELECT")
        self.made.selected = [self.name()]
        if self.is_next("("):
            self.take()
            self.sign(")")
            if self.made.selected[0].upper() != "COUNT":
                raise Malformed("unknown function")
            self.made.is_count, self.made.selected = True, []
        while self.is_next(","):
            self.take()
            self.made.selected.append(self.name())
        self.made.fields = set(self.made.selected)
        self.word("FROM")
        self.made.object_name = self.name()
        if self.is_word("WHERE"):
            self.take()
            self.made.condition = self.any_of()
        if self.is_word("ORDER"):
            self.take()
            self.word("BY")
            self.order()
        if self.is_word("LIMIT"):
            self.take()
            self.made.limit = int(self.take("number")[1])
        if self.place != len(self.tokens):
            raise Malformed(f"unexpected token: {self.tokens[self.place][1]}")
        if len(set(self.made.selected)) != len(self.made.selected):
            raise Malformed("duplicate field selected")
        return self.made

    def order(self) -> None:
        while True:
            name, is_down = self.field(), False
            if self.is_word("ASC") or self.is_word("DESC"):
                is_down = self.take()[1].upper() == "DESC"
            self.made.order.append((name, is_down))
            if not self.is_next(","):
                return
            self.take()

    def any_of(self) -> Condition:
        parts = [self.all_of()]
        while self.is_word("OR"):
            self.take()
            parts.append(self.all_of())
        return lambda row: any(part(row) for part in parts)

    def all_of(self) -> Condition:
        parts = [self.one()]
        while self.is_word("AND"):
            self.take()
            parts.append(self.one())
        if len(parts) > 1 and self.is_word("OR"):
            raise Malformed("AND and OR need brackets")
        return lambda row: all(part(row) for part in parts)

    def one(self) -> Condition:
        if self.is_next("("):
            self.take()
            inner = self.any_of()
            self.sign(")")
            return inner
        if self.is_word("NOT"):
            self.take()
            negated = self.one()
            return lambda row: not negated(row)
        name = self.field()
        if self.is_word("IN"):
            self.take()
            values = self.values()
            return lambda row: instant_of(row.get(name)) in values
        sign = self.take("sign")[1]
        return self.comparison(name, sign, self.value())

    def comparison(self, name: str, sign: str, value: Any) -> Condition:
        if sign == "=":
            return lambda row: instant_of(row.get(name)) == value
        if sign in ("!=", "<>"):
            return lambda row: instant_of(row.get(name)) != value

        def compare(row: Row) -> bool:
            kept = instant_of(row.get(name))
            if kept is None or value is None:
                return False
            return bool(
                {"<": kept < value, "<=": kept <= value, ">": kept > value, ">=": kept >= value}[sign]
            )

        if sign not in ("<", "<=", ">", ">="):
            raise Malformed(f"unexpected token: {sign}")
        return compare

    def values(self) -> list[Any]:
        self.sign("(")
        found = [self.value()]
        while self.is_next(","):
            self.take()
            found.append(self.value())
        self.sign(")")
        return found

    def value(self) -> Any:
        kind, text = self.take()
        if kind == "text":
            return _unquoted(text).lower()
        if kind == "instant":
            return instant_of(text)
        if kind == "date":
            return text
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "name" and text.lower() in ("null", "true", "false"):
            return {"null": None, "true": True, "false": False}[text.lower()]
        raise Malformed(f"unexpected token: {text}")

    def field(self) -> str:
        name = self.name()
        self.made.fields.add(name)
        return name

    def name(self) -> str:
        return self.take("name")[1]

    def word(self, word: str) -> None:
        if not self.is_word(word):
            raise Malformed(f"expected {word}")
        self.take()

    def sign(self, sign: str) -> None:
        if not self.is_next(sign):
            raise Malformed(f"expected {sign}")
        self.take()

    def is_word(self, word: str) -> bool:
        return self.place < len(self.tokens) and self.tokens[self.place][1].upper() == word

    def is_next(self, sign: str) -> bool:
        return self.place < len(self.tokens) and self.tokens[self.place] == ("sign", sign)

    def take(self, kind: str = "") -> tuple[str, str]:
        if self.place >= len(self.tokens):
            raise Malformed("unexpected end of the query")
        token = self.tokens[self.place]
        if kind and token[0] != kind:
            raise Malformed(f"unexpected token: {token[1]}")
        self.place += 1
        return token


def _unquoted(text: str) -> str:
    def said(found: re.Match[str]) -> str:
        char = found[1]
        return chr(int(char[1:], 16)) if len(char) == 5 else _ESCAPES.get(char.lower(), char)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", said, text[1:-1])
