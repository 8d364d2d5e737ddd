"""Tables of correlations and of values at risk. A correlation is overridden with a reason, never edited."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from apps.risk.models import Correlation, ValueAtRisk
from apps.risk.selectors.record_views import estimates_something
from apps.risk.services import correlations
from rtx.kernel.admin import OperatedModelAdmin, ReadOnlyModelAdmin
from rtx.kernel.admin_actions import Operation, OperatorForm, operator_action
from rtx.kernel.admin_display import EMPTY, amount, badge, instant, number, stored_values
from rtx.kernel.admin_filters import PeriodFilter, ReferenceFilter

CHANGE_CORRELATION = "risk.change_correlation"


class OverrideForm(OperatorForm):
    """The value that counts instead of the estimate."""

    value = forms.DecimalField(
        min_value=-1,
        max_value=1,
        max_digits=7,
        decimal_places=6,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="-1 (always against each other) to 1 (always together).",
    )

    @classmethod
    def initial_of(cls, row: Any) -> dict[str, Any]:
        """Begin with what counts now."""
        return {"value": row.estimate if row.override is None else row.override}


@admin.register(Correlation)
class CorrelationAdmin(OperatedModelAdmin):
    """How two symbols move together: estimated every day, overridden by staff."""

    list_display = ["pair", "value_", "estimate_", "override_", "observations", "interval", "estimated"]
    list_filter = [("first", ReferenceFilter), ("second", ReferenceFilter)]
    list_select_related = ["first", "second"]
    search_fields = ["first__name", "second__name"]
    search_help_text = "Symbol"
    ordering = ["first__name", "second__name"]
    sortable_by = ["observations"]
    actions_detail = ["set_override", "remove_override"]
    fields = [
        ("pair", "value_"),
        ("estimate_", "observations", "interval", "estimated"),
        ("override_", "override_reason"),
    ]
    readonly_fields = ["pair", "value_", "estimate_", "override_", "estimated"]

    @operator_action(
        "Override",
        permission=CHANGE_CORRELATION,
        icon="edit",
        form=OverrideForm,
        variant=ActionVariant.PRIMARY,
    )
    def set_override(self, row: Correlation, operation: Operation) -> str:
        """Let a value count instead of the estimate."""
        value: Decimal = operation.values["value"]
        correlations.override(correlation_id=row.pk, value=value, reason=operation.reason)
        return f"{value} counts"

    @operator_action(
        "Use the estimate again", permission=CHANGE_CORRELATION, icon="undo", variant=ActionVariant.DEFAULT
    )
    def remove_override(self, row: Correlation, operation: Operation) -> str:
        """Let the estimate count again."""
        correlations.clear(correlation_id=row.pk)
        return "the estimate counts"

    @display(description="Pair")
    def pair(self, row: Correlation) -> str:
        """Both symbols."""
        return f"{row.first.name} / {row.second.name}"

    @display(description="Counts")
    def value_(self, row: Correlation) -> SafeString:
        """The override where there is one, else the estimate."""
        value = row.estimate if row.override is None else row.override
        return badge(EMPTY) if value is None else badge(f"{value:.4f}", "good" if value >= 0 else "bad")

    @display(description="Estimate")
    def estimate_(self, row: Correlation) -> SafeString:
        """Of the log returns of candles."""
        return number(row.estimate)

    @display(description="Override")
    def override_(self, row: Correlation) -> SafeString:
        """What staff set instead."""
        return number(row.override)

    @display(description="Estimated at (UTC)")
    def estimated(self, row: Correlation) -> SafeString:
        """When the estimate was made."""
        return instant(row.estimated_at)


@admin.register(ValueAtRisk)
class ValueAtRiskAdmin(ReadOnlyModelAdmin):
    """Every estimate of what the house may lose, with what it was computed from."""

    list_display = [
        "taken",
        "method",
        "confidence",
        "horizon_days",
        "amount_",
        "shortfall",
        "observations",
        "left_out",
    ]
    list_filter = [("method", ChoicesDropdownFilter), ("at", PeriodFilter)]
    search_fields = ["method"]
    search_help_text = "Method"
    ordering = ["-id"]
    sortable_by = ["id"]
    fields = [
        ("taken", "method", "confidence", "horizon_days"),
        ("amount_", "shortfall", "observations", "left_out"),
        "computed_from",
    ]
    readonly_fields = ["taken", "confidence", "amount_", "shortfall", "left_out", "computed_from"]

    @display(description="Time (UTC)")
    def taken(self, row: ValueAtRisk) -> SafeString:
        """When it was estimated."""
        return instant(row.at)

    @display(description="Confidence")
    def confidence(self, row: ValueAtRisk) -> str:
        """In percent."""
        return f"{row.confidence_pct.normalize():f} %"

    @display(description="Value at risk")
    def amount_(self, row: ValueAtRisk) -> SafeString:
        """The loss that is not exceeded with that confidence."""
        return amount(row.amount if estimates_something(row) else None, row.currency)

    @display(description="Expected shortfall")
    def shortfall(self, row: ValueAtRisk) -> SafeString:
        """The mean of the losses beyond it."""
        told = row.detail.get("expected_shortfall")
        is_known = told is not None and estimates_something(row)
        return amount(Decimal(told) if is_known else None, row.currency)

    @display(description="Left out")
    def left_out(self, row: ValueAtRisk) -> SafeString:
        """Symbols without a price or enough history."""
        names = sorted(row.detail.get("left_out", {}))
        return badge(", ".join(names), "warn") if names else badge("none", "good")

    @display(description="Computed from")
    def computed_from(self, row: ValueAtRisk) -> SafeString:
        """Exposure per symbol, each symbol's own value at risk, the period, and what was left out."""
        return stored_values(row.detail)
