"""Pages of orders and deals: what was asked for, what became of it, and how every price came about."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.enums import ActionVariant

from apps.accounts.models import TradingAccount
from apps.trading.admin.commands import canceling, modifying_order
from apps.trading.admin.common import STATUS_TONES, TicketAdmin, told
from apps.trading.admin.dry_runs import dry_run_of
from apps.trading.forms import AccountLookupForm, OrderChangeForm
from apps.trading.models import Deal, Order
from apps.trading.permissions import CANCEL_ORDER, MODIFY_ORDER, PLACE_ORDER
from apps.trading.services import executor
from apps.trading.services.orders import accepted
from rtx.kernel.admin import ReadOnlyTabularInline, as_id, reachable_groups
from rtx.kernel.admin_actions import Operation, list_action, operator_action
from rtx.kernel.admin_display import EMPTY, amount, badge, instant, link_to, number, price, stored_values
from rtx.kernel.admin_filters import PeriodFilter, ReferenceFilter

WORKING = (Order.Status.WORKING, Order.Status.PARTIALLY_FILLED)


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


class WorkingFilter(DropdownFilter):
    """Orders that wait, or those that are final."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("working", "Working"), ("final", "Final")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Keep what was chosen; working orders have an index of their own."""
        match self.value():
            case "working":
                return queryset.filter(status__in=WORKING)
            case "final":
                return queryset.exclude(status__in=WORKING)
        return queryset


@admin.register(Order)
class OrderAdmin(TicketAdmin):
    """Orders with their fate; those that work change through actions, each one service call."""

    list_display = [
        "ticket",
        "created",
        "account_link",
        "symbol_name",
        "side_",
        "type",
        "lots",
        "waits_for",
        "average",
        "status_",
        "position_link",
    ]
    list_filter = [
        WorkingFilter,
        ("status", ChoicesDropdownFilter),
        ("side", ChoicesDropdownFilter),
        ("type", ChoicesDropdownFilter),
        ("symbol", ReferenceFilter),
        ("created_at", PeriodFilter),
    ]
    search_help_text = "Ticket, account, symbol, or account and client order id"
    inlines = [DealInline]
    actions = ["cancel"]
    actions_list = ["new_order"]
    actions_detail = ["modify", "cancel"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("ticket", "account_link", "client_order_id"),
                    ("symbol_name", "side_", "type"),
                    ("status_", "reject_reason", "position_link"),
                    ("lots", "filled", "average"),
                    ("requested", "stop_limit_price", "deviation", "requote_price"),
                    ("stop_loss", "take_profit", "trailing_points"),
                    ("time_in_force", "expires", "activated"),
                    ("reason", "comment"),
                    ("created", "updated"),
                ]
            },
        ),
        ("What set it off", {"fields": ["trigger_"]}),
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
        "expires",
        "activated",
        "trigger_",
        "created",
        "updated",
    ]

    @list_action("New order", permission=PLACE_ORDER, icon="add", variant=ActionVariant.PRIMARY)
    def new_order(self, request: HttpRequest) -> HttpResponse:
        """Ask for whom, and go on to the form of that account."""
        asked = AccountLookupForm(request.GET or None, reach=reachable_groups(request.user))
        if asked.is_valid():
            page = "admin:accounts_tradingaccount_place_order"
            return HttpResponseRedirect(reverse(page, args=[asked.cleaned_data["account"].pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": "New order",
            "opts": self.opts,
            "form": asked,
            "back_url": reverse("admin:trading_order_changelist"),
        }
        return TemplateResponse(request, "admin/account_lookup.html", context)

    @operator_action(
        "Cancel",
        permission=CANCEL_ORDER,
        warning="Each order is taken back for good.",
        icon="close",
        runs_commands=True,
        needs_recent_login=True,
        preview=dry_run_of(canceling),
    )
    def cancel(self, order: Order, operation: Operation) -> str:
        """Take one order back; the same submission again finds the first outcome."""
        accepted(executor.run(canceling(order, operation)))
        return "canceled"

    @operator_action(
        "Modify",
        permission=MODIFY_ORDER,
        warning="Changes the client's order at once. An emptied value is removed.",
        icon="edit",
        form=OrderChangeForm,
        variant=ActionVariant.DEFAULT,
        runs_commands=True,
        needs_recent_login=True,
        preview=dry_run_of(modifying_order),
    )
    def modify(self, order: Order, operation: Operation) -> str:
        """Change one order's price, volume, stops or expiry."""
        accepted(executor.run(modifying_order(order, operation)))
        return told(operation.values)

    def get_fieldsets(self, request: HttpRequest, obj: Order | None = None) -> Any:
        """Leave out what set an order off when nothing did."""
        known = super().get_fieldsets(request, obj)
        return known if obj is not None and obj.trigger is not None else known[:1]

    def offers_actions(self, order: Order) -> bool:
        """A final order has nothing to cancel or to change."""
        return order.status in WORKING

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
        """The price that the client asked for, or that the order waits for."""
        return number(order.price)

    @admin.display(description="Waits for")
    def waits_for(self, order: Order) -> SafeString | str:
        """The price that sets a working order off next."""
        if order.status not in WORKING:
            return EMPTY
        return number(order.price if order.activated_at is None else order.stop_limit_price)

    @admin.display(description="Expires (UTC)")
    def expires(self, order: Order) -> SafeString | str:
        """When the order ends unfilled."""
        return EMPTY if order.expires_at is None else instant(order.expires_at)

    @admin.display(description="Stop reached (UTC)")
    def activated(self, order: Order) -> SafeString | str:
        """When a stop limit became a limit."""
        return EMPTY if order.activated_at is None else instant(order.activated_at)

    @admin.display(description="Trigger")
    def trigger_(self, order: Order) -> SafeString | str:
        """The price it waited for, the quote that reached it, the slippage."""
        return EMPTY if order.trigger is None else stored_values(order.trigger)

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
        ("symbol", ReferenceFilter),
        ("created_at", PeriodFilter),
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
