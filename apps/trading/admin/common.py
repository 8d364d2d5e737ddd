"""What the pages of trading share: searches and cells. No rows are changed here."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.accounts.models import TradingAccount
from apps.market.models import Symbol
from rtx.kernel.admin import OperatedModelAdmin, as_id
from rtx.kernel.admin_display import badge, instant, link, number

SIDE_TONES = {"buy": "good", "sell": "bad"}
STATUS_TONES = {
    "new": "muted",
    "working": "info",
    "filled": "good",
    "partially_filled": "info",
    "canceled": "muted",
    "rejected": "bad",
    "expired": "muted",
}
SYMBOLS_FOUND_MAX = 50


def told(values: Mapping[str, Any]) -> str:
    """Say which values were changed, for the message and the staff log."""
    shown = [
        f"{name.replace('_', ' ')} {'removed' if v is None else f'is now {v}'}" for name, v in values.items()
    ]
    return ", ".join(shown)


class TicketAdmin(OperatedModelAdmin):
    """Rows with a ticket, an account, a symbol and a side: orders, deals and positions."""

    reach_path = "account__group"
    list_select_related = ["account", "symbol"]
    search_fields = ["account__login"]
    ordering = ["-id"]
    sortable_by = ["id"]

    def offers_actions(self, row: Any) -> bool:
        """Tell whether a row can be acted on at all."""
        return True

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer no action on a row that cannot be acted on."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        row = self.get_object(request, unquote(str(object_id))) if offered else None
        return offered if row is not None and self.offers_actions(row) else []

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by ticket or account number, or by the beginning of a symbol's name."""
        wanted = as_id(term)
        if wanted is not None:
            accounts = list(TradingAccount.objects.filter(login=wanted).values_list("pk", flat=True))
            return Q(pk=wanted) | Q(account_id__in=accounts) | self.search_number(wanted)
        symbols = Symbol.objects.filter(name__istartswith=term).values_list("pk", flat=True)
        found = list(symbols[:SYMBOLS_FOUND_MAX])
        return Q(symbol_id__in=found) if found else self.search_text(term)

    def search_number(self, wanted: int) -> Q:
        """Return what else a number may find."""
        return Q(pk__in=[])

    def search_text(self, term: str) -> Q:
        """Return what a text finds that is no symbol."""
        return Q(pk__in=[])

    @admin.display(description="Ticket", ordering="id")
    def ticket(self, row: Any) -> str:
        """The row's number."""
        return f"#{row.pk}"

    @admin.display(description="Account")
    def account_link(self, row: Any) -> SafeString:
        """A link to the account."""
        return link(row.account)

    @admin.display(description="Symbol")
    def symbol_name(self, row: Any) -> str:
        """The symbol's name."""
        return str(row.symbol.name)

    @admin.display(description="Side")
    def side_(self, row: Any) -> SafeString:
        """Buy or sell."""
        return badge(row.get_side_display(), SIDE_TONES[row.side])

    @admin.display(description="Lots")
    def lots(self, row: Any) -> SafeString:
        """The volume in lots."""
        return number(row.volume)

    @admin.display(description="Book")
    def book_(self, row: Any) -> SafeString:
        """A-book or B-book."""
        return badge(f"{row.book.upper()}-book", "info" if row.book == "a" else "muted")

    @admin.display(description="Time (UTC)")
    def created(self, row: Any) -> SafeString:
        """When the row was made."""
        return instant(row.created_at)
