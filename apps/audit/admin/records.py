"""Pages of the staff log and of what waits for a second person."""

from django.contrib import admin

from apps.audit.models import Approval, StaffAction
from rtx.kernel.admin import OperatedModelAdmin, ReadOnlyModelAdmin


@admin.register(StaffAction)
class StaffActionAdmin(ReadOnlyModelAdmin):
    """What staff did, with the reasons they gave."""

    reach_path = "group_id"
    list_display = ["at", "actor", "operation", "target_label", "outcome", "reason"]
    search_fields = ["request_id"]
    ordering = ["-id"]


@admin.register(Approval)
class ApprovalAdmin(OperatedModelAdmin):
    """What waits for a second person."""

    reach_path = "group_id"
    list_display = ["created_at", "kind", "summary", "maker", "status"]
    search_fields = ["summary"]
    ordering = ["-created_at"]
