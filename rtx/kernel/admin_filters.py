"""Filters of admin lists. Know nothing of any app."""

from typing import Any

from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter

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
