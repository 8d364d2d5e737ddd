"""
What an account's page shows above its record: figures, and tabs with the latest rows. Reads only.

Apps to the right add their tabs by dotted path (`ACCOUNT_TABS`): a callable that takes the account and gives
a `Tab`. A tab is shown to staff with the right to view its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

from apps.accounts.models import TradingAccount
from apps.trading.admin.common import SIDE_TONES, STATUS_TONES
from apps.trading.selectors import books
from apps.trading.selectors.markets import markets
from apps.trading.selectors.valued import value
from rtx.kernel import clock
from rtx.kernel.admin_display import amount, badge, instant, link, number, price

ROWS_SHOWN = 20
FIGURES = (
    ("balance", "Balance"),
    ("credit", "Credit"),
    ("profit", "Floating profit"),
    ("equity", "Equity"),
    ("margin", "Margin"),
    ("free_margin", "Free margin"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """The latest rows of one table about an account: `model` is app_model, whose list shows all of them."""

    model: str
    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    all_url: str

    @property
    def key(self) -> str:
        """What names the tab on the page."""
        return self.model

    @property
    def is_cut(self) -> bool:
        """Whether there may be more rows."""
        return len(self.rows) >= ROWS_SHOWN

    @property
    def right(self) -> str:
        """The right to view the rows."""
        app, _, model = self.model.partition("_")
        return f"{app}.view_{model}"


def figures(account: TradingAccount) -> dict[str, Any]:
    """Return the account's figures at the present prices; without a price only the settled ones."""
    views = markets(now=clock.now())
    held = books.holdings([account.pk])
    shown = books.account_view(held[0], views) if held else {}
    cells = [
        {
            "name": name,
            "title": title,
            "value": amount(_decimal(shown.get(name)), account.currency, signed=name == "profit"),
        }
        for name, title in FIGURES
    ]
    level = shown.get("margin_level")
    cells.append({"name": "margin_level", "title": "Margin level", "value": f"{level} %" if level else "–"})
    return {"cells": cells, "unpriced": bool(shown) and shown["equity"] is None}


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def present(account: TradingAccount) -> dict[str, Any]:
    """Return the figures and the open positions' prices and profits, as cells, for the page that watches."""
    found = figures(account)
    held: list[Any] = list(_held(account))
    value(held)
    return {
        "figures": {cell["name"]: cell["value"] for cell in found["cells"]},
        "unpriced": found["unpriced"],
        "positions": {
            str(row.pk): {
                "price": _closing(row),
                "profit": amount(row.floating, account.currency, signed=True),
            }
            for row in held
        },
    }


def _held(account: TradingAccount) -> Any:
    return account.positions.select_related("account", "symbol").order_by("-id")[:ROWS_SHOWN]


def _closing(row: Any) -> Any:
    return number(None) if row.closing_price is None else price(row.closing_price, row.symbol.digits)


def live(position_id: int, name: str, cell: Any) -> SafeString:
    """Mark a cell that changes while the page is open."""
    return format_html('<span data-live="{}:{}">{}</span>', position_id, name, cell)


def sections(account: TradingAccount, user: Any) -> list[Tab]:
    """Return the tabs that a member of staff may see."""
    own = [_positions, _orders, _deals, _journal, _ledger]
    tabs = [*own, *(import_string(path) for path in settings.ACCOUNT_TABS)]
    return [tab for tab in (make(account) for make in tabs) if user.has_perm(tab.right)]


def tab(
    account: TradingAccount, model: str, title: str, headers: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Tab:
    """Return a tab of rows that a list can show by `account`."""
    url = f"{reverse(f'admin:{model}_changelist')}?account__id__exact={account.pk}"
    return Tab(model=model, title=title, headers=headers, rows=rows, all_url=url)


def _positions(account: TradingAccount) -> Tab:
    found: list[Any] = list(_held(account))
    value(found)
    rows = [
        [
            link(row, f"#{row.pk}"),
            row.symbol.name,
            badge(row.get_side_display(), SIDE_TONES[row.side]),
            number(row.volume),
            price(row.open_price, row.symbol.digits),
            live(row.pk, "price", _closing(row)),
            live(row.pk, "profit", amount(row.floating, account.currency, signed=True)),
            instant(row.opened_at),
        ]
        for row in found
    ]
    headers = ["Ticket", "Symbol", "Side", "Lots", "Open price", "Current", "Profit", "Opened (UTC)"]
    return tab(account, "trading_position", "Open positions", headers, rows)


def _orders(account: TradingAccount) -> Tab:
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
    return tab(account, "trading_order", "Orders", headers, rows)


def _deals(account: TradingAccount) -> Tab:
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
    return tab(account, "trading_deal", "Deals", headers, rows)


def _journal(account: TradingAccount) -> Tab:
    found = account.events.order_by("-seq")[:ROWS_SHOWN]
    rows = [[link(row, f"{row.seq}"), instant(row.at), badge(row.type), row.actor] for row in found]
    return tab(account, "accounts_accountevent", "Journal", ["Seq", "Time (UTC)", "Type", "By"], rows)


def _ledger(account: TradingAccount) -> Tab:
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
    return tab(account, "accounts_ledgerline", "Ledger", ["Line", "Time (UTC)", "Ledger", "Amount"], rows)
