"""What exists is declared, and the other way round: an undeclared route, page or action fails here."""

import pytest

from apps.console.services import live
from tests.integration.matrix import declared, surface

KINDS = {
    "pages": (declared.pages, lambda: set(surface.registry())),
    "actions": (declared.actions, surface.actions),
    "inlines": (declared.inlines, surface.inlines),
    "lookups": (declared.lookups, surface.lookups),
    "routes": (declared.routes, lambda: set(surface.routes())),
    "stream": (declared.stream, surface.operations),
    "parts": (declared.parts, lambda: set(live.RIGHTS)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_declared_and_nothing_else(kind: str) -> None:
    told, there = KINDS[kind]
    declarations, existing = set(told()), there()

    assert sorted(existing - declarations) == [], "exists, and no file in areas/ declares it"
    assert sorted(declarations - existing) == [], "is declared, and does not exist"


def test_the_reach_of_pages_is_that_of_their_code() -> None:
    limited = {label for label, page in surface.registry().items() if getattr(page, "reach_path", "")}

    assert {key for key, line in declared.pages().items() if line.note == "reach"} == limited
