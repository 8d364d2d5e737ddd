"""Pages of audit. The staff log, approvals and seals have theirs in the console, which knows accounts."""

from apps.audit.admin.requests import StaffRequestAdmin

__all__ = ["StaffRequestAdmin"]
