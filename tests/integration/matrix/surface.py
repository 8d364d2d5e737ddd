"""
What there is to ask for: every route of the URL map, every registered table with its actions, inlines and
autocompleting fields, every operation of the WebSocket. Read from the running project; decides nothing.
"""

import re
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.urls import get_resolver

from apps.trading.consumers import channels, requests

MODEL_ROUTE = re.compile(r"admin/(?P<app>\w+)/(?P<model>\w+)/(?P<rest>.*)$")
STANDARD = frozenset(
    {
        "",
        "add/",
        "autocomplete/",
        "<path:object_id>/",
        "<path:object_id>/history/",
        "<path:object_id>/delete/",
        "<path:object_id>/change/",
    }
)
BUILT_IN_ACTIONS = frozenset({"delete_selected"})  # follows the right to delete, see test_pages
REST_METHODS = ("get", "post", "put", "patch", "delete")


def registry() -> dict[str, Any]:
    """Return every registered table: `app.model` -> its page."""
    return {model._meta.label_lower: page for model, page in admin.site._registry.items()}


def action_methods(page: Any) -> dict[str, set[str]]:
    """Return a page's actions by name, each with the places where it is: `list`, `detail`, ..."""
    found: dict[str, set[str]] = {}
    for _method, name, _description in page._get_base_actions():
        if name not in BUILT_IN_ACTIONS:
            found.setdefault(name, set()).add("bulk")
    for place in ("list", "row", "detail", "submit_line"):
        names = page._extract_action_names(getattr(page, f"actions_{place}"))
        for name in names:
            found.setdefault(name, set()).add(place)
    return found


def actions() -> set[str]:
    """Return `app.model action` for each action of each page."""
    return {f"{label} {name}" for label, page in registry().items() for name in action_methods(page)}


def inlines() -> set[str]:
    """Return `app.model Inline`."""
    return {f"{label} {inline.__name__}" for label, page in registry().items() for inline in page.inlines}


def lookups() -> set[str]:
    """Return `app.model field` for each autocompleting field, those of inlines with the inline's model."""
    found = set()
    for label, page in registry().items():
        found |= {f"{label} {field}" for field in page.autocomplete_fields}
        for inline in page.inlines:
            own = inline.model._meta.label_lower
            found |= {f"{own} {field}" for field in inline.autocomplete_fields}
    return found


def routes() -> dict[str, Any]:
    """
    Return `METHOD route` -> view for every route that is no standard page or action of a table.

    Views of Django's kind are asked by GET and POST, whatever they do with it.
    """
    found: dict[str, Any] = {}
    for route, view in _walk(get_resolver().url_patterns, ""):
        if _is_covered_by_tables(route):
            continue
        view_class = getattr(view, "cls", None) or getattr(view, "view_class", None)
        methods = [name for name in REST_METHODS if hasattr(view_class, name)] if view_class else []
        for method in methods or ("get", "post"):
            found.setdefault(f"{method.upper()} {route or '/'}", view)
    return found


def _walk(patterns: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _walk(pattern.url_patterns, prefix + str(pattern.pattern))
        else:
            yield readable(prefix + str(pattern.pattern)), pattern.callback


def readable(route: str) -> str:
    """Return a route without the signs of regular expressions."""
    return re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", route).replace("^", "").replace("$", "")


def _is_covered_by_tables(route: str) -> bool:
    match = MODEL_ROUTE.match(route)
    page = registry().get(f"{match['app']}.{match['model']}") if match else None
    if match is None or page is None:
        return False
    if match["rest"] in STANDARD:
        return True
    paths = {page.get_unfold_action(name).path for name in action_methods(page) if _is_unfold(page, name)}
    return match["rest"].removeprefix("<path:object_id>/").rstrip("/") in paths


def _is_unfold(page: Any, name: str) -> bool:
    return bool(action_methods(page)[name] - {"bulk"})


def operations() -> set[str]:
    """Return the WebSocket's operations; a subscription counts per channel."""
    found = set()
    for name in requests.OPERATIONS:
        if name in {"subscribe", "unsubscribe"}:
            found |= {f"{name}:{channel}" for channel in channels.CHANNELS}
        else:
            found.add(name)
    return found
