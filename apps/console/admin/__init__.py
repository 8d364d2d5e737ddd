"""The admin site: dashboard, sign-in, and the pages of third-party tables in the look of all others."""

from apps.console.admin import schedules, security, site

__all__ = ["schedules", "security", "site"]
