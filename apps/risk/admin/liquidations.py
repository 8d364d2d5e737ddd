"""Pages of liquidations with their dossiers, and of those that wait. Closing is only asked for (services)."""

from decimal import Decimal
from typing import Any

import orjson
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.enums import ActionVariant

from apps.risk.admin.accounts import OfAccount
from apps.risk.admin.dossiers import page_of
from apps.risk.models import Liquidation, QueuedLiquidation
from apps.risk.permissions import RETRY_LIQUIDATION
from apps.risk.selectors import dossiers
from apps.risk.services import liquidation
from apps.risk.services.liquidation import Enforced
from rtx.kernel.admin import OperatedModelAdmin
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, amount, badge, instant, link, percent
from rtx.kernel.admin_filters import PeriodFilter, ReachableGroupFilter
from rtx.kernel.clock import from_ms

SAID = {
    Enforced.CLOSED: "closed; it is above its stop-out level or nothing is left",
    Enforced.PARTLY: "closed in part; something still waits",
    Enforced.ALREADY: "was closed by somebody else at the same moment",
    Enforced.WAITS: "nothing can be closed now; it goes on waiting",
    Enforced.VOID: "is above its stop-out level; it waits no longer",
    Enforced.FAILED: "failed; see the alarm, it is tried again",
    Enforced.UNAVAILABLE: "could not be tried: the database or the executor is not there",
}
RULES = {
    "largest_loss": "Largest loss",
    "largest_margin": "Largest margin",
    "fifo": "Oldest",
    "smart": "Smallest part",
}
DERIVE = "derive"


def level_text(level_pct: Decimal | None) -> str:
    """Write a margin level, or that there was no margin."""
    return "no margin" if level_pct is None else percent(level_pct)


@admin.register(Liquidation)
class LiquidationAdmin(OfAccount):
    """Stop-outs, the latest first; each with all that decided it."""

    list_display = [
        "number_",
        "at_",
        "account_link",
        "group",
        "rule_",
        "cause_",
        "levels",
        "profit_",
        "compensation_",
        "state",
    ]
    list_filter = [
        ("rule", ChoicesDropdownFilter),
        ("cause", ChoicesDropdownFilter),
        ("group", ReachableGroupFilter),
        "is_complete",
        ("at", PeriodFilter),
    ]
    reach_path = "group"
    list_select_related = ["account", "group", "event"]
    list_display_links = ["number_"]
    search_help_text = "Account"
    ordering = ["-id"]
    sortable_by = ["number_"]
    change_form_outer_before_template = "admin/liquidation_dossier.html"
    fields = [
        ("number_", "event_link", "state"),
        ("account_link", "group", "rule"),
        ("at_", "cause_", "quoted_", "fence"),
    ]
    readonly_fields = ["number_", "event_link", "state", "account_link", "at_", "cause_", "quoted_"]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the dossier as a page; derive it again when asked to."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        shown: dict[str, Any] = {}
        if row is not None:
            shown["dossier"] = page_of(orjson.loads(row.dossier))
            shown["derived"] = dossiers.derived(row) if DERIVE in request.GET else None
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    @admin.display(description="Number", ordering="id")
    def number_(self, row: Liquidation) -> str:
        """The liquidation's number, as `explain_liquidation` takes it."""
        return f"#{row.pk}"

    @admin.display(description="At (UTC)")
    def at_(self, row: Liquidation) -> SafeString:
        """When it was booked."""
        return instant(row.at)

    @admin.display(description="Quote that set it off (UTC)")
    def quoted_(self, row: Liquidation) -> SafeString:
        """When the price was made that the monitor acted on; none where it was no price."""
        return instant(None if row.quote_time_ms is None else from_ms(row.quote_time_ms))

    @admin.display(description="Event")
    def event_link(self, row: Liquidation) -> SafeString:
        """A link to the journal's event."""
        return link(row.event)

    @admin.display(description="Found by")
    def cause_(self, row: Liquidation) -> SafeString:
        """Who found the account; what is not the monitor stands out."""
        return badge(row.get_cause_display(), "muted" if row.cause == Liquidation.Cause.MONITOR else "warn")

    @admin.display(description="Level before and after")
    def levels(self, row: Liquidation) -> str:
        """Margin level before and after."""
        return f"{level_text(row.level_before_pct)} → {level_text(row.level_after_pct)}"

    @admin.display(description="Rule")
    def rule_(self, row: Liquidation) -> str:
        """The group's rule, in short."""
        return RULES.get(row.rule, row.rule)

    @admin.display(description="Result")
    def profit_(self, row: Liquidation) -> SafeString:
        """What the closing deals booked."""
        return amount(row.profit, row.account.currency, signed=True)

    @admin.display(description="Made good")
    def compensation_(self, row: Liquidation) -> SafeString | str:
        """Debt that the house made good."""
        return amount(row.compensation, row.account.currency) if row.compensation else EMPTY

    @admin.display(description="State")
    def state(self, row: Liquidation) -> SafeString:
        """Whether something was left waiting."""
        return badge("complete", "good") if row.is_complete else badge("part was left", "bad")


class WaitingFilter(admin.SimpleListFilter):
    """Those that still wait, or all."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer both states."""
        return [("waiting", "Waiting"), ("over", "Over")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep the chosen ones."""
        if self.value() in ("waiting", "over"):
            return queryset.filter(resolved_at__isnull=self.value() == "waiting")
        return queryset


@admin.register(QueuedLiquidation)
class QueuedLiquidationAdmin(OfAccount, OperatedModelAdmin):
    """Accounts below stop-out of which something could not be closed, and what became of them."""

    list_display = [
        "account_link",
        "group_name",
        "since_",
        "state",
        "what",
        "level",
        "attempts",
        "tried",
        "next_try",
    ]
    list_filter = [
        WaitingFilter,
        "reason",
        ("account__group", ReachableGroupFilter),
        ("since", PeriodFilter),
    ]
    list_display_links = ["since_"]
    ordering = ["-id"]
    sortable_by: list[str] = []
    actions = ["retry_now"]
    actions_detail = ["retry_now"]
    fields = [
        ("account_link", "group_name", "state"),
        ("since_", "reason", "level"),
        "what",
        ("attempts", "tried", "next_try"),
        ("resolved", "resolution"),
    ]
    readonly_fields = [
        "account_link",
        "group_name",
        "state",
        "since_",
        "level",
        "what",
        "tried",
        "next_try",
        "resolved",
    ]

    @operator_action(
        "Retry now",
        permission=RETRY_LIQUIDATION,
        asks_reason=False,
        icon="replay",
        variant=ActionVariant.PRIMARY,
        warning="The account is closed as far as it can be, by its group's rule.",
        runs_commands=True,
    )
    def retry_now(self, row: QueuedLiquidation, operation: Operation) -> str:
        """Try to bring the account above its stop-out level at once."""
        return SAID[liquidation.enforce(row.account_id, cause="staff", actor=operation.actor)]

    @admin.display(description="Since (UTC)")
    def since_(self, row: QueuedLiquidation) -> SafeString:
        """Since when it waits."""
        return instant(row.since)

    @admin.display(description="State")
    def state(self, row: QueuedLiquidation) -> SafeString:
        """Whether it still waits."""
        if row.resolved_at is not None:
            return badge(row.resolution or "over", "good")
        return badge(row.reason.replace("_", " "), "bad")

    @admin.display(description="Waits for")
    def what(self, row: QueuedLiquidation) -> str:
        """Symbols and reasons."""
        told = sorted({f"{symbol}: {reason.replace('_', ' ')}" for symbol, reason in row.waiting.values()})
        return ", ".join(told) or EMPTY

    @admin.display(description="Level")
    def level(self, row: QueuedLiquidation) -> str:
        """The margin level at the last try."""
        return level_text(row.level_pct)

    @admin.display(description="Tried (UTC)")
    def tried(self, row: QueuedLiquidation) -> SafeString:
        """When it was tried last."""
        return instant(row.tried_at)

    @admin.display(description="Next try (UTC)")
    def next_try(self, row: QueuedLiquidation) -> SafeString | str:
        """When it is tried at the latest; an opening or a price comes before."""
        return EMPTY if row.resolved_at is not None else instant(row.next_try_at)

    @admin.display(description="Over (UTC)")
    def resolved(self, row: QueuedLiquidation) -> SafeString:
        """When it was over."""
        return instant(row.resolved_at)
