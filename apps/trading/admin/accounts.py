"""
The page of trading accounts: settled and floating figures that follow the market, an equity chart, and tabs
with positions, orders, deals, journal and what other apps add.

It stands in trading, not in accounts, because an account's equity is known only here.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.admin.exports import ExportedAdmin, personal_columns
from apps.accounts.models import Client, TradingAccount
from apps.accounts.selectors.clients import FOUND_MAX, matching
from apps.trading.admin import account_page
from apps.trading.admin.account_changes import CHANGES, STATUS_ACTIONS, AccountChanges
from apps.trading.admin.account_watch import AccountWatch
from apps.trading.admin.dealing import DEALING_ACTIONS, AccountDealing
from apps.trading.admin.statements import StatementDownload
from rtx.kernel import money
from rtx.kernel.admin import as_id
from rtx.kernel.admin_display import amount, badge, instant, link
from rtx.kernel.admin_filters import PeriodFilter, ReachableGroupFilter

STATUS_OF_ACCOUNT_TONES = {"active": "good", "close_only": "warn", "disabled": "bad"}


@admin.register(TradingAccount)
class TradingAccountAdmin(AccountDealing, AccountChanges, AccountWatch, StatementDownload, ExportedAdmin):
    """Accounts change only through commands of the executor."""

    reach_path = "group"
    list_display = [
        "login",
        "client_link",
        "group_name",
        "status_",
        "mode",
        "leverage_",
        "balance",
        "margin",
        "opened",
    ]
    list_filter = [
        ("group", ReachableGroupFilter),
        ("status", ChoicesDropdownFilter),
        ("position_mode", ChoicesDropdownFilter),
        ("opened_at", PeriodFilter),
    ]
    list_select_related = ["client", "group", "state"]
    search_fields = ["login"]
    search_help_text = "Account, client number, exact e-mail, phone or last name"
    ordering = ["-login"]
    sortable_by = ["login"]
    change_form_outer_before_template = "admin/trading_account_figures.html"
    fields = [
        ("login", "client_link", "group_link"),
        ("status_", "mode", "leverage_"),
        ("currency", "seq", "opened"),
    ]
    readonly_fields = ["client_link", "group_link", "status_", "mode", "leverage_", "seq", "opened"]

    export_columns = [
        ("login", lambda account: account.login),
        ("client_number", lambda account: account.client.number),
        ("group", lambda account: account.group.name),
        ("currency", lambda account: account.currency),
        ("position_mode", lambda account: account.position_mode),
        ("leverage", lambda account: account.leverage),
        ("status", lambda account: account.status),
        ("balance", lambda account: money.text(money.booked(account.state.balance, account.currency))),
        ("credit", lambda account: money.text(money.booked(account.state.credit, account.currency))),
        ("margin", lambda account: money.text(money.booked(account.state.margin, account.currency))),
        ("opened_at", lambda account: account.opened_at.isoformat()),
    ]
    export_personal = personal_columns(lambda account: account.client)
    actions = CHANGES
    actions_detail = [
        *DEALING_ACTIONS,
        {
            "title": "Account",
            "icon": "manage_accounts",
            "items": ["change_group", "change_leverage", *STATUS_ACTIONS, "close_account"],
        },
    ]

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by account number, or by what its client is found by."""
        owners = Client.objects.filter(matching(term)).values_list("pk", flat=True)
        condition = Q(client_id__in=list(owners[:FOUND_MAX]))
        wanted = as_id(term)
        return condition if wanted is None else condition | Q(login=wanted)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TradingAccount]:
        """Read client, group and state in the same statement."""
        return super().get_queryset(request).select_related(*self.list_select_related)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the account with its figures and its latest rows."""
        account = self.get_object(request, object_id)
        shown = {} if account is None else _shown(account, request.user)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    @admin.display(description="Client")
    def client_link(self, account: TradingAccount) -> SafeString:
        """A link to the client."""
        return link(account.client, f"client {account.client.number}")

    @admin.display(description="Group")
    def group_name(self, account: TradingAccount) -> str:
        """The group's name."""
        return account.group.name

    @admin.display(description="Group")
    def group_link(self, account: TradingAccount) -> SafeString:
        """A link to the group."""
        return link(account.group)

    @admin.display(description="Status")
    def status_(self, account: TradingAccount) -> SafeString:
        """What the account may do."""
        return badge(account.get_status_display(), STATUS_OF_ACCOUNT_TONES[account.status])

    @admin.display(description="Positions")
    def mode(self, account: TradingAccount) -> str:
        """Hedging or netting."""
        return account.get_position_mode_display()

    @admin.display(description="Leverage")
    def leverage_(self, account: TradingAccount) -> str:
        """The account's leverage."""
        return f"1:{account.leverage}"

    @admin.display(description="Balance")
    def balance(self, account: TradingAccount) -> SafeString:
        """Settled money."""
        return amount(account.state.balance, account.currency)

    @admin.display(description="Margin")
    def margin(self, account: TradingAccount) -> SafeString:
        """Collateral held."""
        return amount(account.state.margin, account.currency)

    @admin.display(description="Last event")
    def seq(self, account: TradingAccount) -> int:
        """The number of the last event in the journal."""
        return account.state.seq

    @admin.display(description="Opened (UTC)")
    def opened(self, account: TradingAccount) -> SafeString:
        """When it was opened."""
        return instant(account.opened_at)


def _shown(account: TradingAccount, user: Any) -> dict[str, Any]:
    return {
        "figures": account_page.figures(account),
        "sections": account_page.sections(account, user),
        "periods": [(7, "7 days"), (1, "1 day"), (30, "30 days"), (90, "90 days"), (365, "1 year")],
        "live_url": reverse("admin:accounts_tradingaccount_live", args=[account.pk]),
        "equity_url": reverse("admin:accounts_tradingaccount_equity", args=[account.pk]),
    }
