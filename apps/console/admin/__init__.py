"""The admin site: dashboard, sign-in, and the pages of third-party tables in the look of all others."""

from apps.console.admin import approvals, schedules, seals, security, site, staff_log

__all__ = ["approvals", "schedules", "seals", "security", "site", "staff_log"]
