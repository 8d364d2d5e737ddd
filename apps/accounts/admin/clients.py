"""
The page of clients. Personal data is decrypted only for staff with the right to see it; others see a mask.

Searching compares keyed hashes: an exact e-mail, phone number, document number or last name, never a part
of one.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter

from apps.accounts.forms import ClientForm
from apps.accounts.models import Client, TradingAccount
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from rtx.kernel import encryption
from rtx.kernel.admin import ConfiguredModelAdmin, as_id
from rtx.kernel.admin_display import EMPTY, MASK, badge, instant, link, link_to

ACCOUNTS_SHOWN_MAX = 50
KYC_TONES = {"none": "muted", "pending": "warn", "verified": "good", "rejected": "bad"}


@admin.register(Client)
class ClientAdmin(ConfiguredModelAdmin):
    """Clients are opened together with their user and never deleted; erasing drops their key."""

    reach_path = "trading_accounts__group"
    unlogged_fields = frozenset({*Client.PERSONAL, "birth_date"})
    is_deletable = False
    form = ClientForm
    list_display = ["number", "name", "email_", "country", "kyc", "user_state", "created"]
    list_filter = [
        ("kyc_status", ChoicesDropdownFilter),
        ("country", FieldTextFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    list_select_related = ["user"]
    search_fields = ["number"]
    search_help_text = "Number, account, exact e-mail, phone or last name"
    ordering = ["-number"]
    sortable_by = ["number"]
    readonly_fields = ["number", "user_link", "accounts", "created", "masked"]

    def limit_to(
        self, rows: QuerySet[Client], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[Client]:
        """Keep the clients with an account in these groups."""
        within = TradingAccount.objects.filter(group__in=groups).values("client_id")
        return rows.filter(pk__in=within)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        """Read the rows, noting for each whether this person may see personal data."""
        return super().get_queryset(request).select_related("user")

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by number, by account, or by the keyed hash of an exact text."""
        condition = Q()
        for kind in ("email", "phone", "last_name", "full_name", "document_number"):
            hashed = encryption.search_hash(kind, term)
            if hashed:
                condition |= Q(**{f"{kind}_hash": hashed})
        number = as_id(term)
        if number is not None:
            owners = list(TradingAccount.objects.filter(login=number).values_list("client_id", flat=True))
            condition |= Q(number=number) | Q(pk__in=owners)
        return condition

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a client is opened by the service that also opens the user."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Client | None = None) -> Any:
        """Show the personal fields in clear, or only that they are there."""
        personal: list[Any] = ["masked"]
        if request.user.has_perm(VIEW_PERSONAL_DATA):
            personal = [
                ("first_name", "last_name", "birth_date"),
                ("email", "phone"),
                "address",
                "document_number",
            ]
        return [
            (None, {"fields": [("number", "user_link", "created"), ("country", "kyc_status"), "accounts"]}),
            ("Personal data", {"fields": personal}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> Any:
        """Show personal data as text to staff who may see but not change clients."""
        fields = list(super().get_readonly_fields(request, obj))
        if not self.has_change_permission(request, obj):
            fields += [
                "first_name",
                "last_name",
                "birth_date",
                "email",
                "phone",
                "address",
                "document_number",
            ]
        return fields

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Mask name and e-mail for staff without the right to see them."""
        if request.user.has_perm(VIEW_PERSONAL_DATA):
            return list(self.list_display)
        masks = {"name": "masked_name", "email_": "masked_email"}
        return [masks.get(str(column), column) for column in self.list_display]

    @admin.display(description="Name")
    def name(self, client: Client) -> str:
        """First and last name in clear."""
        return "erased" if client.is_erased else client.full_name or EMPTY

    @admin.display(description="E-mail")
    def email_(self, client: Client) -> str:
        """The e-mail address in clear."""
        return client.email or EMPTY

    @admin.display(description="Name")
    def masked_name(self, client: Client) -> str:
        """That there is a name."""
        return MASK if client.last_name_sealed else EMPTY

    @admin.display(description="E-mail")
    def masked_email(self, client: Client) -> str:
        """That there is an e-mail address."""
        return MASK if client.email_sealed else EMPTY

    @admin.display(description="Personal data")
    def masked(self, client: Client) -> str:
        """What is known, without saying it."""
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
        """Links to the client's trading accounts."""
        held = client.trading_accounts.select_related("group")[:ACCOUNTS_SHOWN_MAX]
        rows = [(link(account), account.group.name, account.currency) for account in held]
        return format_html_join(" · ", "{} <small>({}, {})</small>", rows) or EMPTY
