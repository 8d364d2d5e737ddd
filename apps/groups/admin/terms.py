"""Terms per symbol: the list of all of them, and their rows on the page of a group."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.admin import StackedInline, TabularInline
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.forms import PaginationInlineFormSet

from apps.groups.forms import (
    CommissionTierForm,
    CommissionTierFormSet,
    GroupSymbolForm,
    GroupSymbolPageForm,
)
from apps.groups.models import CommissionTier, GroupSymbol
from apps.market.admin.terms import TermsModelAdmin
from rtx.kernel.admin_display import badge, number
from rtx.kernel.admin_filters import ReachableGroupFilter, ReferenceFilter
from rtx.kernel.money import plain

BOOK_TONES = {"a": "info", "b": "muted"}
TERMS_FIELDSETS = [
    (
        None,
        {
            "description": "An empty field inherits the group's value, or the symbol's.",
            "fields": [("group", "symbol"), ("is_offered", "book", "trade_mode")],
        },
    ),
    ("Markup in points", {"fields": [("markup_bid_points", "markup_ask_points")]}),
    (
        "Commission",
        {
            "fields": [
                ("commission_mode", "commission_value"),
                ("commission_charge", "commission_minimum"),
            ]
        },
    ),
    ("Margin and limits", {"fields": [("leverage_max", "margin_schedule"), ("volume_min", "volume_max")]}),
    ("Distances in points", {"fields": [("stop_level_points", "freeze_level_points")]}),
    ("Overnight swap", {"fields": [("swap_mode", "swap_long", "swap_short")]}),
]


def commission_text(*, mode: str, value: Any, shown_mode: str) -> SafeString:
    """Write a commission rule in one cell."""
    if mode == "none":
        return badge("none")
    if not mode:
        return badge("inherited")
    unit = shown_mode.lower().removesuffix(" of notional")  # a cell is narrow, and a million of what is known
    return number(value) if value is None else badge(f"{plain(value)} {unit}", "info")


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
                    ("markup_bid_points", "markup_ask_points"),
                    ("leverage_max", "margin_schedule"),
                    ("commission_mode", "commission_value", "commission_charge", "commission_minimum"),
                    ("volume_min", "volume_max", "stop_level_points", "freeze_level_points"),
                    ("swap_mode", "swap_long", "swap_short"),
                ]
            },
        )
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the symbols in the same statement."""
        rows = super().get_queryset(request).select_related("symbol", "group", "margin_schedule")
        return rows.order_by("symbol__name")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Read the choices once for all rows."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and db_field.name in ("symbol", "margin_schedule"):
            field.choices = list(field.choices)
            field.widget.can_add_related = field.widget.can_change_related = False
            field.widget.can_view_related = field.widget.can_delete_related = False
        return field


class TierFormSet(CommissionTierFormSet, PaginationInlineFormSet):
    """Tiers of a group, with the checks of the form set."""


class CommissionTierInline(TabularInline):
    """Values for larger deals of one group."""

    model = CommissionTier
    form = CommissionTierForm
    formset = TierFormSet
    extra = 0
    hide_title = True
    tab = True
    fields = ["symbol", "from_size", "value"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the symbols in the same statement."""
        return super().get_queryset(request).select_related("symbol", "group")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Read the choices once for all rows; without a symbol the tier is the group's own."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and db_field.name == "symbol":
            field.empty_label = "all (the group's own rule)"
            field.choices = list(field.choices)
            field.widget.can_add_related = field.widget.can_change_related = False
            field.widget.can_view_related = field.widget.can_delete_related = False
        return field


@admin.register(GroupSymbol)
class GroupSymbolAdmin(TermsModelAdmin):
    """All terms per symbol in one list."""

    reach_path = "group"
    form = GroupSymbolPageForm
    actions = ["change_several"]
    list_display = [
        "group",
        "symbol",
        "book_",
        "is_offered",
        "markup",
        "commission",
        "margin",
        "swaps",
        "trade_mode",
    ]
    list_filter = [
        ("group", ReachableGroupFilter),
        ("symbol", ReferenceFilter),
        ("book", ChoicesDropdownFilter),
        ("margin_schedule", ReferenceFilter),
        ("is_offered", BooleanRadioFilter),
    ]
    list_select_related = ["group", "symbol", "margin_schedule"]
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

    @admin.action(description="Change several at once", permissions=["change"])
    def change_several(self, request: HttpRequest, queryset: Any) -> HttpResponse:
        """Lead to the form that changes the chosen terms together."""
        pairs = [
            ("pair", f"{group}-{symbol}") for group, symbol in queryset.values_list("group_id", "symbol_id")
        ]
        return HttpResponseRedirect(f"{reverse('admin:groups_bulk_terms')}?{urlencode(pairs)}")

    @admin.display(description="Book", ordering="book")
    def book_(self, terms: GroupSymbol) -> SafeString:
        """A-book or B-book."""
        return badge(terms.get_book_display(), BOOK_TONES[terms.book])

    @admin.display(description="Markup bid / ask")
    def markup(self, terms: GroupSymbol) -> SafeString | str:
        """Both markups in points."""
        sides = (terms.markup_bid_points, terms.markup_ask_points)
        if sides == (None, None):
            return badge("inherited")
        return " / ".join("inherited" if side is None else f"{plain(side)}" for side in sides)

    @admin.display(description="Commission")
    def commission(self, terms: GroupSymbol) -> SafeString:
        """The commission rule."""
        return commission_text(
            mode=terms.commission_mode,
            value=terms.commission_value,
            shown_mode=terms.get_commission_mode_display(),
        )

    @admin.display(description="Margin", ordering="leverage_max")
    def margin(self, terms: GroupSymbol) -> SafeString | str:
        """The highest leverage and the schedule by size, where the group has its own."""
        leverage = f"1:{terms.leverage_max}" if terms.leverage_max else ""
        return ", ".join(filter(None, (leverage, str(terms.margin_schedule or "")))) or badge("inherited")

    @admin.display(description="Swap long / short")
    def swaps(self, terms: GroupSymbol) -> SafeString:
        """Both overnight values where the group has its own."""
        sides = (terms.swap_long, terms.swap_short)
        if not terms.swap_mode and sides == (None, None):
            return badge("inherited")
        values = " / ".join("inherited" if side is None else plain(side) for side in sides)
        return badge(f"{values} {terms.swap_mode}".strip(), "info")
