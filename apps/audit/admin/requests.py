"""The page of requests by key."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.audit.models import StaffRequest
from rtx.kernel.admin import ReadOnlyModelAdmin
from rtx.kernel.admin_display import EMPTY, instant, stored_values


@admin.register(StaffRequest)
class StaffRequestAdmin(ReadOnlyModelAdmin):
    """Requests of the admin interface that were done, by key, with the answer that a repeat gets."""

    list_display = ["key", "user_id", "at_", "reason"]
    search_fields = ["key"]
    sortable_by: list[str] = []
    fields = ["key", "user_id", "at_", "answered", "asked"]
    readonly_fields = ["at_", "answered", "asked"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Show each member of staff their own; all of them to whoever reaches everything."""
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(user_id=request.user.pk)

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
        return stored_values(row.answer)
