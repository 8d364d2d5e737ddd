"""
The pages of users and their refresh tokens.

Who may change whom: only a superuser touches staff, their role or the mark superuser; other staff manage
traders. A password or the right to log in changes through the service that also ends the user's tokens and
sockets.
"""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import action

from apps.accounts.forms import NewUserForm, UserForm, UserPasswordForm
from apps.accounts.models import Client, RefreshToken, TradingAccount, User
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from apps.accounts.services import users
from rtx.kernel import encryption
from rtx.kernel.admin import ConfiguredModelAdmin, ReadOnlyModelAdmin, as_id
from rtx.kernel.admin_display import EMPTY, badge, instant, link, link_to

ROLE_TONES = {
    "trader": "muted",
    "superadmin": "bad",
    "admin": "warn",
    "dealer": "info",
    "support": "info",
    "auditor": "good",
}


@admin.register(User)
class UserAdmin(ConfiguredModelAdmin, DjangoUserAdmin):  # type: ignore[misc]
    """Everybody who logs in. Users are disabled, never deleted."""

    reach_path = "client__trading_accounts__group"
    unlogged_fields = frozenset({"email"})
    is_deletable = False
    form = UserForm
    add_form = NewUserForm
    change_password_form = UserPasswordForm
    list_display = [
        "email",
        "display_name",
        "role_",
        "state",
        "is_superuser",
        "client_link",
        "seen",
        "created",
    ]
    list_filter = [
        ("role", ChoicesDropdownFilter),
        ("is_active", BooleanRadioFilter),
        ("is_staff", BooleanRadioFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    list_select_related = ["client"]
    search_fields = ["email"]
    search_help_text = "E-mail (its beginning), user id or account number"
    ordering = ["email"]
    sortable_by = ["email", "created"]
    filter_horizontal = ()
    autocomplete_fields = ["groups"]
    readonly_fields = ["client_link", "seen", "created", "password_changed", "token_version"]
    fieldsets = [
        (None, {"fields": [("email", "display_name"), ("role", "is_active", "is_staff"), "client_link"]}),
        ("Rights", {"fields": ["is_superuser", "groups"]}),
        ("Security", {"fields": [("created", "seen"), ("password_changed", "token_version")]}),
    ]
    add_fieldsets = [
        (None, {"fields": [("email", "display_name"), "role", "password1", "password2"]}),
    ]

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        """Set a user's password in one transaction with its entry in the staff log."""
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    def limit_to(self, rows: QuerySet[User], groups: frozenset[int], request: HttpRequest) -> QuerySet[User]:
        """Keep the traders with an account in these groups, and the person's own record."""
        owners = Client.objects.filter(
            pk__in=TradingAccount.objects.filter(group__in=groups).values("client_id")
        ).values("user_id")
        return rows.filter(Q(pk=request.user.pk) | Q(pk__in=owners, is_staff=False))

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Hide traders, whose e-mail is personal data, from staff without the right to see that."""
        rows = super().get_queryset(request)
        return rows if request.user.has_perm(VIEW_PERSONAL_DATA) else rows.filter(is_staff=True)

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by the beginning of the e-mail, by id, by account, or by the client's name."""
        condition = Q(email__startswith=term.lower())
        hashed = encryption.search_hash("last_name", term)
        if hashed:
            owners = Client.objects.filter(last_name_hash=hashed).values_list("user_id", flat=True)[:200]
            condition |= Q(pk__in=list(owners))
        number = as_id(term)
        if number is not None:
            accounts = TradingAccount.objects.filter(login=number)
            condition |= Q(pk=number) | Q(pk__in=list(accounts.values_list("client__user_id", flat=True)))
        return condition

    actions_detail = ["new_password"]

    @action(description="Set password", icon="password", permissions=["set_password"])
    def new_password(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open the form for the user's password."""
        return HttpResponseRedirect(reverse("admin:auth_user_password_change", args=[object_id]))

    def has_set_password_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Let whoever may change this user set a new password."""
        user = None if object_id is None else self.get_object(request, str(object_id))
        return user is not None and self.has_change_permission(request, user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Staff users are created by superusers; traders open together with their client."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Let only superusers change staff."""
        if obj is not None and obj.is_staff and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Keep rights away from everybody but superusers, and nobody locks themselves out."""
        fields = list(super().get_readonly_fields(request, obj))
        if not request.user.is_superuser:
            fields += ["role", "is_staff", "is_superuser", "groups"]
        elif obj is not None and obj.pk == request.user.pk:
            fields += ["role", "is_active", "is_staff", "is_superuser"]
        return fields

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> User:
        """Take over what was entered without saving it."""
        user: User = form.save(commit=False)
        return user

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save what was changed, and nothing else; who loses the right to log in loses their tokens too."""
        if (obj.is_superuser or obj.is_staff) and not request.user.is_superuser:
            raise PermissionDenied
        if not change:
            made = users.create_user(
                email=obj.email,
                password=form.cleaned_data["password1"],
                role=obj.role,
                display_name=obj.display_name,
            )
            obj.pk = made.pk
            obj.refresh_from_db()
            return
        columns = {field.name for field in obj._meta.concrete_fields}
        obj.save(update_fields=[name for name in form.changed_data if name in columns])
        if "is_active" in form.changed_data and not obj.is_active:
            users.disable(user_id=obj.pk)

    @admin.display(description="Role", ordering="role")
    def role_(self, user: User) -> SafeString:
        """The role."""
        return badge(user.get_role_display(), ROLE_TONES[user.role])

    @admin.display(description="Login", ordering="is_active")
    def state(self, user: User) -> SafeString:
        """Whether the user may log in."""
        return badge("active", "good") if user.is_active else badge("disabled", "bad")

    @admin.display(description="Client")
    def client_link(self, user: User) -> SafeString | str:
        """A link to the client of a trader."""
        client = getattr(user, "client", None)
        return EMPTY if client is None else link(client)

    @admin.display(description="Last seen (UTC)")
    def seen(self, user: User) -> SafeString:
        """The last login."""
        return instant(user.last_login)

    @admin.display(description="Created (UTC)", ordering="created_at")
    def created(self, user: User) -> SafeString:
        """When the user was created."""
        return instant(user.created_at)

    @admin.display(description="Password changed (UTC)")
    def password_changed(self, user: User) -> SafeString:
        """When the password was last changed."""
        return instant(user.password_changed_at)


@admin.register(RefreshToken)
class RefreshTokenAdmin(ReadOnlyModelAdmin):
    """Refresh tokens: when they were issued, used and revoked. Their hashes are not shown."""

    reach_path = "user__client__trading_accounts__group"
    list_display = ["id", "user_link", "family", "issued", "expires", "state"]
    list_filter = [("issued_at", RangeDateTimeFilter), ("expires_at", RangeDateTimeFilter)]
    list_select_related = ["user"]
    search_fields = ["user__email"]
    search_help_text = "Exact e-mail, user id or family"
    ordering = ["-id"]
    sortable_by = ["id"]
    fields = [("user_link", "family"), ("issued", "expires"), ("used", "revoked")]
    readonly_fields = ["user_link", "issued", "expires", "used", "revoked"]

    def limit_to(
        self, rows: QuerySet[RefreshToken], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[RefreshToken]:
        """Keep the tokens of traders with an account in these groups."""
        owners = Client.objects.filter(
            pk__in=TradingAccount.objects.filter(group__in=groups).values("client_id")
        ).values("user_id")
        return rows.filter(user_id__in=owners)

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by user or by family."""
        users = list(User.objects.filter(email=term.lower()).values_list("pk", flat=True))
        user_id = as_id(term)
        if user_id is not None:
            users.append(user_id)
        condition = Q(user_id__in=users)
        bare = term.replace("-", "").lower()
        if len(bare) == 32 and set(bare) <= set("0123456789abcdef"):
            condition |= Q(family=bare)
        return condition

    @admin.display(description="User")
    def user_link(self, token: RefreshToken) -> SafeString:
        """A link to the user; the e-mail address is personal data."""
        return link_to("admin:accounts_user_change", token.user_id, f"user {token.user_id}")

    @admin.display(description="Issued (UTC)")
    def issued(self, token: RefreshToken) -> SafeString:
        """When it was issued."""
        return instant(token.issued_at)

    @admin.display(description="Expires (UTC)")
    def expires(self, token: RefreshToken) -> SafeString:
        """When it ends by itself."""
        return instant(token.expires_at)

    @admin.display(description="Used (UTC)")
    def used(self, token: RefreshToken) -> SafeString:
        """When it was exchanged."""
        return instant(token.used_at)

    @admin.display(description="Revoked (UTC)")
    def revoked(self, token: RefreshToken) -> SafeString:
        """When it was revoked."""
        return instant(token.revoked_at)

    @admin.display(description="State")
    def state(self, token: RefreshToken) -> SafeString:
        """What the token is good for."""
        if token.revoked_at is not None:
            return badge("revoked", "bad")
        return badge("used", "muted") if token.used_at is not None else badge("open", "good")
