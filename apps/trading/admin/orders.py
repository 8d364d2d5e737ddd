"""Pages of orders and deals: what was asked for, what became of it, and how every price came about."""

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter, RelatedDropdownFilter

from apps.accounts.models import TradingAccount
from apps.trading.admin.common import STATUS_TONES, TicketAdmin
from apps.trading.models import Deal, Order
from rtx.kernel.admin import ReadOnlyTabularInline, as_id
from rtx.kernel.admin_display import EMPTY, amount, badge, instant, link_to, number, price


class DealInline(ReadOnlyTabularInline):
    """The executions of one order."""

    model = Deal
    fields = ["ticket", "entry", "side", "volume_", "price_", "profit", "commission", "created_at"]
    readonly_fields = ["ticket", "volume_", "price_"]

    @admin.display(description="Deal")
    def ticket(self, deal: Deal) -> SafeString:
        """A link to the deal."""
        return link_to("admin:trading_deal_change", deal.pk, f"#{deal.pk}")

    @admin.display(description="Lots")
    def volume_(self, deal: Deal) -> SafeString:
        """The volume in lots."""
        return number(deal.volume)

    @admin.display(description="Price")
    def price_(self, deal: Deal) -> SafeString:
        """The price of the execution."""
        return number(deal.price)


@admin.register(Order)
class OrderAdmin(TicketAdmin):
    """Orders with their fate."""

    list_display = [
        "ticket",
        "created",
        "account_link",
        "symbol_name",
        "side_",
        "type",
        "lots",
        "average",
        "status_",
        "position_link",
    ]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("side", ChoicesDropdownFilter),
        ("type", ChoicesDropdownFilter),
        ("symbol", RelatedDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_help_text = "Ticket, account, symbol, or account and client order id"
    inlines = [DealInline]
    fields = [
        ("ticket", "account_link", "client_order_id"),
        ("symbol_name", "side_", "type"),
        ("status_", "reject_reason", "position_link"),
        ("lots", "filled", "average"),
        ("requested", "deviation", "requote_price"),
        ("stop_loss", "take_profit"),
        "comment",
        ("created", "updated"),
    ]
    readonly_fields = [
        "ticket",
        "account_link",
        "symbol_name",
        "side_",
        "status_",
        "position_link",
        "lots",
        "filled",
        "average",
        "requested",
        "created",
        "updated",
    ]

    def search_number(self, wanted: int) -> Q:
        """An order is found by its position too."""
        return Q(position_id=wanted)

    def search_text(self, term: str) -> Q:
        """
        An order is found by the id that the client gave it; fast when the account number stands before it.
        """
        login, _space, rest = term.partition(" ")
        number_ = as_id(login)
        if number_ is not None and rest:
            accounts = TradingAccount.objects.filter(login=number_).values_list("pk", flat=True)
            return Q(account_id__in=list(accounts), client_order_id=rest.strip())
        return Q(client_order_id=term)

    @admin.display(description="Filled lots")
    def filled(self, order: Order) -> SafeString:
        """The volume that was executed."""
        return number(order.filled_volume)

    @admin.display(description="Price")
    def average(self, order: Order) -> SafeString | str:
        """The average price of the executions."""
        return EMPTY if order.average_price is None else price(order.average_price, order.symbol.digits)

    @admin.display(description="Requested price")
    def requested(self, order: Order) -> SafeString:
        """The price that the client asked for."""
        return number(order.price)

    @admin.display(description="Status")
    def status_(self, order: Order) -> SafeString:
        """The status, with the reason of a refusal."""
        shown = order.get_status_display()
        text = f"{shown}: {order.reject_reason}" if order.reject_reason else shown
        return badge(text, STATUS_TONES[order.status])

    @admin.display(description="Position")
    def position_link(self, order: Order) -> SafeString | str:
        """A link to the deals of the order's position, which tell its story also after it was closed."""
        if order.position_id is None:
            return EMPTY
        return deals_of_position(order.position_id)

    @admin.display(description="Updated (UTC)")
    def updated(self, order: Order) -> SafeString:
        """When the order last changed."""
        return instant(order.updated_at)


@admin.register(Deal)
class DealAdmin(TicketAdmin):
    """Executions with everything that explains their price and their money."""

    list_select_related = ["account", "symbol"]
    list_display = [
        "ticket",
        "created",
        "account_link",
        "symbol_name",
        "entry_",
        "side_",
        "lots",
        "price_",
        "profit_",
        "commission_",
        "markup_",
        "book_",
    ]
    list_filter = [
        ("entry", ChoicesDropdownFilter),
        ("side", ChoicesDropdownFilter),
        ("symbol", RelatedDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    search_help_text = "Ticket, position, account or symbol"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("ticket", "order_link", "position_link"),
                    ("account_link", "symbol_name", "created"),
                    ("entry_", "side_", "book_"),
                    ("lots", "price_"),
                ]
            },
        ),
        ("Money", {"fields": [("profit_", "commission_"), ("swap_", "markup_")]}),
        (
            "How the price came about",
            {
                "fields": [
                    ("raw_bid", "raw_ask"),
                    ("client_bid", "client_ask"),
                    ("quote_time", "terms_version"),
                    ("profit_rate", "margin_rate"),
                    "rule",
                ]
            },
        ),
    ]
    readonly_fields = [
        "ticket",
        "order_link",
        "position_link",
        "account_link",
        "symbol_name",
        "created",
        "entry_",
        "side_",
        "book_",
        "lots",
        "price_",
        "profit_",
        "commission_",
        "swap_",
        "markup_",
        "quote_time",
    ]

    def search_number(self, wanted: int) -> Q:
        """A deal is found by its position too."""
        return Q(position_id=wanted)

    @admin.display(description="Order")
    def order_link(self, deal: Deal) -> SafeString:
        """A link to the order."""
        return link_to("admin:trading_order_change", deal.order_id, f"#{deal.order_id}")

    @admin.display(description="Position")
    def position_link(self, deal: Deal) -> SafeString:
        """A link to all deals of the position."""
        return deals_of_position(deal.position_id)

    @admin.display(description="Entry")
    def entry_(self, deal: Deal) -> SafeString:
        """What the deal did to its position."""
        return badge(deal.get_entry_display(), "info" if deal.entry == "in" else "muted")

    @admin.display(description="Price")
    def price_(self, deal: Deal) -> SafeString:
        """The price of the execution."""
        return price(deal.price, deal.symbol.digits)

    @admin.display(description="Profit")
    def profit_(self, deal: Deal) -> SafeString:
        """The client's profit."""
        return amount(deal.profit, deal.account.currency, signed=True)

    @admin.display(description="Commission")
    def commission_(self, deal: Deal) -> SafeString:
        """The commission as the client sees it."""
        return amount(deal.commission, deal.account.currency)

    @admin.display(description="Swap")
    def swap_(self, deal: Deal) -> SafeString:
        """The swap as the client sees it."""
        return amount(deal.swap, deal.account.currency)

    @admin.display(description="Markup")
    def markup_(self, deal: Deal) -> SafeString:
        """What the house earned on the price."""
        return amount(deal.markup, deal.account.currency)

    @admin.display(description="Quote time (UTC)")
    def quote_time(self, deal: Deal) -> SafeString:
        """When the quote was made that the price comes from."""
        return instant(deal.quote_at)


def deals_of_position(position_id: int) -> SafeString:
    """Write a link to the deals of a position."""
    url = f"{reverse('admin:trading_deal_changelist')}?q={position_id}"
    return format_html('<a class="rtx-link" href="{}">#{}</a>', url, position_id)
