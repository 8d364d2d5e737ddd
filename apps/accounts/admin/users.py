"""
The pages of users and their refresh tokens.

Who may change whom: super administrators everybody, administrators staff of lower roles, nobody their own
role; other staff manage traders. A password or the right to log in changes through the service that also
ends the user's tokens and sockets.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.decorators import action

from apps.accounts.forms import NewUserForm, RoleForm, UserForm, UserPasswordForm, roles_offered
from apps.accounts.models import Client, RefreshToken, TradingAccount, User
from apps.accounts.permissions import ROLE_GROUP, may_manage
from apps.accounts.selectors import clients as found
from apps.accounts.services import role_changes, users
from rtx.kernel.actor import Actor
from rtx.kernel.admin import ConfiguredModelAdmin, ReadOnlyModelAdmin, as_id
from rtx.kernel.admin_actions import Operation, Told, operator_action
from rtx.kernel.admin_display import EMPTY, MASK, badge, instant, link, link_to
from rtx.kernel.admin_filters import PeriodFilter

WAITS = "The role waits for a super administrator (Approvals)."
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
    needs_recent_login = True
    form = UserForm
    add_form = NewUserForm
    change_password_form = UserPasswordForm
    change_user_password_template = "admin/user_password.html"
    list_display = [
        "address",
        "display_name",
        "role_",
        "state",
        "client_link",
        "seen",
        "created",
    ]
    list_filter = [
        ("role", ChoicesDropdownFilter),
        ("is_active", BooleanRadioFilter),
        ("is_staff", BooleanRadioFilter),
        ("created_at", PeriodFilter),
    ]
    list_select_related = ["client"]
    search_fields = ["email"]
    search_help_text = (
        "Staff: e-mail (its beginning). Traders: exact e-mail, phone or last name. Any: user id, account"
    )
    ordering = ["-id"]
    sortable_by = ["created"]  # an order by address would tell of addresses
    filter_horizontal = ()
    autocomplete_fields = ["groups"]
    readonly_fields = [
        *(
            "address",
            "role_",
            "is_staff",
            "client_link",
            "seen",
            "created",
            "password_changed",
            "token_version",
        )
    ]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("email", "display_name"),
                    ("role_", "is_active", "is_staff"),
                    "client_link",
                    "change_reason",
                ]
            },
        ),
        ("Rights", {"fields": ["is_superuser", "groups"]}),
        ("Security", {"fields": [("created", "seen"), ("password_changed", "token_version")]}),
    ]
    add_fieldsets = [
        (None, {"fields": [("email", "display_name"), "role", "password1", "password2", "change_reason"]}),
    ]

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        """Set a password in one transaction with its entry in the staff log. Name no trader's address."""
        self._require_recent_login(request)
        with transaction.atomic():
            answer = super().user_change_password(request, id, form_url)
        if isinstance(answer, TemplateResponse) and answer.context_data is not None:
            shown: User = answer.context_data["original"]
            answer.context_data["title"] = f"Set password of {shown}"
            if not shown.is_staff:
                shown.email = str(shown)  # of the copy that the page shows; nothing is saved
        return answer

    def limit_to(self, rows: QuerySet[User], groups: frozenset[int], request: HttpRequest) -> QuerySet[User]:
        """Keep the traders within reach, the person's own record, and staff of roles below theirs."""
        own: Any = request.user
        return rows.filter(found.users_within(groups, person=own))

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Leave a trader's address out: it is personal data, and changes at the client."""
        sets = super().get_fieldsets(request, obj)
        if obj is None or obj.is_staff:
            return sets
        (title, first), *rest = sets
        return [(title, {**first, "fields": [("address", "display_name"), *first["fields"][1:]]}), *rest]

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find staff by the beginning of their e-mail, anybody by id or account, traders as clients."""
        condition = Q(email__startswith=term.lower(), is_staff=True)
        owners = Client.objects.filter(found.matching(term)).values_list("user_id", flat=True)
        condition |= Q(pk__in=list(owners[: found.FOUND_MAX]))
        number = as_id(term)
        if number is not None:
            accounts = TradingAccount.objects.filter(login=number)
            condition |= Q(pk=number) | Q(pk__in=list(accounts.values_list("client__user_id", flat=True)))
        return condition

    actions_detail = [
        "new_password",
        {
            "title": "Rights",
            "icon": "shield_person",
            "items": [
                "change_role",
                "grant_personal_data",
                "withdraw_personal_data",
                "reset_second_factors",
            ],
        },
    ]

    @action(description="Set password", icon="password", permissions=["set_password"])
    def new_password(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open the form for the user's password."""
        return HttpResponseRedirect(reverse("admin:auth_user_password_change", args=[object_id]))

    def has_set_password_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Let whoever may change this user set a new password."""
        user = None if object_id is None else self.get_object(request, str(object_id))
        return user is not None and self.has_change_permission(request, user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever manages staff creates them; traders open together with their client."""
        return bool(super().has_add_permission(request) and may_manage(_role(request), User.Role.AUDITOR))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Let nobody change staff of their own rank or above, but super administrators."""
        if obj is not None and obj.is_staff and not may_manage(_role(request), obj.role):
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Sets of rights are for superusers; nobody switches themselves off. A role has its action."""
        fields = [*super().get_readonly_fields(request, obj), "is_superuser"]
        is_own = obj is not None and obj.pk == request.user.pk
        fields += ["is_active"] if is_own else []
        if is_own or not request.user.is_superuser:
            fields.append("groups")
        return fields

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer, and accept, only roles that this person may give."""
        field = super().formfield_for_choice_field(db_field, request, **kwargs)
        if db_field.name == "role" and field is not None:
            field.choices = roles_offered(request.user)
        return field

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer no role among the staff groups: a role is given as such."""
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.name == "groups":
            field.queryset = field.queryset.exclude(name__startswith=ROLE_GROUP)
        return field

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> User:
        """Take over what was entered without saving it."""
        user: User = form.save(commit=False)
        return user

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save what was changed, and nothing else; who loses the right to log in loses their tokens too."""
        if not change:
            made = role_changes.open_staff(
                email=obj.email,
                password=form.cleaned_data["password1"],
                role=obj.role,
                display_name=obj.display_name,
                actor=Actor.of(request, reason=form.cleaned_data["change_reason"]),
            )
            if made.role != obj.role:
                messages.warning(request, WAITS)
                form.cleaned_data["role"] = made.role  # what the staff log tells: the role that they have
            obj.pk = made.pk
            obj.refresh_from_db()
            return
        columns = {field.name for field in obj._meta.concrete_fields} - {"role", "is_staff", "is_superuser"}
        obj.save(update_fields=[name for name in form.changed_data if name in columns])
        if "groups" in form.changed_data:
            users.end_logins(user_id=obj.pk)
        if "is_active" in form.changed_data and not obj.is_active:
            users.disable(user_id=obj.pk)

    @operator_action(
        "Change role",
        permission="accounts.add_user",
        icon="badge",
        form=RoleForm,
        warning="Their sessions and tokens end. A role above support, given by an administrator, waits for a "
        "super administrator.",
        needs_recent_login=True,
    )
    def change_role(self, user: User, operation: Operation) -> Told:
        """Give a member of staff another role."""
        role = operation.values["role"]
        waiting = role_changes.change(user_id=user.pk, role=role, actor=operation.actor)
        said = f"{user.role} before, {role} now" if waiting is None else WAITS
        return Told(said=said, before={"role": user.role}, is_waiting=waiting is not None)

    @operator_action(
        "Show personal data to them",
        permission="accounts.add_user",
        icon="visibility",
        warning="They will see names, addresses and documents of the clients within their reach.",
        needs_recent_login=True,
    )
    def grant_personal_data(self, user: User, operation: Operation) -> str:
        """Give one member of staff the right to personal data."""
        users.set_personal_data(user_id=user.pk, is_granted=True, by_role=_role_of(operation))
        return "may see personal data"

    @operator_action(
        "Hide personal data", permission="accounts.add_user", icon="visibility_off", needs_recent_login=True
    )
    def withdraw_personal_data(self, user: User, operation: Operation) -> str:
        """Take the right to personal data away again."""
        users.set_personal_data(user_id=user.pk, is_granted=False, by_role=_role_of(operation))
        return "sees personal data no more"

    @operator_action(
        "Reset second factors",
        permission="accounts.add_user",
        icon="phonelink_erase",
        warning="Every session ends; at the next sign-in they set up a second factor anew.",
        needs_recent_login=True,
    )
    def reset_second_factors(self, user: User, operation: Operation) -> str:
        """Let a member of staff who lost their device enroll anew."""
        users.reset_second_factors(user_id=user.pk, by_role=_role_of(operation))
        return "second factors reset"

    @admin.display(description="E-mail")
    def address(self, user: User) -> str:
        """The address of staff; that of a trader is personal data."""
        return user.email if user.is_staff else MASK

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


def _role(request: HttpRequest) -> str:
    user: Any = request.user
    return User.Role.SUPERADMIN if user.is_superuser else str(user.role)


def _role_of(operation: Operation) -> str:
    person = User.objects.get(pk=operation.actor.user_id or 0)
    return User.Role.SUPERADMIN if person.is_superuser else person.role


@admin.register(RefreshToken)
class RefreshTokenAdmin(ReadOnlyModelAdmin):
    """Refresh tokens: when they were issued, used and revoked. Their hashes are not shown."""

    reach_path = "user__client__trading_accounts__group"
    list_display = ["id", "user_link", "family", "issued", "expires", "state"]
    list_filter = [("issued_at", PeriodFilter), ("expires_at", PeriodFilter)]
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
