"""Pages of trading groups. Who may operate a group is set under its object permissions."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.decorators import action

from apps.groups.admin import pages
from apps.groups.admin.terms import CommissionTierInline, GroupSymbolInline, commission_text
from apps.groups.forms import TradingGroupForm
from apps.groups.models import GUARDED, CommissionTier, GroupSymbol, TradingGroup
from apps.groups.services import groups
from apps.market.admin.terms import TermsModelAdmin
from apps.market.services.terms_changes import TermsChange
from rtx.kernel.admin_display import badge
from rtx.kernel.admin_filters import ReferenceFilter
from rtx.kernel.money import plain
from rtx.kernel.staff_log import REASON_FIELD


@admin.register(TradingGroup)
class TradingGroupAdmin(TermsModelAdmin):
    """Groups are switched off, never deleted: accounts and journals refer to them."""

    reach_path = "pk"
    is_deletable = False
    parts = ((GroupSymbol, "group"), (CommissionTier, "group"))
    actions_detail = ["effective_terms", "versions"]
    form = TradingGroupForm
    list_display = [
        "name",
        "currency",
        "mode",
        "leverage",
        "levels",
        "markup",
        "commission",
        "rollover",
        "account_count",
        "is_active",
    ]
    list_filter = [
        ("position_mode", ChoicesDropdownFilter),
        ("commission_mode", ChoicesDropdownFilter),
        ("margin_schedule", ReferenceFilter),
        ("swap_free", BooleanRadioFilter),
        ("is_active", BooleanRadioFilter),
    ]
    search_fields = ["name", "description", "currency"]
    search_help_text = "Name, description or currency"
    inlines = [CommissionTierInline, GroupSymbolInline]
    fieldsets = [
        (None, {"fields": [("name", "description"), ("currency", "position_mode", "is_active")]}),
        (
            "Margin",
            {
                "fields": [
                    ("leverage_max", "margin_schedule"),
                    ("margin_call_pct", "margin_call_reset_pct"),
                    ("stop_out_pct", "stop_out_rule", "protects_balance"),
                ]
            },
        ),
        (
            "Positions and orders",
            {"fields": [("positions_max", "orders_max"), ("allows_hedging", "closes_fifo")]},
        ),
        ("Markup in points", {"fields": [("markup_bid_points", "markup_ask_points")]}),
        (
            "Commission",
            {
                "description": "Larger deals may pay another value: see the commission tiers below.",
                "fields": [
                    ("commission_mode", "commission_value"),
                    ("commission_charge", "commission_minimum"),
                ],
            },
        ),
        (
            "Rollover",
            {
                "description": (
                    "The trading day ends at this wall-clock time, also when clocks change: swaps are "
                    "charged and day orders expire."
                ),
                "fields": [("rollover_time", "rollover_timezone")],
            },
        ),
        (
            "Swap-free",
            {
                "description": (
                    "Instead of swaps an admin fee may be charged, on the same days as a swap would be."
                ),
                "fields": [("swap_free", "admin_fee_per_lot", "admin_fee_after_nights")],
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count the accounts of each group in the same statement."""
        held = (
            TradingGroup.objects.order_by().filter(pk=OuterRef("pk")).annotate(held=Count("trading_accounts"))
        )
        return super().get_queryset(request).annotate(accounts_held=Subquery(held.values("held")))

    def get_urls(self) -> list[URLPattern]:
        """Put the pages of effective terms in front of the page's own addresses."""
        return [*pages.urls(self), *super().get_urls()]

    def save_row(self, change: TermsChange, row: Any) -> None:
        """Save a group; a change of its levels waits for a second person."""
        groups.save(change, row)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Leave what waits for a second person out of what was changed."""
        kept: Any = request
        if form.instance.pk in kept.rtx_terms.held_back:
            form.changed_data[:] = [name for name in form.changed_data if name not in GUARDED]
            is_saved = {*form.changed_data} - {REASON_FIELD} or any(one.has_changed() for one in formsets)
            kept.rtx_only_waits = not is_saved
        return super().construct_change_message(request, form, formsets, add)

    def message_user(
        self, request: HttpRequest, message: Any, level: Any = messages.INFO, *args: Any, **kwargs: Any
    ) -> None:
        """Say nothing of success where all that was asked for waits for a second person."""
        if level != messages.SUCCESS or not getattr(request, "rtx_only_waits", False):
            super().message_user(request, message, level, *args, **kwargs)

    @action(description="Effective terms", icon="table_view", permissions=["view"])
    def effective_terms(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to what results for each symbol."""
        return HttpResponseRedirect(reverse("admin:groups_tradinggroup_terms", args=[object_id]))

    @admin.display(description="Positions", ordering="position_mode")
    def mode(self, group: TradingGroup) -> SafeString:
        """Hedging or netting."""
        return badge(group.get_position_mode_display(), "info")

    @admin.display(description="Leverage", ordering="leverage_max")
    def leverage(self, group: TradingGroup) -> str:
        """The highest leverage."""
        return f"1:{group.leverage_max}"

    @admin.display(description="Call / stop-out")
    def levels(self, group: TradingGroup) -> str:
        """Both margin levels."""
        return f"{plain(group.margin_call_pct)} % / {plain(group.stop_out_pct)} %"

    @admin.display(description="Markup bid / ask")
    def markup(self, group: TradingGroup) -> str:
        """Both markups in points."""
        return f"{plain(group.markup_bid_points)} / {plain(group.markup_ask_points)}"

    @admin.display(description="Commission")
    def commission(self, group: TradingGroup) -> SafeString:
        """The commission rule."""
        return commission_text(
            mode=group.commission_mode,
            value=group.commission_value,
            shown_mode=group.get_commission_mode_display(),
        )

    @admin.display(description="Rollover")
    def rollover(self, group: TradingGroup) -> SafeString:
        """When the trading day ends, and whether swaps are charged then."""
        city = group.rollover_timezone.rpartition("/")[2].replace("_", " ")
        shown = f"{group.rollover_time:%H:%M} {city}"
        return badge(f"{shown}, swap-free", "info") if group.swap_free else badge(shown)

    @admin.display(description="Accounts", ordering="accounts_held")
    def account_count(self, group: Any) -> int:
        """How many accounts the group holds."""
        return int(group.accounts_held)
