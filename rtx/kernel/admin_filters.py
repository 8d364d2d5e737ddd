"""Filters of admin lists. Know nothing of any app."""

import re
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Min, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_time
from unfold.contrib.filters.admin import (
    FieldTextFilter,
    RangeDateFilter,
    RangeDateTimeFilter,
    RelatedDropdownFilter,
)

from rtx.kernel.admin import reachable_groups

TIME = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")
Span = tuple[Any, Any]  # when a day, a minute or a second begins, and when it is over


class ReferenceFilter(RelatedDropdownFilter):
    """A row that another table's rows name. Holds even where there is no second one to choose."""

    def has_output(self) -> bool:
        """Tell whether there is a choice to make, or one was made, which Django would leave out otherwise."""
        return bool(self.used_parameters) or bool(super().has_output())


class ReachableGroupFilter(ReferenceFilter):
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

        :raises IncorrectLookupParameters: what was typed is no day or no time.
        """
        return _within(queryset, self.field_path, self._given("from"), self._given("to"))

    def _given(self, end: str) -> Span | None:
        typed = [str(self.used_parameters.get(f"{self.field_path}_{end}_{part}") or "") for part in "01"]
        day, hour = map(str.strip, typed)
        if not day and not hour:
            return None
        try:
            begins = timezone.make_aware(datetime.combine(_day(day), _time(hour)))
            return begins, begins + _lasts(hour)
        except (ValueError, OverflowError) as error:
            told = " ".join(filter(None, (day, hour)))
            raise IncorrectLookupParameters(f"“{told}” is not a day and a time.") from error


class DaysFilter(RangeDateFilter):
    """From a day to another, both within; for columns that hold days."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """
        Keep the rows of the days.

        :raises IncorrectLookupParameters: what was typed is no day.
        """
        return _within(queryset, self.field_path, self._given("from"), self._given("to"))

    def _given(self, end: str) -> Span | None:
        typed = str(self.used_parameters.get(f"{self.field_path}_{end}") or "").strip()
        if not typed:
            return None
        try:
            return _day(typed), _day(typed) + timedelta(days=1)
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters(f"“{typed}” is not a day.") from error


def _within(rows: QuerySet[Any], column: str, first: Span | None, last: Span | None) -> QuerySet[Any]:
    if first is not None:
        rows = rows.filter(**{f"{column}__gte": first[0]})
    if last is not None:
        rows = rows.filter(**{f"{column}__lt": last[1]})
    return rows


def _day(typed: str) -> date:
    found = parse_date(typed)
    if found is None:
        raise ValueError("not a day")
    return found


def _time(typed: str) -> time:
    found = parse_time(typed or "00:00")
    if found is None or (typed and not TIME.fullmatch(typed)):
        raise ValueError("not hours and minutes")
    return found


def _lasts(hour: str) -> timedelta:
    if not hour:
        return timedelta(days=1)
    return timedelta(minutes=1) if hour.count(":") == 1 else timedelta(seconds=1)


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
