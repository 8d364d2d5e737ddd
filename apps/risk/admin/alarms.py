"""Pages of alarms and of the sweep's runs. An alarm ends by itself; staff acknowledge it."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.enums import ActionVariant

from apps.risk.models import RiskAlarm, SweepRun
from apps.risk.permissions import ACKNOWLEDGE_ALARM
from apps.risk.selectors.reaches import alarms_within
from apps.risk.services import alarms
from rtx.kernel.admin import OperatedModelAdmin, ReadOnlyModelAdmin, reachable_groups
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, badge, grouped, instant, link, stored_values
from rtx.kernel.admin_filters import PeriodFilter

OF_PLATFORM = frozenset({"positions", "found_", "liquidated", "missed_", "without_price", "told"})


class StateFilter(admin.SimpleListFilter):
    """Open, acknowledged or over."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the states."""
        return [("open", "Open"), ("new", "Open, not acknowledged"), ("over", "Over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the chosen ones."""
        match self.value():
            case "open":
                return queryset.filter(cleared_at__isnull=True)
            case "new":
                return queryset.filter(cleared_at__isnull=True, acknowledged_at__isnull=True)
            case "over":
                return queryset.filter(cleared_at__isnull=False)
        return queryset


@admin.register(RiskAlarm)
class RiskAlarmAdmin(OperatedModelAdmin):
    """What a person must look at, the latest first. Nothing ends an alarm but the end of its cause."""

    reach_path = "account__group"
    list_display = ["kind_", "severity_", "message", "state", "count", "raised", "last", "account_link"]
    list_filter = [
        StateFilter,
        ("kind", ChoicesDropdownFilter),
        ("severity", ChoicesDropdownFilter),
        ("raised_at", PeriodFilter),
    ]
    list_select_related = ["account"]
    search_fields = ["subject", "message"]
    search_help_text = "Subject or message"
    ordering = ["-id"]
    sortable_by: list[str] = []
    actions = ["acknowledge"]
    actions_detail = ["acknowledge"]
    fields = [
        ("kind_", "severity_", "state"),
        "message",
        ("subject", "account_link", "count"),
        ("raised", "last", "cleared"),
        ("acknowledged", "acknowledged_by"),
        "told",
    ]
    readonly_fields = [
        "kind_",
        "severity_",
        "state",
        "account_link",
        "raised",
        "last",
        "cleared",
        "acknowledged",
        "told",
    ]

    def limit_to(self, rows: QuerySet[Any], groups: frozenset[int], request: HttpRequest) -> QuerySet[Any]:
        """Keep alarms of groups and accounts within reach, and those that tell about nobody's."""
        return alarms_within(rows, groups)

    @operator_action(
        "Acknowledge",
        permission=ACKNOWLEDGE_ALARM,
        asks_reason=False,
        icon="done",
        variant=ActionVariant.PRIMARY,
        warning="Says that you look after it. The alarm stays until its cause is gone.",
    )
    def acknowledge(self, alarm: RiskAlarm, operation: Operation) -> str:
        """Say that somebody looks after it."""
        if not alarms.acknowledge(alarm.pk, actor=operation.actor):
            return "was acknowledged before"
        return "acknowledged"

    @admin.display(description="Alarm")
    def kind_(self, alarm: RiskAlarm) -> str:
        """What kind it is."""
        return alarm.get_kind_display()

    @admin.display(description="Severity")
    def severity_(self, alarm: RiskAlarm) -> SafeString:
        """Warning or critical."""
        tone = "bad" if alarm.severity == RiskAlarm.Severity.CRITICAL else "warn"
        return badge(alarm.get_severity_display(), tone)

    @admin.display(description="State")
    def state(self, alarm: RiskAlarm) -> SafeString:
        """Open, acknowledged or over."""
        if alarm.cleared_at is not None:
            return badge("over", "good")
        return badge("open", "bad") if alarm.acknowledged_at is None else badge("acknowledged", "info")

    @admin.display(description="Account")
    def account_link(self, alarm: RiskAlarm) -> SafeString:
        """A link to the account it is about."""
        return link(alarm.account)

    @admin.display(description="Raised (UTC)")
    def raised(self, alarm: RiskAlarm) -> SafeString:
        """When it was raised first."""
        return instant(alarm.raised_at)

    @admin.display(description="Last (UTC)")
    def last(self, alarm: RiskAlarm) -> SafeString:
        """When it was raised last."""
        return instant(alarm.last_at)

    @admin.display(description="Over (UTC)")
    def cleared(self, alarm: RiskAlarm) -> SafeString:
        """When its cause was gone."""
        return instant(alarm.cleared_at)

    @admin.display(description="Acknowledged (UTC)")
    def acknowledged(self, alarm: RiskAlarm) -> SafeString:
        """When somebody said that they look after it."""
        return instant(alarm.acknowledged_at)

    @admin.display(description="Details")
    def told(self, alarm: RiskAlarm) -> SafeString | str:
        """What else is known."""
        return stored_values(alarm.detail) if alarm.detail else EMPTY


@admin.register(SweepRun)
class SweepRunAdmin(ReadOnlyModelAdmin):
    """Runs of the SQL sweep, the latest first. Whoever reaches some groups only sees that it runs."""

    list_display = ["at_", "took", "state", "positions", "found_", "liquidated", "missed_", "without_price"]
    list_filter = [("at", PeriodFilter)]
    search_fields = ["id"]
    search_help_text = "Number"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("at_", "took", "state"),
        ("positions", "found_", "liquidated"),
        ("missed_", "without_price"),
        "told",
    ]
    readonly_fields = ["at_", "took", "state", "found_", "missed_", "told"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave figures of the whole platform out for staff who reach some groups only."""
        if reachable_groups(request.user) is None:
            return self.fields
        return [("at_", "took", "state")]

    def get_list_display(self, request: HttpRequest) -> Any:
        """Leave figures of the whole platform out for staff who reach some groups only."""
        if reachable_groups(request.user) is None:
            return self.list_display
        return [name for name in self.list_display if name not in OF_PLATFORM]

    @admin.display(description="At (UTC)", ordering="at")
    def at_(self, run: SweepRun) -> SafeString:
        """When it looked."""
        return instant(run.at)

    @admin.display(description="Took")
    def took(self, run: SweepRun) -> str:
        """How long it took, with what it closed."""
        return f"{grouped(str(run.took_ms))} ms"

    @admin.display(description="State")
    def state(self, run: SweepRun) -> SafeString:
        """Clean, helped out, or found what the monitor missed."""
        if run.missed:
            return badge("the monitor missed some", "bad")
        if run.without_price:
            return badge("some cannot be valued", "warn")
        return badge("helped out", "info") if run.liquidated else badge("clean", "good")

    @admin.display(description="Below stop-out")
    def found_(self, run: SweepRun) -> int:
        """Accounts below stop-out or owing money."""
        return run.found

    @admin.display(description="Missed by the monitor")
    def missed_(self, run: SweepRun) -> SafeString | int:
        """What the monitor should have closed before."""
        return badge(run.missed, "bad") if run.missed else 0

    @admin.display(description="Details")
    def told(self, run: SweepRun) -> SafeString:
        """What it did, and for whom."""
        return stored_values(run.detail)
