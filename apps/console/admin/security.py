"""
Pages of rights, sign-in attempts and the logs of what staff changed: read-only but for staff groups and
reach.
"""

from ipaddress import ip_address
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from auditlog.mixins import LogEntryAdminMixin
from auditlog.models import LogEntry as ChangeLogEntry
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from axes.utils import reset
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from guardian.models import GroupObjectPermission, UserObjectPermission
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import User
from apps.accounts.permissions import ROLE_GROUP
from apps.audit.selectors.history import in_words
from apps.console.admin.staff_log import told_values
from apps.risk.selectors.reaches import reaches_everyone
from rtx.kernel.admin import ConfiguredModelAdmin, OperatedModelAdmin, ReadOnlyModelAdmin
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, MASK, badge, instant, link_to
from rtx.kernel.admin_filters import PeriodFilter

for model in (Group, ChangeLogEntry, AccessAttempt, AccessLog, AccessFailureLog):
    admin.site.unregister(model)
for model in (Authenticator, EmailAddress):  # second factors: see sign_in; the library's e-mails are unused
    if admin.site.is_registered(model):
        admin.site.unregister(model)

NAMED_BY_NUMBER = {"user", "client", "refreshtoken"}
ACTION_TONES = {0: "good", 1: "info", 2: "bad", 3: "muted"}


def users_by_email(term: str) -> list[int]:
    """Return the ids of the users whose e-mail begins with the term."""
    return list(User.objects.filter(email__startswith=term.lower()).values_list("pk", flat=True)[:100])


def row_link(kind: ContentType, key: Any, name: str) -> SafeString:
    """Write a link to any row; a user is named by number, because a trader's e-mail is personal data."""
    shown = f"{kind.name} {key}" if kind.model in NAMED_BY_NUMBER else f"{kind.name} {name}"
    return link_to(f"admin:{kind.app_label}_{kind.model}_change", key, shown)


@admin.register(Group)
class StaffGroupAdmin(ConfiguredModelAdmin):
    """
    Sets of rights for staff, not to be confused with trading groups. Those of the roles are written by
    `sync_roles` alone.
    """

    list_display = ["name"]
    search_fields = ["name"]
    search_help_text = "Name"
    autocomplete_fields = ["permissions"]

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Refuse to edit a role."""
        return not _is_role(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse to delete a role."""
        return not _is_role(obj) and super().has_delete_permission(request, obj)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """Offer no role to choose where a form names staff groups: a role is given on the user."""
        rows, is_doubled = super().get_search_results(request, queryset, search_term)
        if request.path.endswith("/autocomplete/"):
            rows = rows.exclude(name__startswith=ROLE_GROUP)
        return rows, is_doubled

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Read the rights together with what they apply to."""
        if db_field.name == "permissions":
            kwargs["queryset"] = Permission.objects.select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **kwargs)


def _is_role(group: Group | None) -> bool:
    return group is not None and group.name.startswith(ROLE_GROUP)


@admin.register(Permission)
class PermissionAdmin(ReadOnlyModelAdmin):
    """Every right there is."""

    list_display = ["name", "codename", "applies_to"]
    list_select_related = ["content_type"]
    search_fields = ["name", "codename", "content_type__app_label"]
    search_help_text = "Name, code or app"

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read what a right applies to in the same statement: its text names it."""
        return super().get_queryset(request).select_related("content_type")

    @admin.display(description="Applies to")
    def applies_to(self, permission: Permission) -> str:
        """App and table."""
        return f"{permission.content_type.app_label}.{permission.content_type.model}"


class ObjectPermissionAdmin(ReadOnlyModelAdmin):
    """Base of the rights behind reach, as guardian keeps them. Given and withdrawn under reach grants."""

    list_select_related = ["permission__content_type", "content_type"]
    search_fields = ["object_pk"]
    sortable_by: list[str] = []

    @admin.display(description="Right")
    def right(self, row: Any) -> str:
        """The code of the right."""
        return str(row.permission.codename)

    @admin.display(description="On")
    def target(self, row: Any) -> SafeString:
        """A link to the row that the right is about."""
        kind: ContentType = row.content_type
        return link_to(
            f"admin:{kind.app_label}_{kind.model}_change", row.object_pk, f"{kind.model} {row.object_pk}"
        )


@admin.register(UserObjectPermission)
class UserObjectPermissionAdmin(ObjectPermissionAdmin):
    """Reach of single members of staff."""

    list_display = ["user", "right", "target"]
    list_select_related = ["user", "permission__content_type", "content_type"]
    search_help_text = "E-mail or id of the row"

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by member of staff or by row."""
        return Q(user_id__in=users_by_email(term)) | Q(object_pk=term)


@admin.register(GroupObjectPermission)
class GroupObjectPermissionAdmin(ObjectPermissionAdmin):
    """Reach of staff groups."""

    list_display = ["group", "right", "target"]
    list_select_related = ["group", "permission__content_type", "content_type"]
    search_help_text = "Staff group or id of the row"

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by staff group or by row."""
        return Q(group__name__icontains=term) | Q(object_pk=term)


@admin.register(ChangeLogEntry)
class ChangeLogAdmin(ReadOnlyModelAdmin, LogEntryAdminMixin):
    """What changed in configuration, field by field."""

    list_display = ["at", "target", "action_", "msg_short", "by"]
    list_filter = [("action", ChoicesDropdownFilter), ("timestamp", PeriodFilter)]
    list_select_related = ["content_type", "actor"]
    search_fields = ["object_repr"]
    search_help_text = "E-mail of who changed it, or id of the row"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fieldsets = [
        (None, {"fields": [("at", "by"), ("target", "action_"), ("remote_addr", "cid")]}),
        ("Changes", {"fields": ["changed"]}),
    ]
    readonly_fields = ["at", "by", "target", "action_", "changed"]

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by the row's name or id, or by who changed it."""
        return Q(actor_id__in=users_by_email(term)) | Q(object_pk=term)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Show everything to who reaches everything; to others what they changed themselves."""
        rows = super().get_queryset(request)
        return rows if reaches_everyone(request.user) else rows.filter(actor_id=request.user.pk)

    @admin.display(description="Time (UTC)")
    def at(self, entry: Any) -> SafeString:
        """When it changed."""
        return instant(entry.timestamp)

    @admin.display(description="Values")
    def changed(self, entry: Any) -> SafeString:
        """Every value before and after."""
        kept = entry.changes_dict or {}
        pairs = {name: pair for name, pair in kept.items() if isinstance(pair, list)}
        sets = {
            f"{name}, {one['operation']}": one["objects"] for name, one in kept.items() if name not in pairs
        }
        was, becomes = ({name: in_words(pair[at]) for name, pair in pairs.items()} for at in (0, -1))
        return told_values(was, {**becomes, **sets})

    @admin.display(description="Action")
    def action_(self, entry: Any) -> SafeString:
        """Created, changed or deleted."""
        return badge(entry.get_action_display(), ACTION_TONES.get(entry.action, "muted"))

    @admin.display(description="Row")
    def target(self, entry: Any) -> SafeString:
        """A link to the row."""
        return row_link(entry.content_type, entry.object_pk, entry.object_repr)

    @admin.display(description="By")
    def by(self, entry: Any) -> SafeString | str:
        """Who changed it."""
        if entry.actor_id is None:
            return "system"
        return link_to("admin:accounts_user_change", entry.actor_id, entry.actor)


class AttemptAdmin(OperatedModelAdmin):
    """Base of the sign-in logs."""

    list_filter = [("attempt_time", PeriodFilter)]
    search_fields = ["username"]
    search_help_text = "Exact e-mail of staff, or address"
    ordering = ["-id"]
    sortable_by: list[str] = []

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by address, or by the e-mail of staff: other names are masked, also for whoever guesses."""
        is_of_staff = User.objects.filter(email=term.lower(), is_staff=True).exists()
        condition = Q(username=term.lower()) if is_of_staff else Q(pk__in=())
        return condition | Q(ip_address=term) if _is_address(term) else condition

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Note whose names are those of staff."""
        staff = User.objects.filter(email=OuterRef("username"), is_staff=True)
        return super().get_queryset(request).annotate(is_of_staff=Exists(staff))

    @admin.display(description="Username")
    def name(self, row: Any) -> str:
        """The e-mail of staff; of anybody else its beginning, whoever looks."""
        if row.is_of_staff:
            return str(row.username)
        return f"{row.username[:1]}{MASK}" if row.username else EMPTY

    @admin.display(description="Time (UTC)")
    def at(self, row: Any) -> SafeString:
        """When it was tried."""
        return instant(row.attempt_time)


@admin.register(AccessAttempt)
class AccessAttemptAdmin(AttemptAdmin):
    """Failed sign-ins that still count towards a lock."""

    list_display = ["at", "name", "ip_address", "failures_since_start", "user_agent"]
    fields = ["at", "name", "ip_address", "failures_since_start", "user_agent", "path_info"]
    readonly_fields = ["at", "name"]
    actions = ["unlock"]
    actions_detail = ["unlock"]

    @operator_action(
        "Unlock", permission="axes.delete_accessattempt", warning="The person may try again at once."
    )
    def unlock(self, attempt: AccessAttempt, operation: Operation) -> str:
        """Forget the failed sign-ins of this person from this address."""
        reset(ip=attempt.ip_address, username=attempt.username)
        return "unlocked"


@admin.register(AccessLog)
class AccessLogAdmin(AttemptAdmin):
    """Successful sign-ins."""

    list_display = ["at", "name", "ip_address", "logout_time", "user_agent"]
    fields = ["at", "name", "ip_address", "logout_time", "user_agent", "path_info"]
    readonly_fields = ["at", "name"]


@admin.register(AccessFailureLog)
class AccessFailureLogAdmin(AttemptAdmin):
    """Failed sign-ins, kept."""

    list_display = ["at", "name", "ip_address", "locked_out", "user_agent"]
    fields = ["at", "name", "ip_address", "locked_out", "user_agent", "path_info"]
    readonly_fields = ["at", "name"]


def _is_address(term: str) -> bool:
    try:
        ip_address(term)
    except ValueError:
        return False
    return True
