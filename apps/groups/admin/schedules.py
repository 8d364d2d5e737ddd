"""Pages of margin schedules with their bands, and lists of all bands and commission tiers."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, F
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.forms import PaginationInlineFormSet

from apps.groups.forms import (
    CommissionTierPageForm,
    MarginBandForm,
    MarginBandFormSet,
    MarginBandPageForm,
    MarginScheduleForm,
)
from apps.groups.models import CommissionTier, MarginBand, MarginSchedule
from apps.market.admin.terms import TermsModelAdmin
from rtx.kernel.admin_display import badge, number
from rtx.kernel.admin_filters import ReachableGroupFilter, ReferenceFilter
from rtx.kernel.money import plain


def bands_text(schedule: MarginSchedule) -> str:
    """Write the bands of a schedule in one line."""
    by_leverage = schedule.kind == MarginSchedule.Kind.NOTIONAL
    bands = sorted(schedule.bands.all(), key=lambda band: (band.up_to is None, band.up_to or 0))
    return ", ".join(
        f"{'above' if band.up_to is None else f'to {plain(band.up_to)}'}: "
        f"{'1:' if by_leverage else 'x '}{plain(band.value)}"
        for band in bands
    )


class BandFormSet(MarginBandFormSet, PaginationInlineFormSet):
    """Bands of a schedule, with the checks of the form set."""


class MarginBandInline(TabularInline):
    """The bands of one schedule."""

    model = MarginBand
    form = MarginBandForm
    formset = BandFormSet
    extra = 0
    hide_title = True
    min_num = 1
    fields = ["up_to", "value"]
    ordering = [F("up_to").asc(nulls_last=True)]


@admin.register(MarginSchedule)
class MarginScheduleAdmin(TermsModelAdmin):
    """Floating leverage: by lots it multiplies the margin rate, by notional it sets the leverage."""

    form = MarginScheduleForm
    parts = ((MarginBand, "schedule"),)
    list_display = ["name", "kind_", "pooled", "bands_", "used_by"]
    list_filter = [("kind", ChoicesDropdownFilter), ("is_pooled", BooleanRadioFilter)]
    search_fields = ["name"]
    search_help_text = "Name"
    inlines = [MarginBandInline]
    fieldsets = [
        (
            None,
            {
                "description": (
                    "Each band applies to what lies above the one before it; the last one also to whatever "
                    "lies above all of them. Open positions keep the schedule of their last deal."
                ),
                "fields": [("name", "kind", "is_pooled")],
            },
        )
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the bands at once, and count who uses a schedule."""
        counts = {
            "groups_using": Count("groups", distinct=True),
            "symbols_using": Count("group_symbols", distinct=True),
        }
        return super().get_queryset(request).annotate(**counts).prefetch_related("bands")

    @admin.display(description="By", ordering="kind")
    def kind_(self, schedule: MarginSchedule) -> SafeString:
        """What the bands measure."""
        return badge(schedule.get_kind_display(), "info")

    @admin.display(description="Bands are filled by")
    def pooled(self, schedule: MarginSchedule) -> str:
        """Whether the symbols fill the bands together."""
        return "all symbols together" if schedule.is_pooled else "each symbol"

    @admin.display(description="Bands")
    def bands_(self, schedule: MarginSchedule) -> str:
        """The bands in one line."""
        return bands_text(schedule)

    @admin.display(description="Used by")
    def used_by(self, schedule: Any) -> str:
        """How many groups and symbols of groups use it."""
        return f"{schedule.groups_using} groups, {schedule.symbols_using} symbols"


@admin.register(MarginBand)
class MarginBandAdmin(TermsModelAdmin):
    """Bands of all schedules in one list."""

    form = MarginBandPageForm
    list_display = ["schedule", "up_to_", "value_"]
    list_filter = [("schedule", ReferenceFilter)]
    list_select_related = ["schedule"]
    search_fields = ["schedule__name"]
    search_help_text = "Schedule"
    autocomplete_fields = ["schedule"]

    @admin.display(description="Up to", ordering="up_to")
    def up_to_(self, band: MarginBand) -> SafeString | str:
        """Where the band ends."""
        return "no end" if band.up_to is None else number(band.up_to)

    @admin.display(description="Margin rate or leverage")
    def value_(self, band: MarginBand) -> SafeString:
        """What holds within it."""
        return number(band.value)


@admin.register(CommissionTier)
class CommissionTierAdmin(TermsModelAdmin):
    """Commission tiers of all groups in one list."""

    reach_path = "group"
    form = CommissionTierPageForm
    list_display = ["group", "symbol_", "from_", "value_"]
    list_filter = [("group", ReachableGroupFilter), ("symbol", ReferenceFilter)]
    list_select_related = ["group", "symbol"]
    search_fields = ["group__name", "symbol__name"]
    search_help_text = "Group or symbol"
    autocomplete_fields = ["group", "symbol"]

    @admin.display(description="Symbol", ordering="symbol__name")
    def symbol_(self, tier: CommissionTier) -> str:
        """The symbol whose rule the tier belongs to."""
        return tier.symbol.name if tier.symbol else "all (the group's own rule)"

    @admin.display(description="From", ordering="from_size")
    def from_(self, tier: CommissionTier) -> SafeString:
        """The size from which it holds."""
        return number(tier.from_size)

    @admin.display(description="Value")
    def value_(self, tier: CommissionTier) -> SafeString:
        """What replaces the rule's value."""
        return number(tier.value)
