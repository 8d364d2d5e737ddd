"""
What each staff role may do, kept here in code. `manage.py sync_roles` (run after every migration) writes it
into one permission set per role; the database then decides. Reach (which trading groups) is guardian's.

Administrators and auditors get what matches a pattern: of the business everything, or everything that only
looks. Dealers and support get what is named here and nothing else, so that a new right goes to nobody by
accident. Personal data, what the whole house may lose, and who may be whom are never matched by a pattern.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from django.contrib.auth.backends import BaseBackend

VIEW_PERSONAL_DATA = "accounts.view_personal_data"
DECIDE_KYC = "accounts.decide_kycreview"
DOWNLOAD_DOCUMENT = "accounts.download_kycdocument"
RUN_IMPORT = "accounts.run_importrun"
VIEW_VALUE_AT_RISK = "risk.view_valueatrisk"  # of the whole house, whatever the reach
REVOKE_SESSION = "accounts.revoke_staffsession"
NAMED_ONLY = frozenset({VIEW_PERSONAL_DATA, VIEW_VALUE_AT_RISK})
BUSINESS = ("market", "groups", "accounts", "trading", "risk", "liquidity", "funds", "fix", "crm", "audit")
ROLE_GROUP = "role:"  # what the names of the permission sets begin with
RANKS = {"trader": 0, "auditor": 1, "support": 2, "dealer": 3, "admin": 4, "superadmin": 5}


def _view(app: str, tables: str) -> tuple[str, ...]:
    return tuple(f"{app}.view_{table}" for table in tables.split())


DEALER_VIEWS = (
    *_view("market", "symbol tradingsession sessionhours holiday lastquote feedstatus candle tickday"),
    *_view("market", "enginelease termsversion configurationchange"),
    *_view("groups", "tradinggroup groupsymbol marginschedule marginband commissiontier"),
    *_view("accounts", "user client tradingaccount accountstate accountevent ledgerline refreshtoken"),
    *_view("trading", "order deal position swapcharge rolloverday"),
    *_view("risk", "accountrisk accountriskday margincall liquidation queuedliquidation correlation"),
    *_view("risk", "riskalarm killswitch risklimit tradinghours breaker breakerstate breakerchange"),
    *_view("risk", "monitorstatus sweeprun controlsversion"),
    *_view("funds", "fundoperation fundstep fundpolicy"),
    *_view("audit", "approval"),
)
SUPPORT_VIEWS = (
    *_view("market", "symbol tradingsession sessionhours holiday lastquote feedstatus candle tickday"),
    *_view("market", "enginelease termsversion configurationchange"),
    *_view("groups", "tradinggroup groupsymbol marginschedule marginband commissiontier"),
    *_view("accounts", "user client tradingaccount accountstate accountevent ledgerline refreshtoken"),
    *_view("trading", "order deal position swapcharge rolloverday"),
    *_view("accounts", "kycdocument kycreview"),
    *_view("funds", "fundoperation fundstep"),
    *_view("crm", "link syncentry"),
    *_view("axes", "accessattempt accesslog accessfailurelog"),
)

ROLE_RIGHTS: dict[str, tuple[str, ...]] = {
    "admin": (
        *(f"{app}.*" for app in BUSINESS),
        "django_celery_beat.*",
        "axes.*",
        "guardian.view_*",
        "auditlog.view_*",
        "admin.view_*",
        "auth.view_*",
        "console.*",
        VIEW_PERSONAL_DATA,
        VIEW_VALUE_AT_RISK,
    ),
    "dealer": (
        *DEALER_VIEWS,
        "trading.close_position",
        "trading.reverse_position",
        "trading.modify_position",
        "trading.place_order",
        "trading.modify_order",
        "trading.cancel_order",
        "trading.approve_reversal",
        "audit.decide_approval",
        "audit.cancel_approval",
        "risk.engage_killswitch",
        "risk.reset_breaker",
        "risk.acknowledge_riskalarm",
        "risk.change_queuedliquidation",
    ),
    "support": (
        *SUPPORT_VIEWS,
        "funds.request_fundoperation",
        "accounts.change_client",
        "accounts.change_user",
        "axes.delete_accessattempt",
    ),
    "auditor": (
        *(f"{app}.view_*" for app in BUSINESS),
        "audit.verify_checkpoint",
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


def role_grants(role: str, permission: str) -> bool:
    """Tell whether a role is to carry a permission such as `trading.view_order`."""
    patterns = ROLE_RIGHTS.get(role, ())
    if permission in NAMED_ONLY:
        return permission in patterns
    return any(fnmatchcase(permission, pattern) for pattern in patterns)


def rights_of(role: str, known: Iterable[str]) -> set[str]:
    """Return which of the known permissions a role is to carry."""
    return {permission for permission in known if role_grants(role, permission)}


def unknown_rights(known: Iterable[str]) -> list[str]:
    """Return the rights that are named here and do not exist: a slip of the pen."""
    named = {right for rights in ROLE_RIGHTS.values() for right in rights if "*" not in right}
    return sorted(named - set(known))


def may_manage(role: str, other: str) -> bool:
    """
    Tell whether staff of one role may create, change, or give somebody another role: super administrators
    everybody's, administrators those below their own, nobody else any staff.
    """
    if role == "superadmin":
        return True
    return role == "admin" and RANKS.get(other, 9) < RANKS["admin"]


class RoleBackend(BaseBackend):
    """Gives active staff what their role's permission set holds in the database. Identifies nobody."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return the rights of the user's role; rights on single rows are guardian's part."""
        if obj is not None or not (user_obj.is_active and user_obj.is_staff):
            return set()
        known: set[str] | None = user_obj.__dict__.get("_role_rights")
        if known is None:
            from django.contrib.auth.models import Permission

            rows = Permission.objects.filter(group__name=f"{ROLE_GROUP}{user_obj.role}")
            found = rows.values_list("content_type__app_label", "codename").order_by()
            known = user_obj.__dict__["_role_rights"] = {f"{app}.{code}" for app, code in found}
        return known

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Tell whether the user's role carries a permission."""
        return perm in self.get_all_permissions(user_obj, obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Tell whether the user's role may do anything in an app."""
        return any(right.partition(".")[0] == app_label for right in self.get_all_permissions(user_obj))
