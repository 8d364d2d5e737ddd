"""Every page of every table, its actions, inlines and autocompleting fields, times every role and reach."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin import helpers
from django.urls import reverse

from tests.integration.matrix import declared, surface
from tests.integration.matrix.asking import Asker, said
from tests.integration.matrix.broker import SIDES, Broker

OUTSIDERS = ("trader", "anonymous")
PAGES_OF_A_ROW = {"change": "vc", "history": "vc", "delete": "d"}
LETTERS = {
    "v": "has_view_permission",
    "a": "has_add_permission",
    "c": "has_change_permission",
    "d": "has_delete_permission",
}


def mismatches(found: Iterator[tuple[str, str, str]]) -> list[str]:
    return [
        f"{cell}: {got}, declared {wanted}" for cell, got, wanted in found if got not in wanted.split("|")
    ]


def expected(line: declared.Line, role: str, needed: str, side: str = "") -> str:
    """Return what a page answers a member of staff; with a side the page of a row."""
    letters = line.words[role]
    may = bool(set(letters) & set(needed))
    is_hidden = (line.note == "reach" and side == "foreign") or line.note == "personal" or letters == "l"
    if side and is_hidden and role != "superadmin":
        return "404" if may else "403|404"  # either way nobody learns whether there is such a row
    return "ok" if may else "403"


def pages_of(label: str, line: declared.Line, role: str, asker: Asker) -> Iterator[tuple[str, str, str]]:
    """Ask every standard page of a table."""
    yield f"{label} list", said(asker.get(label, "changelist")), expected(line, role, "vcl")
    for method in (asker.get, asker.post):
        yield f"{label} {method.__name__} add", said(method(label, "add")), expected(line, role, "a")
    for side in SIDES if line.note == "reach" else SIDES[:1]:
        for page, needed in PAGES_OF_A_ROW.items():
            got, wanted = said(asker.get(label, page, side)), expected(line, role, needed, side)
            yield f"{label} get {page} ({side})", got, wanted
        for page, needed in {"change": "c", "delete": "d"}.items():
            got, wanted = said(asker.post(label, page, side)), expected(line, role, needed, side)
            yield f"{label} post {page} ({side})", got, wanted


@pytest.mark.parametrize("role", declared.STAFF_ROLES)
@pytest.mark.parametrize("area", declared.area_names())
def test_pages(area: str, role: str, broker: Broker) -> None:
    asker = Asker(broker, role)
    lines = {label: line for label, line in declared.pages().items() if line.area == area}

    assert [
        wrong for label, line in lines.items() for wrong in mismatches(pages_of(label, line, role, asker))
    ] == []


@pytest.mark.parametrize("role", OUTSIDERS)
def test_pages_are_closed_to_all_others(role: str, broker: Broker) -> None:
    asker = Asker(broker, role)
    opened = []
    for label in surface.registry():
        answers = [ask(label, page) for page in ("changelist", "add") for ask in (asker.get, asker.post)]
        answers += [ask(label, page, "own") for page in PAGES_OF_A_ROW for ask in (asker.get, asker.post)]
        opened += [label for answer in answers if said(answer) != "login"]

    assert opened == []


def actions_of(
    label: str, action: str, line: declared.Line, role: str, asker: Asker
) -> Iterator[tuple[str, str, str]]:
    """Ask for an action on the list and on the detail page: allowed is who is asked to confirm."""
    page = surface.registry()[label]
    places = surface.action_methods(page)[action]
    has_reach = bool(page.reach_path) and role != "superadmin"
    if "list" in places:
        app, _point, model = label.partition(".")
        url = reverse(f"admin:{app}_{model}_{action}")
        yield f"{label} {action}", opened(asker.http.get(url), asker.http.post(url)), line.words[role]
    for side in SIDES if places - {"list"} else ():
        is_theirs = side == "own" or not has_reach
        wanted = line.words[role] if is_theirs else "-"
        if "bulk" in places:
            row = asker.broker.row(label, side)
            data = {"action": action, "index": "0", helpers.ACTION_CHECKBOX_NAME: row.pk}
            got = asked_for(
                asker.get(label, "changelist"), asker.post(label, "changelist", data=data), action, row
            )
            yield f"{label} {action} of the list ({side})", got, wanted
        if "detail" in places or "row" in places:
            answers = [asker.get(label, action, side), asker.post(label, action, side)]
            yield f"{label} {action} of the page ({side})", opened(*answers), wanted


def opened(read: Any, sent: Any) -> str:
    """Tell whether an action's page takes a form (`x`), is only shown (`r`), or is closed."""
    may_read, may_send = (said(answer) in {"ok", "moved"} for answer in (read, sent))
    return "x" if may_send else "r" if may_read else "-"


def asked_for(listed: Any, answer: Any, action: str, row: Any) -> str:
    """
    Tell whether a list offers an action and, where it asks for a confirmation first, does so for this row.
    """
    form, rows = context(listed).get("action_form"), rows_to_confirm(answer)
    if not form or action not in dict(form.fields["action"].choices):
        return "asked without being offered" if rows else "-"
    return "x" if rows is None or row in rows else "-"


def context(answer: Any) -> dict[str, Any]:
    """Return what a page would be rendered from."""
    return getattr(answer, "context_data", None) or {}


def rows_to_confirm(answer: Any) -> Any:
    """Return the rows that a confirmation is about; None: this is no confirmation."""
    return context(answer)["rows"] if "action_name" in context(answer) else None


@pytest.mark.parametrize("role", declared.STAFF_ROLES)
def test_inlines(role: str, broker: Broker) -> None:
    asker = Asker(broker, role)
    pages: dict[str, dict[str, str]] = {}
    wrong = []
    for key, line in declared.inlines().items():
        label, name = key.split()
        if label not in pages:
            pages[label] = shown_inlines(asker.get(label, "change", "own"))
        got = pages[label].get(name, "-")
        if got != line.words[role]:
            wrong.append(f"{key}: {got}, declared {line.words[role]}")

    assert wrong == []


def shown_inlines(answer: Any) -> dict[str, str]:
    """Return the letters of the tables inside a page."""
    return {
        type(one.opts).__name__: "".join(letter for letter, name in LETTERS.items() if getattr(one, name))
        or "-"
        for one in context(answer).get("inline_admin_formsets", ())
    }


@pytest.mark.parametrize("role", declared.ROLES)
def test_lookups(role: str, broker: Broker) -> None:
    asker = Asker(broker, role)
    wrong = []
    for key, line in declared.lookups().items():
        label, field = key.split()
        app, _point, model = label.partition(".")
        query = {"app_label": app, "model_name": model, "field_name": field}
        answer = asker.http.get(reverse("admin:autocomplete"), query)
        got = "x" if answer.status_code == 200 else "-"
        wrong += [f"{key}: {got}"] if got != line.words.get(role, "-") else []
        if got == "x" and role != "superadmin":
            wrong += (
                [f"{key}: names rows outside reach"] if foreign_rows(label, field, answer, broker) else []
            )

    assert wrong == []


def foreign_rows(label: str, field: str, answer: Any, broker: Broker) -> set[str]:
    """Return the keys of rows outside reach among the choices."""
    target = apps.get_model(label)._meta.get_field(field).related_model._meta.label_lower
    if not surface.registry()[target].reach_path:
        return set()
    return {row["id"] for row in answer.json()["results"]} & {str(broker.row(target, "foreign").pk)}
