"""
The page of clients. Personal data is masked for everybody; staff with the right to see it ask for it, give a
reason, and see it once, in the answer to that request.

Searching compares keyed hashes: an exact e-mail, phone number, document number or last name, never a part
of one.
"""

import uuid
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.accounts.admin.exports import ExportedAdmin, personal_columns
from apps.accounts.admin.kyc import KYC_TONES, documents_shown, reviews_shown
from apps.accounts.forms.clients import (
    PERSONAL,
    ClientForm,
    DocumentForm,
    NewAccountForm,
    NewClientForm,
    PersonForm,
    groups_for,
)
from apps.accounts.models import Client, TradingAccount
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from apps.accounts.selectors import clients as found
from apps.accounts.services import clients, kyc, trading_accounts, users
from apps.accounts.services.clients import PersonalData
from rtx.kernel import recent_login, staff_log
from rtx.kernel.actor import Actor
from rtx.kernel.admin import ConfiguredModelAdmin, reachable_groups
from rtx.kernel.admin_actions import CONFIRMED, Operation, OperatorForm, operator_action
from rtx.kernel.admin_display import EMPTY, MASK, badge, grouped, instant, link, link_to
from rtx.kernel.admin_filters import PeriodFilter
from rtx.kernel.staff_log import REASON_FIELD

CHANGE_CLIENT = "accounts.change_client"
ADD_ACCOUNT = "accounts.add_tradingaccount"
ADD_DOCUMENT = "accounts.add_kycdocument"
ACCOUNTS_SHOWN_MAX = 50


@admin.register(Client)
class ClientAdmin(ExportedAdmin, ConfiguredModelAdmin):
    """Clients are opened together with their user and never deleted; erasing drops their key."""

    reach_path = "trading_accounts__group"
    unlogged_fields = frozenset(PERSONAL)
    is_deletable = False
    form = ClientForm
    list_display = ["number", "name", "email_", "country", "kyc", "user_state", "created"]
    list_filter = [
        ("kyc_status", ChoicesDropdownFilter),
        ("country", FieldTextFilter),
        ("created_at", PeriodFilter),
    ]
    list_select_related = ["user"]
    search_fields = ["number"]
    search_help_text = "Number, account, exact e-mail, phone or last name"
    ordering = ["-number"]
    sortable_by = ["number"]
    readonly_fields = [
        "number",
        "user_link",
        "accounts",
        "created",
        "masked",
        "kyc",
        "kyc_valid_until",
        "reviews",
        "documents",
    ]
    fieldsets = [
        (None, {"fields": [("number", "user_link", "created"), ("country", "user_state"), "accounts"]}),
        ("Personal data", {"fields": ["masked"]}),
        ("Identity check", {"fields": [("kyc", "kyc_valid_until"), "documents", "reviews"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "fields": [
                    ("first_name", "last_name"),
                    ("email", "phone"),
                    ("country", "birth_date"),
                    "address",
                    "document_number",
                    "group",
                    REASON_FIELD,
                ]
            },
        ),
    ]
    export_columns = [
        ("client_number", lambda client: client.number),
        ("user_id", lambda client: client.user_id),
        ("country", lambda client: client.country),
        ("kyc_status", lambda client: client.kyc_status),
        ("kyc_valid_until", lambda client: client.kyc_valid_until),
        ("may_log_in", lambda client: client.user.is_active),
        ("created_at", lambda client: client.created_at.isoformat()),
    ]
    export_personal = personal_columns(lambda client: client)
    actions = ["disable_login", "enable_login"]
    actions_detail = [
        "reveal",
        {"title": "Identity", "icon": "fact_check", "items": ["add_document", "submit_kyc"]},
        {
            "title": "Client",
            "icon": "manage_accounts",
            "items": ["change_person", "open_account", "new_password", "disable_login", "enable_login"],
        },
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        """Read the clients within reach, with their users."""
        return super().get_queryset(request).select_related("user")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Client | None:
        """Return a client within reach, who remembers how far the reach goes."""
        client: Client | None = super().get_object(request, object_id, from_field)
        if client is not None:
            client.__dict__["reach"] = reachable_groups(request.user)
        return client

    def limit_to(
        self, rows: QuerySet[Client], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[Client]:
        """Keep the clients with an account in these groups, and those just opened by this person."""
        within = found.clients_within(groups, user_id=int(request.user.pk or 0))
        return rows.filter(pk__in=within.values("pk"))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by number, by account, or by the keyed hash of an exact text."""
        return found.matching(term)

    # -- form

    def get_form(
        self, request: HttpRequest, obj: Client | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Ask for a person when a client is opened."""
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        form = super().get_form(request, obj, change, form=NewClientForm, **kwargs)
        form.base_fields["group"].queryset = groups_for(request.user)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Client | None = None) -> Any:
        """Show the record, or what a new client needs."""
        return self.fieldsets if obj is not None else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> Any:
        """Leave everything of a new client to its form."""
        fields = super().get_readonly_fields(request, obj)
        return (*fields, "user_state") if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: bool) -> None:
        """Open a client through the service, with a first account if asked for."""
        if change:
            super().save_model(request, obj, form, change)
            return
        given = dict(form.cleaned_data)
        group, email, country = given.pop("group"), given.pop("email"), given.pop("country")
        actor = Actor.of(request, reason=given.pop(REASON_FIELD))
        made = clients.register(
            email=email, password=None, person=PersonalData(**given), country=country, opened_by=actor.user_id
        )
        obj.pk, obj.number = made.pk, made.number
        if group is not None:
            self._open_account(made, group, None, actor)

    @staticmethod
    def _open_account(client: Client, group: Any, leverage: int | None, actor: Actor) -> TradingAccount:
        account = trading_accounts.open_account(client=client, group=group, actor=actor, leverage=leverage)
        staff_log.record(
            actor=actor,
            operation="accounts.open_account",
            target=account,
            group_id=group.pk,
            account_id=account.pk,
            after={"group": group.name, "leverage": account.leverage, "client": client.number},
        )
        return account

    # -- actions

    @action(description="Reveal personal data", icon="visibility", permissions=["reveal"])
    def reveal(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason, log it, and show the personal data once: in the answer, nowhere else."""
        client = self.get_object(request, object_id)
        if client is None:
            raise Http404("there is no such client")
        if not request.user.has_perm(VIEW_PERSONAL_DATA):
            raise PermissionDenied
        recent_login.require(request)
        is_confirmed = CONFIRMED in request.POST
        form = OperatorForm(
            request.POST if is_confirmed else None, row=client, initial={"request_key": uuid.uuid4()}
        )
        context = {
            **self.admin_site.each_context(request),
            "title": "Reveal personal data",
            "opts": self.opts,
            "client": client,
            "rows": [client],
            "form": form,
            "warning": "What you see is logged with your name and the reason.",
            "action_name": "reveal",
            "step": "Reveal once",
            "confirmed_name": CONFIRMED,
            "variant": "primary",
            "back_url": reverse("admin:accounts_client_change", args=[client.pk]),
        }
        if not (is_confirmed and form.is_valid()):
            return TemplateResponse(request, "admin/operator_action.html", context)
        with transaction.atomic():
            staff_log.record(
                actor=Actor.of(request, reason=form.cleaned_data["reason"]),
                operation="accounts.reveal_client",
                **{**staff_log.about(client, ""), "group_id": self._group_of(client)},
            )
        context["shown"] = [(name.replace("_", " "), getattr(client, name) or EMPTY) for name in PERSONAL]
        answer = TemplateResponse(request, "admin/client_revealed.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    def has_reveal_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer it to staff who may see personal data."""
        return bool(request.user.has_perm(VIEW_PERSONAL_DATA))

    @staticmethod
    def _group_of(client: Client) -> int | None:
        held = client.trading_accounts.order_by("login").values_list("group_id", flat=True)
        return held.first()

    @operator_action(
        "Change personal data",
        permission=CHANGE_CLIENT,
        icon="edit",
        form=PersonForm,
        warning="Fields left empty stay as they are. A new e-mail address is also the one to log in with.",
        variant=ActionVariant.DEFAULT,
    )
    def change_person(self, client: Client, operation: Operation) -> str:
        """Replace what is known of the person; the old values are shown nowhere."""
        changed = clients.change(client_id=client.pk, changes=operation.values)
        return f"changed: {', '.join(changed).replace('_', ' ')}" if changed else "nothing was different"

    @operator_action(
        "Add document",
        permission=ADD_DOCUMENT,
        icon="upload_file",
        form=DocumentForm,
        variant=ActionVariant.DEFAULT,
    )
    def add_document(self, client: Client, operation: Operation) -> str:
        """Keep a document under the client's key; the first one begins a review."""
        given = dict(operation.values)
        document = kyc.add_document(
            client_id=client.pk, content=given.pop("file"), by_id=operation.actor.user_id or 0, **given
        )
        return f"{document.get_kind_display().lower()} kept, {grouped(str(document.size_bytes))} bytes"

    @operator_action(
        "Begin review", permission=ADD_DOCUMENT, icon="fact_check", variant=ActionVariant.DEFAULT
    )
    def submit_kyc(self, client: Client, operation: Operation) -> str:
        """Put the client into the queue of reviews."""
        return f"waits as review {kyc.submit(client_id=client.pk).pk}"

    @operator_action(
        "Open account",
        permission=ADD_ACCOUNT,
        icon="add_card",
        form=NewAccountForm,
        variant=ActionVariant.DEFAULT,
    )
    def open_account(self, client: Client, operation: Operation) -> str:
        """Open a further account in a group within reach."""
        group, leverage = operation.values["group"], operation.values["leverage"]
        account = self._open_account(client, group, leverage, operation.actor)
        return f"account {account.login} is open in group {group.name}"

    @operator_action("Disable login", permission=CHANGE_CLIENT, icon="block")
    def disable_login(self, client: Client, operation: Operation) -> str:
        """Take the right to log in away; sessions end within seconds."""
        users.disable(user_id=client.user_id)
        return "may no longer log in"

    @operator_action("Enable login", permission=CHANGE_CLIENT, icon="check", variant=ActionVariant.DEFAULT)
    def enable_login(self, client: Client, operation: Operation) -> str:
        """Give the right to log in back."""
        if client.is_erased:
            raise kyc.KycRefused("The client was erased.", code="client_erased")
        users.enable(user_id=client.user_id)
        return "may log in again"

    @action(description="Set password", icon="password", permissions=["set_password"])
    def new_password(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open the form for the user's password."""
        client = self.get_object(request, object_id)
        if client is None:
            raise Http404("there is no such client")
        return HttpResponseRedirect(reverse("admin:auth_user_password_change", args=[client.user_id]))

    def has_set_password_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer it to staff who may change users."""
        return bool(request.user.has_perm("accounts.change_user"))

    # -- columns

    @admin.display(description="Name")
    def name(self, client: Client) -> str:
        """That there is a name."""
        return "erased" if client.is_erased else MASK if client.last_name_sealed else EMPTY

    @admin.display(description="E-mail")
    def email_(self, client: Client) -> str:
        """That there is an e-mail address."""
        return MASK if client.email_sealed and not client.is_erased else EMPTY

    @admin.display(description="Known")
    def masked(self, client: Client) -> str:
        """What is known, without saying it."""
        if client.is_erased:
            return "erased"
        known = [
            name.replace("_text", "").replace("_", " ")
            for name in Client.PERSONAL
            if getattr(client, f"{name}_sealed")
        ]
        return f"{MASK} ({', '.join(known)})" if known else "none"

    @admin.display(description="KYC", ordering="kyc_status")
    def kyc(self, client: Client) -> SafeString:
        """How far the identity check is."""
        return badge(client.get_kyc_status_display(), KYC_TONES[client.kyc_status])

    @admin.display(description="Documents")
    def documents(self, client: Client) -> SafeString | str:
        """Links to the documents."""
        return documents_shown(client)

    @admin.display(description="Reviews")
    def reviews(self, client: Client) -> SafeString | str:
        """Links to the reviews."""
        return reviews_shown(client)

    @admin.display(description="Login")
    def user_state(self, client: Client) -> SafeString:
        """Whether the user may log in."""
        return badge("active", "good") if client.user.is_active else badge("disabled", "bad")

    @admin.display(description="User")
    def user_link(self, client: Client) -> SafeString:
        """A link to the user; its e-mail address is personal data too."""
        return link_to("admin:accounts_user_change", client.user_id, f"user {client.user_id}")

    @admin.display(description="Created (UTC)")
    def created(self, client: Client) -> SafeString:
        """When the client was opened."""
        return instant(client.created_at)

    @admin.display(description="Accounts")
    def accounts(self, client: Client) -> SafeString | str:
        """Links to the client's trading accounts within reach."""
        held = found.accounts_shown([client.pk], client.__dict__.get("reach", frozenset())).get(client.pk, [])
        rows = [
            (link(account), account.group.name, account.currency) for account in held[:ACCOUNTS_SHOWN_MAX]
        ]
        return format_html_join(" · ", "{} <small>({}, {})</small>", rows) or EMPTY
