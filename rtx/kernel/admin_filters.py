"""Filters of admin lists. Know nothing of any app."""

from typing import Any

from django.db.models import Min, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import FieldTextFilter, RelatedDropdownFilter

from rtx.kernel.admin import reachable_groups


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
