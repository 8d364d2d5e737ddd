"""Pages of what runs the market: leases, stored days, the terms version and the history. Only shown."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter

from apps.market.models import ConfigurationChange, EngineLease, TermsVersion, TickDay
from rtx.kernel import clock
from rtx.kernel.admin import ReadOnlyModelAdmin, as_id
from rtx.kernel.admin_display import EMPTY, badge, instant, stored_values
from rtx.kernel.admin_filters import PeriodFilter


@admin.register(EngineLease)
class EngineLeaseAdmin(ReadOnlyModelAdmin):
    """Who leads each engine service."""

    list_display = ["name", "holder", "fence", "expires", "state"]
    search_fields = ["name", "holder"]
    search_help_text = "Service or holder"

    @admin.display(description="Expires (UTC)", ordering="expires_at")
    def expires(self, lease: EngineLease) -> SafeString:
        """When the lease ends unless it is renewed."""
        return instant(lease.expires_at)

    @admin.display(description="State")
    def state(self, lease: EngineLease) -> SafeString:
        """Whether the holder still leads."""
        return badge("leading", "good") if lease.expires_at > clock.now() else badge("expired", "bad")


@admin.register(TermsVersion)
class TermsVersionAdmin(ReadOnlyModelAdmin):
    """Counts every change of symbols, sessions, groups and terms."""

    list_display = ["__str__", "version"]
    search_fields = ["version"]


@admin.register(TickDay)
class TickDayAdmin(ReadOnlyModelAdmin):
    """The days of stored ticks."""

    list_display = ["date", "keeps_history", "created_at"]
    list_filter = [("keeps_history", BooleanRadioFilter)]
    search_fields = ["date"]
    search_help_text = "Date"
    date_hierarchy = "date"


@admin.register(ConfigurationChange)
class ConfigurationChangeAdmin(ReadOnlyModelAdmin):
    """
    What each row of configuration was before each of its changes; kept by the database itself.

    It holds the terms of every group, whatever the reach: for superusers only.
    """

    list_display = ["at_", "table_name", "row_id", "what"]
    list_filter = [("at", PeriodFilter)]
    search_fields = ["table_name"]
    search_help_text = "Table, or the number of a row"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = ["at_", "table_name", "row_id", "what", "values"]
    readonly_fields = ["at_", "what", "values"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse all but superusers."""
        return bool(request.user.is_superuser)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Hide it from all but superusers."""
        return bool(request.user.is_superuser)

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find the changes of a table or of rows with a number."""
        number = as_id(term)
        return Q(table_name__icontains=term) if number is None else Q(row_id=number)

    @admin.display(description="Changed at (UTC)")
    def at_(self, change: ConfigurationChange) -> SafeString:
        """When it was changed."""
        return instant(change.at)

    @admin.display(description="Change")
    def what(self, change: ConfigurationChange) -> SafeString:
        """Whether the row was made, or changed or deleted."""
        return badge("made", "good") if change.before is None else badge("changed or deleted", "info")

    @admin.display(description="Before the change")
    def values(self, change: ConfigurationChange) -> SafeString | str:
        """The row as it was."""
        return EMPTY if change.before is None else stored_values(change.before)
