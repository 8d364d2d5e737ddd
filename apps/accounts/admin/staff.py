"""
Pages about staff: their sessions, where they may come from, how far they reach. Each change is one service
call or one validated form; nobody locks themselves out, and nobody widens their own reach.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.forms import AllowedNetworkForm, ReachGrantForm, may_list
from apps.accounts.models import AllowedNetwork, ReachGrant, StaffSession, User
from apps.accounts.permissions import REVOKE_SESSION, ROLE_GROUP, may_manage
from apps.accounts.selectors import networks
from apps.accounts.services import reach, staff_sessions, users
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.admin import ConfiguredModelAdmin, OperatedModelAdmin
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import badge, browser, instant
from rtx.kernel.errors import Forbidden, Invalid
from rtx.kernel.staff_log import given_reason


@admin.register(StaffSession)
class StaffSessionAdmin(OperatedModelAdmin):
    """Who is signed in to the admin, from where, and since when."""

    list_display = ["user", "state", "ip", "browser", "started", "seen", "proved"]
    list_filter = [("end", ChoicesDropdownFilter)]
    list_select_related = ["user"]
    search_fields = ["user__email"]
    search_help_text = "E-mail"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [("user", "state"), ("ip", "user_agent"), ("started", "seen"), ("proved", "ended")]
    readonly_fields = ["state", "started", "seen", "proved", "ended"]
    actions = ["revoke", "revoke_all"]
    actions_detail = ["revoke", "revoke_all"]

    @operator_action("End session", permission=REVOKE_SESSION, icon="logout")
    def revoke(self, session: StaffSession, operation: Operation) -> str:
        """End one session at once."""
        staff_sessions.end(session)
        return "ended"

    @operator_action(
        "End everything of this person",
        permission=REVOKE_SESSION,
        warning="Every session and every token of the person ends.",
        icon="person_off",
    )
    def revoke_all(self, session: StaffSession, operation: Operation) -> str:
        """End all sessions and tokens of the person."""
        users.end_logins(user_id=session.user_id)
        return "every session and token ended"

    @admin.display(description="State")
    def state(self, session: StaffSession) -> SafeString:
        """Whether it goes on, or how it ended."""
        if session.ended_at is not None:
            return badge(session.get_end_display().lower(), "muted")
        return badge("open", "good") if session.proved_at else badge("no second factor yet", "warn")

    @admin.display(description="Browser")
    def browser(self, session: StaffSession) -> str:
        """Its name and system; the page of the session has all that it says about itself."""
        return browser(session.user_agent)

    @admin.display(description="Started (UTC)")
    def started(self, session: StaffSession) -> SafeString:
        """When the person signed in."""
        return instant(session.started_at)

    @admin.display(description="Last seen (UTC)")
    def seen(self, session: StaffSession) -> SafeString:
        """When the person last did something."""
        return instant(session.seen_at)

    @admin.display(description="Proved (UTC)")
    def proved(self, session: StaffSession) -> SafeString:
        """When the person last used their second factor."""
        return instant(session.proved_at)

    @admin.display(description="Ended (UTC)")
    def ended(self, session: StaffSession) -> SafeString:
        """When it ended."""
        return instant(session.ended_at)


class AskingAdmin(ConfiguredModelAdmin):
    """Base of forms that check who is filling them in."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Tell the form who asks."""
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"request": request})


@admin.register(AllowedNetwork)
class AllowedNetworkAdmin(AskingAdmin):
    """Where staff may come from."""

    form = AllowedNetworkForm
    needs_recent_login = True
    list_display = ["network", "whom", "note", "state"]
    list_select_related = ["user"]
    search_fields = ["network", "user__email", "note"]
    search_help_text = "Network, e-mail or note"
    autocomplete_fields = ["user"]
    fields = [("network", "user"), ("note", "until"), "change_reason"]

    def has_change_permission(self, request: HttpRequest, obj: AllowedNetwork | None = None) -> bool:
        """Keep the networks of all staff, and of one's rank and above, to super administrators."""
        may = obj is None or may_list(request.user, obj.user)
        return may and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep the networks of all staff, and of one's rank and above, to super administrators."""
        may = not isinstance(obj, AllowedNetwork) or may_list(request.user, obj.user)
        return may and super().has_delete_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: AllowedNetwork) -> None:
        """Delete a network, unless it lets in who deletes it."""
        self._require_entry(request, [obj])
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AllowedNetwork]) -> None:
        """Delete networks, unless they let in who deletes them, or are not theirs to delete."""
        rows = list(queryset.select_related("user"))
        self._require_entry(request, rows)
        queryset.delete()

    @staticmethod
    def _require_entry(request: HttpRequest, rows: list[AllowedNetwork]) -> None:
        if not all(may_list(request.user, row.user) for row in rows):
            raise Forbidden("Only a super administrator deletes these networks.")
        ip = request.META.get("REMOTE_ADDR", "")
        left = networks.listed(user_id=request.user.pk or 0, but=[row.pk for row in rows])
        if not networks.contains(left, ip):
            raise Invalid(f"This would lock you out: add the network you come from, {ip}, first.")

    @admin.display(description="For")
    def whom(self, row: AllowedNetwork) -> str:
        """One person, or all staff."""
        return str(row.user) if row.user else "all staff"

    @admin.display(description="State")
    def state(self, row: AllowedNetwork) -> SafeString:
        """Whether it counts."""
        return _until(row.until)


@admin.register(ReachGrant)
class ReachGrantAdmin(AskingAdmin):
    """Who may operate which trading group, and until when."""

    form = ReachGrantForm
    needs_recent_login = True
    reach_path = "trading_group"
    list_display = ["whom", "trading_group", "state", "reason", "given_by", "given"]
    list_select_related = ["user", "staff_group", "trading_group", "given_by"]
    search_fields = ["user__email", "staff_group__name", "trading_group__name"]
    search_help_text = "E-mail, staff group or trading group"
    autocomplete_fields = ["user", "trading_group"]
    fields = [("user", "staff_group"), "trading_group", ("until", "reason")]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer staff that this person may manage, and sets of rights that are no role."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and db_field.name == "staff_group":
            field.queryset = field.queryset.exclude(name__startswith=ROLE_GROUP)
        return field

    def has_change_permission(self, request: HttpRequest, obj: ReachGrant | None = None) -> bool:
        """Keep one's own reach, and that of staff of one's rank or above, to others."""
        return _may_grant(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep one's own reach, and that of staff of one's rank or above, to others."""
        return _may_grant(request, obj) and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: ReachGrant, form: forms.ModelForm, change: bool) -> None:
        """Give the right together with the grant."""
        if change and {"user", "staff_group", "trading_group"} & set(form.changed_data):
            actor = Actor.of(request, reason=obj.reason)
            reach.withdraw(ReachGrant.objects.get(pk=obj.pk), actor=actor)
            obj.pk = None
        reach.give(obj, actor=Actor.of(request, reason=obj.reason))

    def delete_model(self, request: HttpRequest, obj: ReachGrant) -> None:
        """Withdraw the right together with the grant."""
        reach.withdraw(obj, actor=Actor.of(request, reason=given_reason(request)))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ReachGrant]) -> None:
        """Withdraw the rights together with the grants."""
        for grant in queryset:
            if _may_grant(request, grant):
                reach.withdraw(grant, actor=Actor.of(request, reason=given_reason(request)))

    @admin.display(description="Who")
    def whom(self, grant: ReachGrant) -> str:
        """The member of staff, or the staff group."""
        return str(grant.user or grant.staff_group)

    @admin.display(description="Until (UTC)")
    def state(self, grant: ReachGrant) -> SafeString:
        """How long it counts."""
        return _until(grant.until)

    @admin.display(description="Given (UTC)")
    def given(self, grant: ReachGrant) -> SafeString:
        """When it was given."""
        return instant(grant.given_at)


def _may_grant(request: HttpRequest, grant: ReachGrant | None) -> bool:
    user: Any = request.user
    if grant is None or user.is_superuser:
        return True
    holder: User | None = grant.user
    return holder is not None and holder.pk != user.pk and may_manage(user.role, holder.role)


def _until(until: Any) -> SafeString:
    if until is None:
        return badge("for good", "good")
    return badge("over", "muted") if until <= clock.now() else instant(until)
