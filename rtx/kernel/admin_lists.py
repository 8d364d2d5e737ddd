"""
How the admin's lists are counted and read, so that a page of a million rows costs what one of a thousand
does. Knows nothing of any app.

Counting stops at `COUNT_MAX`. Where a condition keeps few rows, PostgreSQL may look for them along the order
of the list, through all that do not match: keys are therefore read instead of counted, in no order, and where
these are all, the page is made of them. A list that is limited to a time is read along that time, whose index
bounds the search.

A filter that cannot be read is never left out: the list is empty then and keeps what was asked.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.views import ChangeList

COUNT_MAX = 2_500  # fifty pages: whoever looks further needs a filter
KNOWN = "_known_count"


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """
    Counts no further than `COUNT_MAX` rows, so that a page of a huge table costs as much as one of a small
    table.
    """

    template_name = "admin/pagination_capped.html"

    @cached_property
    def count(self) -> int:
        """How many rows there are, at most `COUNT_MAX`."""
        rows = self.object_list
        known: int | None = vars(rows).get(KNOWN) if isinstance(rows, QuerySet) else None
        if known is not None:
            return known
        if isinstance(rows, QuerySet):
            return min(rows.order_by()[: COUNT_MAX + 1].count(), COUNT_MAX)
        return len(rows)

    @property
    def is_capped(self) -> bool:
        """Whether there may be more rows than were counted."""
        return self.count >= COUNT_MAX


class BoundedChangeList(ChangeList):
    """
    A list that reads the keys of what is asked for first, and goes along a time that it is limited to. What
    cannot be read stands in `unread`, and no row is shown for it.
    """

    unread = ""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the rows that the filters and the search keep; none where one of them cannot be read."""
        self.filter_specs: list[Any] = []
        self.has_filters = self.has_active_filters = False
        try:
            rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
            self._require_readable(request)
        except IncorrectLookupParameters as error:
            self.unread = _told(error)
            self.clear_all_filters_qs = self.get_query_string(remove=list(self.get_filters_params()))
            rows = self.root_queryset.none()  # Django would show every row instead
        return rows

    def _require_readable(self, request: HttpRequest) -> None:
        if any("\0" in value for values in request.GET.lists() for value in values[1]):
            raise IncorrectLookupParameters("A text with NUL matches nothing.")
        for entry in self.filter_specs:
            if not isinstance(entry, SimpleListFilter):
                continue
            asked = entry.value()
            if asked and asked not in {str(choice) for choice, _title in entry.lookup_choices}:
                raise IncorrectLookupParameters(f"“{asked}” is no choice of {entry.title}.")

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the order of the list; a period is shown along its time unless a column was chosen."""
        usual: list[Any] = super().get_ordering(request, queryset)
        if ORDER_VAR in self.params:
            return usual
        return [*(f"-{name}" for name in self._periods(request)), *usual]

    def get_results(self, request: HttpRequest) -> None:
        """Read the page; of a condition that keeps few rows, by their keys."""
        rows: QuerySet[Any] = self.queryset  # type: ignore[has-type]
        if rows.query.where:
            keys = tuple(rows.order_by().values_list("pk", flat=True)[: COUNT_MAX + 1])
            self.queryset = rows if len(keys) > COUNT_MAX else _among(rows, keys)
            vars(self.queryset)[KNOWN] = min(len(keys), COUNT_MAX)  # of this query alone: a copy has none
        try:
            super().get_results(request)
        except IncorrectLookupParameters:  # a page that is not, or no longer, there
            pages = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
            self.page_num = pages.get_page(self.page_num).number  # type: ignore[has-type]
            super().get_results(request)

    def _periods(self, request: HttpRequest) -> list[str]:
        """Return the indexed columns that the list is limited by in time."""
        return [
            str(entry.field_path)
            for entry in self.filter_specs
            if isinstance(entry, RangeDateTimeFilter)
            and entry.field.db_index
            and any(request.GET.get(str(name)) for name in entry.expected_parameters())
        ]


def _told(error: IncorrectLookupParameters) -> str:
    cause = error.args[0] if error.args else "That is no choice of a filter."
    return " ".join(cause.messages) if isinstance(cause, ValidationError) else str(cause)


def _among(rows: QuerySet[Any], keys: Sequence[Any]) -> QuerySet[Any]:
    """Keep the rows with these keys: one array, since thousands of values take long to write and to plan."""
    if not keys:
        return rows.none()
    kind = rows.model._meta.pk.rel_db_type(connection)
    return rows.filter(pk__in=RawSQL(f"SELECT unnest(%s::{kind}[])", [[*keys]]))  # noqa: S611 - a type of ours
