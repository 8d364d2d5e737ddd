"""Pages of what the machinery keeps for itself: how often controls changed, which requests were done."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.risk.models import ControlsVersion, StaffRequest
from rtx.kernel.admin import ReadOnlyModelAdmin
from rtx.kernel.admin_display import EMPTY, instant, pretty_json


@admin.register(ControlsVersion)
class ControlsVersionAdmin(ReadOnlyModelAdmin):
    """One row: processes read kill switches, limits, hours and breakers again when it has moved."""

    list_display = ["__str__", "version"]
    search_fields = ["version"]
    fields = ["version"]


@admin.register(StaffRequest)
class StaffRequestAdmin(ReadOnlyModelAdmin):
    """Requests of the admin interface that were done, by key, with the answer that a repeat gets."""

    list_display = ["key", "user", "at_", "reason"]
    list_select_related = ["user"]
    search_fields = ["key"]
    sortable_by: list[str] = []
    fields = ["key", "user", "at_", "answered", "asked"]
    readonly_fields = ["at_", "answered", "asked"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Show each member of staff their own; all of them to whoever reaches everything."""
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(user=request.user)

    @admin.display(description="Done (UTC)")
    def at_(self, row: StaffRequest) -> SafeString:
        """When it was done."""
        return instant(row.at)

    @admin.display(description="Reason")
    def reason(self, row: StaffRequest) -> str:
        """Why, as far as the answer repeats it."""
        return str(row.answer.get("reason") or EMPTY)

    @admin.display(description="Fingerprint of what was asked for (SHA-256)")
    def asked(self, row: StaffRequest) -> SafeString:
        """What a repeat must equal; as long as it is, it may break anywhere."""
        return format_html('<code class="rtx-break">{}</code>', row.fingerprint)

    @admin.display(description="Answer")
    def answered(self, row: StaffRequest) -> SafeString:
        """What was answered."""
        return pretty_json(row.answer)
