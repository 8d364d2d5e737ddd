"""
What staff ask a list of the admin, derived from the page itself: nothing but the open page, every filter with
every choice, the last day, texts that are there and texts that are not, searches, sorted columns, links.

A page or a filter that is added later is asked by itself.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

SMALL = 1_000  # rows: whatever is asked of so few, the page costs what it costs plain
CHOICES_MAX = 12  # of one filter: statuses, kinds; the first of longer ones, such as symbols
UNKNOWN = "zzzzzz"
Question = dict[str, str]


def questions(page: Any, request: Any, *, terms: tuple[str, ...]) -> Iterator[Question]:
    """Yield what to ask a page, each as the parameters of its address."""
    yield {}
    if page.model._default_manager.count() < SMALL:
        yield {"q": terms[0]}
        return
    if page.get_queryset(request)[: 3 * page.list_per_page].count() == 3 * page.list_per_page:
        yield {"p": "3"}
    if page.get_search_fields(request):
        yield from ({"q": term} for term in terms)
    for entry in page.get_list_filter(request):
        yield from _of_filter(page, entry, request)
    yield from _sorted(page, request)
    for name in ("account", "symbol"):
        if name in {field.name for field in page.model._meta.fields}:
            yield from ({f"{name}__id__exact": str(key)} for key in _some(page.model, f"{name}_id"))


def _some(model: Any, column: str) -> list[Any]:
    """Return a usual value: that of the row in the middle of the newest thousand."""
    newest = model._default_manager.order_by("-pk").values_list(column, flat=True)[:1000]
    found = [value for value in newest if value not in (None, "")]
    return [found[len(found) // 2]] if found else []


def _of_filter(page: Any, entry: Any, request: Any) -> Iterator[Question]:
    from django.contrib.admin import FieldListFilter
    from django.contrib.admin.utils import get_fields_from_path

    if not isinstance(entry, str | tuple):  # a filter with choices of its own
        choices = entry(request, {}, page.model, page).lookup_choices
        yield from ({entry.parameter_name: str(value)} for value, _ in choices[:CHOICES_MAX])
        return
    path, kind = entry if isinstance(entry, tuple) else (entry, None)
    field = get_fields_from_path(page.model, path)[-1]
    made = (kind or FieldListFilter.create)(field, request, {}, page.model, page, path)
    parameters = made.expected_parameters()
    if f"{path}_from_0" in parameters:
        yield from _days(page.model, path, with_time=True)
    elif f"{path}_from" in parameters:
        yield from _days(page.model, path, with_time=False)
    elif f"{path}__icontains" in parameters:
        yield from ({f"{path}__icontains": value} for value in (*_some(page.model, path), UNKNOWN))
    elif field.flatchoices or field.is_relation:
        choices = field.flatchoices or made.lookup_choices
        known = [value for value, _ in choices if value not in (None, "")]
        yield from ({parameters[0]: str(value)} for value in known[:CHOICES_MAX])
    elif field.get_internal_type() == "BooleanField" or f"{path}__isempty" in parameters:
        yield from ({parameters[0]: value} for value in "01")
    else:
        yield from ({parameters[0]: str(value)} for value in _some(page.model, path))


def _days(model: Any, path: str, *, with_time: bool) -> Iterator[Question]:
    """Yield the newest day, a week of long ago, and days without a row."""
    from rtx.kernel import clock

    newest = _some(model, path)
    last = newest[0] if newest else clock.now()
    for first, days in ((last, 1), (last - timedelta(days=120), 7), (last - timedelta(days=4000), 1)):
        since, until = f"{first:%Y-%m-%d}", f"{first + timedelta(days=days - 1):%Y-%m-%d}"
        if with_time:
            yield {
                f"{path}_from_0": since,
                f"{path}_from_1": "00:00:00",
                f"{path}_to_0": until,
                f"{path}_to_1": "23:59:59",
            }
        else:
            yield {f"{path}_from": since, f"{path}_to": until}


def _sorted(page: Any, request: Any) -> Iterator[Question]:
    """Yield every column that sorts, both ways."""
    shown = list(page.get_list_display(request))
    shift = 1 if page.get_actions(request) else 0  # the box to choose rows stands first
    for place, name in enumerate(shown):
        if name in page.get_sortable_by(request):
            yield from ({"o": f"{sign}{place + shift}"} for sign in ("", "-"))
