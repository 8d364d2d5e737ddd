"""Admin pages of audit."""

from apps.audit.admin.records import ApprovalAdmin, StaffActionAdmin
from apps.audit.admin.requests import StaffRequestAdmin

__all__ = ["ApprovalAdmin", "StaffActionAdmin", "StaffRequestAdmin"]
