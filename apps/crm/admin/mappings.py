"""All pairs of fields as a list, for reading; they are edited on the mapping page of their connection."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter

from apps.crm.forms import written_options
from apps.crm.models import FieldMapping
from rtx.kernel.admin import OperatedModelAdmin
from rtx.kernel.admin_display import EMPTY


@admin.register(FieldMapping)
class FieldMappingAdmin(OperatedModelAdmin):
    """Field mappings of every connection."""

    list_display = ["pair", "kind", "direction", "transform", "options_", "is_active", "editor"]
    list_filter = [
        ("connection__provider", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("direction", ChoicesDropdownFilter),
        ("is_active", BooleanRadioFilter),
    ]
    list_select_related = ["connection"]
    search_fields = ["rtx_field", "crm_field"]
    ordering = ["connection", "kind", "id"]
    sortable_by: list[str] = []
    fields = [
        ("connection", "kind"),
        ("rtx_field", "crm_field"),
        ("direction", "transform"),
        ("options_", "is_active"),
        "editor",
    ]
    readonly_fields = ["options_", "editor"]

    @admin.display(description="Pair")
    def pair(self, row: FieldMapping) -> str:
        """Both fields."""
        return str(row)

    @admin.display(description="Options")
    def options_(self, row: FieldMapping) -> str:
        """What the transformation was told."""
        return written_options(row.options or {}) or EMPTY

    @admin.display(description="Mapping")
    def editor(self, row: FieldMapping) -> SafeString:
        """A link to the whole mapping."""
        url = reverse("admin:crm_connection_fields", args=[row.connection_id])
        return format_html('<a class="rtx-link" href="{}?kind={}">{}</a>', url, row.kind, row.connection)
