"""
The page of trading accounts: settled and floating figures, open positions and the latest orders, deals and
events.

It stands in trading, not in accounts, because an account's equity is known only here.
"""

from decimal import Decimal
from typing import Any
from uuid import uuid5

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter

from apps.accounts.models import Client, TradingAccount
from apps.trading.admin.common import SIDE_TONES, STATUS_TONES
from apps.trading.admin.dealing import DEALING_ACTIONS, AccountDealing
from apps.trading.admin.statements import StatementDownload
from apps.trading.selectors import books
from apps.trading.selectors.markets import markets
from apps.trading.selectors.valued import value
from apps.trading.services import balances
from rtx.kernel import clock, encryption
from rtx.kernel.admin import as_id
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import amount, badge, instant, link, number, price
from rtx.kernel.admin_filters import ReachableGroupFilter

STATUS_OF_ACCOUNT_TONES = {"active": "good", "close_only": "warn", "disabled": "bad"}
CHANGE_ACCOUNT = "accounts.change_tradingaccount"
STATUS_ACTIONS = ["activate", "close_only", "disable"]
ROWS_SHOWN = 20
FIGURES = (
    ("balance", "Balance"),
    ("credit", "Credit"),
    ("profit", "Floating profit"),
    ("equity", "Equity"),
    ("margin", "Margin"),
    ("free_margin", "Free margin"),
)


@admin.register(TradingAccount)
class TradingAccountAdmin(AccountDealing, StatementDownload):
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
        ("opened_at", RangeDateTimeFilter),
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

    actions = STATUS_ACTIONS
    actions_detail = [*DEALING_ACTIONS, {"title": "Status", "icon": "toggle_on", "items": STATUS_ACTIONS}]

    @operator_action(
        "Activate",
        permission=CHANGE_ACCOUNT,
        warning="The account may trade again.",
        runs_commands=True,
    )
    def activate(self, account: TradingAccount, operation: Operation) -> str:
        """Let the account trade."""
        return self._set_status(account, TradingAccount.Status.ACTIVE, operation)

    @operator_action(
        "Close only",
        permission=CHANGE_ACCOUNT,
        warning="The account may close positions, no more.",
        runs_commands=True,
    )
    def close_only(self, account: TradingAccount, operation: Operation) -> str:
        """Let the account close positions only."""
        return self._set_status(account, TradingAccount.Status.CLOSE_ONLY, operation)

    @operator_action(
        "Disable",
        permission=CHANGE_ACCOUNT,
        warning="The account may do nothing any more.",
        runs_commands=True,
    )
    def disable(self, account: TradingAccount, operation: Operation) -> str:
        """Let the account do nothing."""
        return self._set_status(account, TradingAccount.Status.DISABLED, operation)

    @staticmethod
    def _set_status(account: TradingAccount, status: str, operation: Operation) -> str:
        balances.change_account(
            account_id=account.pk,
            command_id=uuid5(operation.request_key, f"{account.pk}:{status}"),
            actor=operation.actor,
            status=status,
        )
        return f"status is now {status.replace('_', ' ')}"

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by account number, by client number, or by the keyed hash of what the client is known by."""
        condition = Q(pk__in=[])
        number_ = as_id(term)
        owners = Q(pk__in=[])
        if number_ is not None:
            condition |= Q(login=number_)
            owners |= Q(number=number_)
        for kind in ("email", "phone", "last_name", "full_name"):
            hashed = encryption.search_hash(kind, term)
            if hashed:
                owners |= Q(**{f"{kind}_hash": hashed})
        return condition | Q(
            client_id__in=list(Client.objects.filter(owners).values_list("pk", flat=True)[:200])
        )

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
        shown = {} if account is None else {"figures": figures(account), "sections": sections(account)}
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


def figures(account: TradingAccount) -> dict[str, Any]:
    """Return the account's figures at the present prices; without a price only the settled ones."""
    views = markets(now=clock.now())
    held = books.holdings([account.pk])
    shown = books.account_view(held[0], views) if held else {}
    cells = [
        {
            "title": title,
            "value": amount(_decimal(shown.get(name)), account.currency, signed=name == "profit"),
        }
        for name, title in FIGURES
    ]
    level = shown.get("margin_level")
    cells.append({"title": "Margin level", "value": f"{level} %" if level else "–"})
    return {"cells": cells, "unpriced": bool(shown) and shown["equity"] is None}


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def sections(account: TradingAccount) -> list[dict[str, Any]]:
    """Return the tables under the figures, each with the link to the whole list."""
    return [
        _positions(account),
        _orders(account),
        _deals(account),
        _journal(account),
        _ledger(account),
    ]


def _section(
    account: TradingAccount, model: str, title: str, headers: list[str], rows: list[Any]
) -> dict[str, Any]:
    url = reverse(f"admin:{model}_changelist")
    return {
        "key": model,
        "title": title,
        "all_url": f"{url}?account__id__exact={account.pk}",
        "headers": headers,
        "rows": rows,
        "is_cut": len(rows) == ROWS_SHOWN,
    }


def _positions(account: TradingAccount) -> dict[str, Any]:
    found: list[Any] = list(
        account.positions.select_related("account", "symbol").order_by("-id")[:ROWS_SHOWN]
    )
    value(found)
    rows = [
        [
            link(row, f"#{row.pk}"),
            row.symbol.name,
            badge(row.get_side_display(), SIDE_TONES[row.side]),
            number(row.volume),
            price(row.open_price, row.symbol.digits),
            number(None) if row.closing_price is None else price(row.closing_price, row.symbol.digits),
            amount(row.floating, account.currency, signed=True),
            instant(row.opened_at),
        ]
        for row in found
    ]
    headers = ["Ticket", "Symbol", "Side", "Lots", "Open price", "Current", "Profit", "Opened (UTC)"]
    return _section(account, "trading_position", "Open positions", headers, rows)


def _orders(account: TradingAccount) -> dict[str, Any]:
    found = account.orders.select_related("symbol").order_by("-id")[:ROWS_SHOWN]
    rows = [
        [
            link(row, f"#{row.pk}"),
            instant(row.created_at),
            row.symbol.name,
            badge(row.get_side_display(), SIDE_TONES[row.side]),
            row.get_type_display(),
            number(row.volume),
            number(row.price),
            number(row.average_price),
            badge(row.reject_reason or row.get_status_display(), STATUS_TONES[row.status]),
        ]
        for row in found
    ]
    headers = ["Ticket", "Time (UTC)", "Symbol", "Side", "Type", "Lots", "Asked", "Filled at", "Status"]
    return _section(account, "trading_order", "Orders", headers, rows)


def _deals(account: TradingAccount) -> dict[str, Any]:
    found = account.deals.select_related("symbol").order_by("-id")[:ROWS_SHOWN]
    rows = [
        [
            link(row, f"#{row.pk}"),
            instant(row.created_at),
            row.symbol.name,
            row.get_entry_display(),
            badge(row.get_side_display(), SIDE_TONES[row.side]),
            number(row.volume),
            price(row.price, row.symbol.digits),
            amount(row.profit, account.currency, signed=True),
            amount(row.commission, account.currency),
        ]
        for row in found
    ]
    headers = ["Ticket", "Time (UTC)", "Symbol", "Entry", "Side", "Lots", "Price", "Profit", "Commission"]
    return _section(account, "trading_deal", "Deals", headers, rows)


def _journal(account: TradingAccount) -> dict[str, Any]:
    found = account.events.order_by("-seq")[:ROWS_SHOWN]
    rows = [[link(row, f"{row.seq}"), instant(row.at), badge(row.type), row.actor] for row in found]
    return _section(account, "accounts_accountevent", "Journal", ["Seq", "Time (UTC)", "Type", "By"], rows)


def _ledger(account: TradingAccount) -> dict[str, Any]:
    found = account.ledger_lines.order_by("-id")[:ROWS_SHOWN]
    rows = [
        [
            link(row, f"{row.pk}"),
            instant(row.at),
            row.get_ledger_display(),
            amount(row.amount, row.currency, signed=True),
        ]
        for row in found
    ]
    return _section(
        account, "accounts_ledgerline", "Ledger", ["Line", "Time (UTC)", "Ledger", "Amount"], rows
    )
