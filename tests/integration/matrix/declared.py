"""
What each role may do, as the area files declare it: small tables of text, read into cells.

An area file (`areas/*.py`) may hold:

PAGES      `model`, whose rows one sees (within `reach`, of the whole `house`, only `personal` ones: the row
           asked for is somebody else's) and, per staff role, the letters v(iew) a(dd) c(hange) d(elete), `-`
           for none, `l` for a list without such rows
ACTIONS    `model action` and, per staff role, `x`, `r` (its page is shown, nothing may be sent) or `-`
INLINES    `model Inline` and the same letters as PAGES
LOOKUPS    `model field` (autocomplete) and, per staff role, `x` or `-`
ROUTES     `METHOD route` and, for all roles, the answer; `own/foreign` where reach decides
STREAM     WebSocket operations, for all roles, `own/foreign`
PARTS      parts of what the dashboard's socket pushes and, per staff role, `x` or `-`
IDS        route -> whose rows its parameters name: {"api/orders/<int:order_id>": "trading.order"}, a column
           with "accounts.tradingaccount:login", a text as it is with "=EURUSD", several as a dict
ASKED      "METHOD route" -> function (side) -> query or JSON body that gets past the first checks
ROWS       model -> function (side) that returns the columns of a row which no plain values fill
           (see `broker.Side` and `tests.factories.anyrow`)

`seed(side)` is called for each side when the broker is made.

Answers: `ok`, a status, `login` (sent to the sign-in page) or `moved` (a GET sent anywhere else). Knows no
HTTP and no database.
"""

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from tests.integration.matrix import areas

STAFF_ROLES = ("superadmin", "admin", "dealer", "support", "auditor")
ROLES = (*STAFF_ROLES, "trader", "anonymous")
PAGE_LETTERS = frozenset("vacdl-")
REACHES = ("reach", "house", "personal")


@dataclass(frozen=True)
class Line:
    """One line of a table: what it is about, and a word per role."""

    area: str
    key: str
    words: dict[str, str]
    note: str = ""


def area_modules() -> list[ModuleType]:
    """Return every area file."""
    return [import_module(f"{areas.__name__}.{found.name}") for found in pkgutil.iter_modules(areas.__path__)]


def lines(table: str, *, keys: int, roles: tuple[str, ...], notes: int = 0) -> dict[str, Line]:
    """Return the lines of all areas' tables of this name; `keys` leading words name what a line is about."""
    found: dict[str, Line] = {}
    for module in area_modules():
        area = module.__name__.rpartition(".")[2]
        for words in _rows(getattr(module, table, "")):
            key = " ".join(words[:keys])
            values = words[keys + notes :]
            assert len(values) == len(roles), f"{area}.{table}: {key} has {len(values)} words for roles"
            assert key not in found, f"{table}: {key} is declared in {found[key].area} and in {area}"
            note = " ".join(words[keys : keys + notes])
            found[key] = Line(area, key, dict(zip(roles, values, strict=True)), note)
    return found


def _rows(table: str) -> Iterator[list[str]]:
    for text in table.splitlines():
        words = text.split()
        if words and words[0] != "superadmin" and not words[0].startswith("#"):
            yield words


def pages() -> dict[str, Line]:
    """Return the pages of models: view, add, change, delete."""
    found = lines("PAGES", keys=1, roles=STAFF_ROLES, notes=1)
    for line in found.values():
        assert line.note in REACHES, f"{line.key}: one of {REACHES}"
        assert all(set(word) <= PAGE_LETTERS for word in line.words.values()), (
            f"{line.key}: letters are vacdl"
        )
    return found


def actions() -> dict[str, Line]:
    """Return the actions of lists and detail pages."""
    return lines("ACTIONS", keys=2, roles=STAFF_ROLES)


def inlines() -> dict[str, Line]:
    """Return the tables inside of pages."""
    return lines("INLINES", keys=2, roles=STAFF_ROLES)


def lookups() -> dict[str, Line]:
    """Return the autocompleting fields."""
    return lines("LOOKUPS", keys=2, roles=STAFF_ROLES)


def routes() -> dict[str, Line]:
    """Return all other routes, by method."""
    return lines("ROUTES", keys=2, roles=ROLES)


def stream() -> dict[str, Line]:
    """Return the WebSocket's operations."""
    return lines("STREAM", keys=1, roles=ROLES)


def parts() -> dict[str, Line]:
    """Return the parts of the dashboard."""
    return lines("PARTS", keys=1, roles=STAFF_ROLES)


def mapping(table: str) -> dict[str, Any]:
    """Return all areas' entries of a mapping such as IDS, ASKED or ROWS."""
    found: dict[str, Any] = {}
    for module in area_modules():
        for key, value in getattr(module, table, {}).items():
            assert key not in found, f"{table}: {key} is declared twice"
            found[key] = value
    return found


def answer(word: str, side: str) -> str:
    """Return what a cell promises for one's own or a foreign row."""
    own, _slash, foreign = word.partition("/")
    return foreign or own if side == "foreign" else own


def area_names() -> list[str]:
    """Return the areas."""
    return [module.__name__.rpartition(".")[2] for module in area_modules()]
