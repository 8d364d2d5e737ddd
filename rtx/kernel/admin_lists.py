"""
How the admin's lists are counted and read, so that a page of a million rows costs what one of a thousand
does. Knows nothing of any app.

Counting stops at `COUNT_MAX`. Where a condition keeps few rows, PostgreSQL may look for them along the order
of the list, through all that do not match: keys are therefore read instead of counted, in no order, and where
these are all, the page is made of them. A list that is limited to a time is read along that time, whose index
bounds the search.
"""

from functools import cached_property
from typing import Any

from django.contrib.admin.views.main import ORDER_VAR
from django.core.paginator import Paginator
from django.db.models import QuerySet
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
    """A list that reads the keys of what is asked for first, and goes along a time that it is limited to."""

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
            self.queryset = rows if len(keys) > COUNT_MAX else rows.filter(pk__in=keys)
            vars(self.queryset)[KNOWN] = min(len(keys), COUNT_MAX)  # of this query alone: a copy has none
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
