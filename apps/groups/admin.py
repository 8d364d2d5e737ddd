"""
Admin pages of trading groups: terms are edited here, who may operate a group is set under its object
permissions.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, Subquery
from django.http import HttpRequest
from django.utils.safestring import SafeString
from guardian.admin import GuardedModelAdminMixin
from unfold.admin import StackedInline
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter, RelatedDropdownFilter

from apps.groups.forms import GroupSymbolForm, TradingGroupForm
from apps.groups.models import GroupSymbol, TradingGroup
from rtx.kernel.admin import ConfiguredModelAdmin
from rtx.kernel.admin_display import badge, number
from rtx.kernel.money import plain

BOOK_TONES = {"a": "info", "b": "muted"}
TERMS_FIELDSETS = [
    (None, {"fields": [("group", "symbol"), ("is_offered", "book", "trade_mode")]}),
    ("Markup in points", {"fields": [("markup_bid_points", "markup_ask_points")]}),
    ("Commission", {"fields": [("commission_mode", "commission_value", "commission_charge")]}),
    ("Limits", {"fields": [("leverage_max", "volume_min", "volume_max")]}),
]


def commission_text(*, mode: str, value: Any, shown_mode: str) -> SafeString:
    """Write a commission rule in one cell."""
    if mode == "none":
        return badge("none")
    if not mode:
        return badge("inherited")
    return number(value) if value is None else badge(f"{plain(value)} {shown_mode.lower()}", "info")


class GroupSymbolInline(StackedInline):
    """Terms per symbol of one group."""

    model = GroupSymbol
    form = GroupSymbolForm
    extra = 0
    per_page = 10
    collapsible = True
    tab = True
    verbose_name_plural = "terms per symbol"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("symbol", "is_offered", "book", "trade_mode"),
                    ("markup_bid_points", "markup_ask_points", "leverage_max"),
                    ("commission_mode", "commission_value", "commission_charge"),
                    ("volume_min", "volume_max"),
                ]
            },
        )
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the symbols in the same statement."""
        return super().get_queryset(request).select_related("symbol", "group").order_by("symbol__name")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Read the choices once for all rows."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and db_field.name == "symbol":
            field.choices = list(field.choices)
            field.widget.can_add_related = field.widget.can_change_related = False
            field.widget.can_view_related = field.widget.can_delete_related = False
        return field


@admin.register(TradingGroup)
class TradingGroupAdmin(GuardedModelAdminMixin, ConfiguredModelAdmin):
    """Groups are switched off, never deleted: accounts and journals refer to them."""

    reach_path = "pk"
    is_deletable = False
    form = TradingGroupForm
    list_display = [
        "name",
        "description",
        "currency",
        "mode",
        "leverage",
        "levels",
        "markup",
        "commission",
        "account_count",
        "is_active",
    ]
    list_filter = [
        ("position_mode", ChoicesDropdownFilter),
        ("commission_mode", ChoicesDropdownFilter),
        ("is_active", BooleanRadioFilter),
    ]
    search_fields = ["name", "description", "currency"]
    search_help_text = "Name, description or currency"
    inlines = [GroupSymbolInline]
    fieldsets = [
        (None, {"fields": [("name", "description"), ("currency", "position_mode", "is_active")]}),
        ("Margin", {"fields": [("leverage_max", "margin_call_pct", "stop_out_pct", "positions_max")]}),
        ("Markup in points", {"fields": [("markup_bid_points", "markup_ask_points")]}),
        ("Commission", {"fields": [("commission_mode", "commission_value", "commission_charge")]}),
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count the accounts of each group in the same statement."""
        held = (
            TradingGroup.objects.order_by().filter(pk=OuterRef("pk")).annotate(held=Count("trading_accounts"))
        )
        return super().get_queryset(request).annotate(accounts_held=Subquery(held.values("held")))

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

    @admin.display(description="Accounts", ordering="accounts_held")
    def account_count(self, group: Any) -> int:
        """How many accounts the group holds."""
        return int(group.accounts_held)


@admin.register(GroupSymbol)
class GroupSymbolAdmin(ConfiguredModelAdmin):
    """All terms per symbol in one list."""

    reach_path = "group"
    form = GroupSymbolForm
    list_display = [
        "id",
        "group",
        "symbol",
        "book_",
        "is_offered",
        "markup",
        "commission",
        "leverage_max",
        "trade_mode",
    ]
    list_filter = [
        ("group", RelatedDropdownFilter),
        ("symbol", RelatedDropdownFilter),
        ("book", ChoicesDropdownFilter),
        ("is_offered", BooleanRadioFilter),
    ]
    list_select_related = ["group", "symbol"]
    search_fields = ["group__name", "symbol__name"]
    search_help_text = "Group or symbol"
    autocomplete_fields = ["group", "symbol"]
    fieldsets = TERMS_FIELDSETS

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find every word in the group's or the symbol's name."""
        condition = Q()
        for word in term.split():
            condition &= Q(group__name__icontains=word) | Q(symbol__name__icontains=word)
        return condition

    @admin.display(description="Book", ordering="book")
    def book_(self, terms: GroupSymbol) -> SafeString:
        """A-book or B-book."""
        return badge(terms.get_book_display(), BOOK_TONES[terms.book])

    @admin.display(description="Markup bid / ask")
    def markup(self, terms: GroupSymbol) -> str:
        """Both markups in points."""
        sides = (terms.markup_bid_points, terms.markup_ask_points)
        return " / ".join("inherited" if side is None else f"{plain(side)}" for side in sides)

    @admin.display(description="Commission")
    def commission(self, terms: GroupSymbol) -> SafeString:
        """The commission rule."""
        return commission_text(
            mode=terms.commission_mode,
            value=terms.commission_value,
            shown_mode=terms.get_commission_mode_display(),
        )
