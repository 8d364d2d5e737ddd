"""Page of swap charges: what each night cost or paid, and everything it follows from. Read only."""

from django.contrib import admin
from django.db.models import Q
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.trading.admin.common import TicketAdmin
from apps.trading.admin.orders import deals_of_position
from apps.trading.models import SwapCharge
from rtx.kernel.admin_display import amount, badge, instant, number
from rtx.kernel.admin_filters import DaysFilter, ReferenceFilter


@admin.register(SwapCharge)
class SwapChargeAdmin(TicketAdmin):
    """Swaps and admin fees, one for each position and trading day."""

    list_display = [
        "ticket",
        "date",
        "account_link",
        "symbol_name",
        "position_link",
        "kind_",
        "side_",
        "lots",
        "multiplier",
        "amount_",
    ]
    list_filter = [
        ("kind", ChoicesDropdownFilter),
        ("symbol", ReferenceFilter),
        ("date", DaysFilter),
    ]
    search_help_text = "Number, position, account or symbol"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("ticket", "account_link", "position_link"),
                    ("date", "rolled", "multiplier"),
                    ("symbol_name", "side_", "lots"),
                    ("kind_", "amount_", "settled"),
                ]
            },
        ),
        (
            "How the amount came about",
            {"fields": [("mode", "value_"), ("price_", "rate_"), ("terms_version", "event_id")]},
        ),
    ]
    readonly_fields = [
        "ticket",
        "account_link",
        "position_link",
        "rolled",
        "symbol_name",
        "side_",
        "lots",
        "kind_",
        "amount_",
        "settled",
        "value_",
        "price_",
        "rate_",
    ]

    def search_number(self, wanted: int) -> Q:
        """A charge is found by its position too."""
        return Q(position_id=wanted)

    @admin.display(description="Position")
    def position_link(self, charge: SwapCharge) -> SafeString:
        """A link to the deals of the position."""
        return deals_of_position(charge.position_id)

    @admin.display(description="Kind")
    def kind_(self, charge: SwapCharge) -> SafeString:
        """A swap, or the fee of a swap-free group."""
        return badge(charge.get_kind_display(), "info" if charge.kind == "swap" else "muted")

    @admin.display(description="Amount")
    def amount_(self, charge: SwapCharge) -> SafeString:
        """What the client pays (negative) or gets."""
        return amount(charge.amount, charge.account.currency, signed=True)

    @admin.display(description="Booked")
    def settled(self, charge: SwapCharge) -> str:
        """Where the amount went: the position carries it until it closes, a closed one paid at once."""
        return "to the balance (closed by then)" if charge.is_settled else "on the position"

    @admin.display(description="Rollover (UTC)")
    def rolled(self, charge: SwapCharge) -> SafeString:
        """The instant whose positions, terms and rates hold."""
        return instant(charge.rolled_at)

    @admin.display(description="Value")
    def value_(self, charge: SwapCharge) -> SafeString:
        """Points, money per lot or percent a year."""
        return number(charge.value)

    @admin.display(description="Price")
    def price_(self, charge: SwapCharge) -> SafeString | str:
        """The price that valued the position, where the mode asks for one."""
        return "–" if charge.price is None else number(charge.price)

    @admin.display(description="Rate")
    def rate_(self, charge: SwapCharge) -> SafeString:
        """Conversion to the account's currency."""
        return number(charge.rate)
