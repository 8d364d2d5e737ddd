"""
What each staff role may do, as patterns of Django permissions. Reach (which trading groups) is guardian's.

Personal data and what the whole house may lose are never matched by a pattern: a role sees them only where
the right is named in full.
"""

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from django.contrib.auth.backends import BaseBackend

VIEW_PERSONAL_DATA = "accounts.view_personal_data"
VIEW_VALUE_AT_RISK = "risk.view_valueatrisk"  # of the whole house, whatever the reach
NAMED_ONLY = frozenset({VIEW_PERSONAL_DATA, VIEW_VALUE_AT_RISK})
BUSINESS = ("market", "groups", "accounts", "trading", "risk", "liquidity", "funds", "fix", "crm", "audit")

ROLE_RIGHTS: dict[str, tuple[str, ...]] = {
    "admin": (
        *(f"{app}.*" for app in BUSINESS),
        "django_celery_beat.*",
        "axes.*",
        "guardian.*",
        "auditlog.view_*",
        "admin.view_*",
        VIEW_PERSONAL_DATA,
        VIEW_VALUE_AT_RISK,
    ),
    "dealer": (
        *(f"{app}.view_*" for app in BUSINESS),
        "trading.close_position",
        "trading.modify_position",
        "trading.place_order",
        "trading.modify_order",
        "trading.cancel_order",
        "risk.engage_killswitch",
        "risk.reset_breaker",
        "risk.acknowledge_riskalarm",
        "risk.change_queuedliquidation",
    ),
    "support": (
        "market.view_*",
        "groups.view_*",
        "accounts.view_*",
        "trading.view_*",
        "funds.view_*",
        "funds.request_fundoperation",
        "accounts.change_client",
        "accounts.change_user",
        "axes.view_*",
        "axes.delete_accessattempt",
        VIEW_PERSONAL_DATA,
    ),
    "auditor": (
        *(f"{app}.view_*" for app in BUSINESS),
        VIEW_VALUE_AT_RISK,
        "auditlog.view_*",
        "admin.view_*",
        "axes.view_*",
        "auth.view_*",
        "guardian.view_*",
        "django_celery_beat.view_*",
    ),
}


def masked(value: str) -> str:
    """Return what the change log shows instead of personal data."""
    return "****" if value else ""


@lru_cache(maxsize=4096)
def role_grants(role: str, permission: str) -> bool:
    """Tell whether a role carries a permission such as `trading.view_order`."""
    patterns = ROLE_RIGHTS.get(role, ())
    if permission in NAMED_ONLY:
        return permission in patterns
    return any(fnmatchcase(permission, pattern) for pattern in patterns)


@lru_cache(maxsize=512)
def role_enters(role: str, app_label: str) -> bool:
    """Tell whether a role may do anything at all in an app."""
    return any(pattern.partition(".")[0] == app_label for pattern in ROLE_RIGHTS.get(role, ()))


class RoleBackend(BaseBackend):
    """Gives active staff the rights of their role. Identifies nobody."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Tell whether the user's role carries a permission; rights on single rows are guardian's part."""
        return obj is None and user_obj.is_active and user_obj.is_staff and role_grants(user_obj.role, perm)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Tell whether the user's role may do anything in an app."""
        return bool(user_obj.is_active and user_obj.is_staff and role_enters(user_obj.role, app_label))
