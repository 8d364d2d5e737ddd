"""Pages of symbols: what is the same for every group. Edited in forms, never deleted."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.decorators import action

from apps.market.admin.terms import TermsModelAdmin
from apps.market.forms import SymbolForm
from apps.market.models import Symbol
from apps.market.selectors.symbols import session_label
from rtx.kernel.admin_display import badge, number
from rtx.kernel.admin_filters import ReferenceFilter
from rtx.kernel.money import plain

TRADE_MODE_TONES = {
    "full": "good",
    "long_only": "warn",
    "short_only": "warn",
    "close_only": "warn",
    "disabled": "bad",
}


@admin.register(Symbol)
class SymbolAdmin(TermsModelAdmin):
    """Symbols are closed or switched off, never deleted: deals and journals refer to them."""

    is_deletable = False
    actions_detail = ["terms_by_group", "versions"]
    form = SymbolForm
    list_display = [
        "name",
        "description",
        "class_",
        "currencies",
        "digits",
        "lots",
        "contract",
        "mode",
        "swaps",
        "session_",
        "is_active",
    ]
    list_filter = [
        ("asset_class", ChoicesDropdownFilter),
        ("trade_mode", ChoicesDropdownFilter),
        ("margin_mode", ChoicesDropdownFilter),
        ("swap_mode", ChoicesDropdownFilter),
        ("session", ReferenceFilter),
        ("is_active", BooleanRadioFilter),
    ]
    list_select_related = ["session"]
    search_fields = ["name", "description", "base_currency", "profit_currency"]
    search_help_text = "Name, description or currency"
    autocomplete_fields = ["session"]
    fieldsets = [
        (
            None,
            {"fields": [("name", "description"), ("asset_class", "trade_mode"), ("session", "is_active")]},
        ),
        (
            "Contract",
            {
                "fields": [
                    ("base_currency", "profit_currency", "margin_currency"),
                    ("digits", "contract_size"),
                ]
            },
        ),
        ("Volume in lots", {"fields": [("volume_min", "volume_max", "volume_step")]}),
        (
            "Margin",
            {
                "fields": [
                    ("margin_mode", "margin_initial"),
                    ("margin_rate_buy", "margin_rate_sell", "margin_rate_pending"),
                    ("hedged_contract_size", "tick_size", "tick_price"),
                ]
            },
        ),
        ("Distances in points", {"fields": [("stop_level_points", "freeze_level_points")]}),
        (
            "Overnight swap",
            {
                "description": (
                    "A day on which the session is closed charges nothing: its days move to the trading "
                    "day before."
                ),
                "fields": [("swap_mode", "swap_long", "swap_short"), "swap_multipliers"],
            },
        ),
        ("Price checks", {"fields": [("quote_age_max_s", "spike_max_pct")]}),
    ]

    @action(description="Terms by group", icon="table_view", permissions=["view_group_terms"])
    def terms_by_group(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to what every group makes of this symbol."""
        return HttpResponseRedirect(reverse("admin:groups_symbol_terms", args=[object_id]))

    def has_view_group_terms_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Ask for the right to see terms of groups."""
        return bool(request.user.has_perm("groups.view_tradinggroup"))

    @admin.display(description="Class", ordering="asset_class")
    def class_(self, symbol: Symbol) -> str:
        """The asset class."""
        return symbol.get_asset_class_display()

    @admin.display(description="Base / profit")
    def currencies(self, symbol: Symbol) -> str:
        """Both currencies."""
        return f"{symbol.base_currency} / {symbol.profit_currency}"

    @admin.display(description="Lots: min, max, step")
    def lots(self, symbol: Symbol) -> str:
        """The volume limits."""
        return f"{plain(symbol.volume_min)} … {plain(symbol.volume_max)}, {plain(symbol.volume_step)}"

    @admin.display(description="Contract", ordering="contract_size")
    def contract(self, symbol: Symbol) -> SafeString:
        """The contract size."""
        return number(symbol.contract_size)

    @admin.display(description="Trading", ordering="trade_mode")
    def mode(self, symbol: Symbol) -> SafeString:
        """What clients may do."""
        return badge(symbol.get_trade_mode_display(), TRADE_MODE_TONES[symbol.trade_mode])

    @admin.display(description="Session", ordering="session")
    def session_(self, symbol: Symbol) -> str:
        """The session that holds now: in the demo the one that is always open."""
        return session_label(symbol.session)

    @admin.display(description="Swap long / short")
    def swaps(self, symbol: Symbol) -> SafeString | str:
        """Both overnight values and what they mean."""
        if symbol.swap_mode == Symbol.SwapMode.NONE:
            return badge("none")
        values = f"{plain(symbol.swap_long)} / {plain(symbol.swap_short)}"
        return badge(f"{values} {symbol.swap_mode}", "info")
