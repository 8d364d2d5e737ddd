"""Filters of admin lists. Know nothing of any app."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Min, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_time
from unfold.contrib.filters.admin import FieldTextFilter, RangeDateTimeFilter, RelatedDropdownFilter

from rtx.kernel.admin import reachable_groups

LASTS = (timedelta(days=1), timedelta(minutes=1), timedelta(seconds=1))  # by the colons of a time


class ReachableGroupFilter(RelatedDropdownFilter):
    """Offers trading groups within the staff member's reach; for fields that name a trading group."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        """Return the groups to choose from."""
        groups = reachable_groups(request.user)
        found: list[Any] = field.get_choices(
            include_blank=False,
            ordering=self.field_admin_ordering(field, request, model_admin),
            limit_choices_to={} if groups is None else {"pk__in": groups},
        )
        return found


class PeriodFilter(RangeDateTimeFilter):
    """
    From an instant to another, both within, in the time zone of the pages. A day without a time is the whole
    day, and the last second or minute is meant whole.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """
        Keep the rows of the period.

        :raises IncorrectLookupParameters: what was typed is no day or no time; the page says so.
        """
        try:
            first, last = self._given("from"), self._given("to")
        except IncorrectLookupParameters as error:
            messages.error(request, f"Not a day and a time: {error}. The list is shown without the period.")
            raise
        if first is not None:
            queryset = queryset.filter(**{f"{self.field_path}__gte": first[0]})
        if last is not None:
            queryset = queryset.filter(**{f"{self.field_path}__lt": last[1]})
        return queryset

    def _given(self, end: str) -> tuple[datetime, datetime] | None:
        """Return when what was typed begins and when it is over: a day, a minute or a second."""
        typed = [str(self.used_parameters.get(f"{self.field_path}_{end}_{part}") or "") for part in "01"]
        day, hour = map(str.strip, typed)
        if not day and not hour:
            return None
        try:
            date, time = parse_date(day), parse_time(hour or "00:00")
            if date is None or time is None:
                raise ValueError("neither a day nor a time")
            begins = timezone.make_aware(datetime.combine(date, time))
            return begins, begins + LASTS[hour.count(":")]
        except (ValueError, OverflowError, IndexError) as error:
            raise IncorrectLookupParameters(" ".join(typed)) from error


class FewNamesFilter(FieldTextFilter):
    """
    A text that some of a column's names contain; for an indexed column of a large table with a few names.

    The names are found one after another in the index. PostgreSQL then knows how many rows have them, which
    it cannot tell of a text within.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows whose name contains the text."""
        text = str(self.value() or "").strip().lower()
        if not text:
            return queryset
        names = [name for name in names_of(queryset, self.field.attname) if text in name.lower()]
        return queryset.filter(**{f"{self.field_path}__in": names})


def names_of(rows: QuerySet[Any], column: str) -> list[str]:
    """Return the different texts of an indexed column, one look into the index for each."""
    found: list[str] = []
    every = rows.model._default_manager.order_by()
    name = every.aggregate(least=Min(column))["least"]
    while name is not None:
        found.append(name)
        name = every.filter(**{f"{column}__gt": name}).aggregate(least=Min(column))["least"]
    return found
