"""Pages of the margin monitor: how its shards are, and margin calls. Only shown."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.risk.admin.accounts import OfAccount
from apps.risk.models import MarginCall, MonitorStatus
from apps.risk.selectors import levels
from rtx.kernel import clock
from rtx.kernel.admin import ReadOnlyModelAdmin, reachable_groups
from rtx.kernel.admin_display import EMPTY, amount, badge, grouped, instant, percent, stored_values
from rtx.kernel.admin_filters import PeriodFilter, ReachableGroupFilter

SILENT_S = 5
LATE_MS = 1000
OF_PLATFORM = frozenset({"accounts", "positions", "house", "called", "below", "without_price", "counted"})


@admin.register(MonitorStatus)
class MonitorStatusAdmin(ReadOnlyModelAdmin):
    """How each shard of the margin monitor is; its accounts by margin level."""

    list_display = [
        "shard_",
        "state",
        "lag",
        "lag_max",
        "journal",
        "accounts",
        "positions",
        "called",
        "below",
    ]
    search_fields = ["shard", "holder"]
    search_help_text = "Shard or holder"
    change_form_outer_before_template = "admin/monitor_levels.html"
    fields = [
        ("shard", "state", "reported"),
        ("holder", "fence", "started"),
        ("lag", "lag_max", "journal"),
        ("accounts", "positions", "house"),
        ("called", "below", "without_price"),
        ("last_error", "counted"),
    ]
    readonly_fields = ["state", "reported", "started", "lag", "lag_max", "journal", "house", "counted"]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show a shard with its accounts by margin level."""
        status = self.get_object(request, object_id)
        groups = reachable_groups(request.user)
        counted = levels.counted(groups) if status is not None and groups is not None else None
        shown = {} if status is None else {"level_chart": _chart_of(counted or status.levels)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave figures of the whole platform out for staff who reach some groups only."""
        return [tuple(row) for row in self._within_reach(request, [list(row) for row in self.fields])]

    def get_list_display(self, request: HttpRequest) -> Any:
        """Leave figures of the whole platform out for staff who reach some groups only."""
        return self._within_reach(request, [self.list_display])[0]

    @staticmethod
    def _within_reach(request: HttpRequest, rows: list[list[str]]) -> list[list[str]]:
        if reachable_groups(request.user) is None:
            return rows
        return [kept for row in rows if (kept := [name for name in row if name not in OF_PLATFORM])]

    @admin.display(description="Shard", ordering="shard")
    def shard_(self, status: MonitorStatus) -> str:
        """The shard's number."""
        return f"Shard {status.shard}"

    @admin.display(description="State")
    def state(self, status: MonitorStatus) -> SafeString:
        """Whether it reports, and in time."""
        silent_s = (clock.now() - status.at).total_seconds()
        if silent_s > SILENT_S:
            return badge(f"silent for {grouped(f'{silent_s:.0f}')} s", "bad")
        if status.lag_max_ms > LATE_MS:
            return badge("late", "warn")
        return badge("watching", "good")

    @admin.display(description="Counters")
    def counted(self, status: MonitorStatus) -> SafeString | str:
        """What it counted since it leads."""
        return stored_values(status.counters) if status.counters else EMPTY

    @admin.display(description="Reported (UTC)")
    def reported(self, status: MonitorStatus) -> SafeString:
        """When it last reported."""
        return instant(status.at)

    @admin.display(description="Leads since (UTC)")
    def started(self, status: MonitorStatus) -> SafeString:
        """When its present leadership began."""
        return instant(status.started_at)

    @admin.display(description="Tick lag")
    def lag(self, status: MonitorStatus) -> str:
        """From a tick's arrival until everything was revalued."""
        return f"{status.lag_ms} ms"

    @admin.display(description="Longest of the minute")
    def lag_max(self, status: MonitorStatus) -> SafeString:
        """The longest such lag of the last minute."""
        return badge(f"{status.lag_max_ms} ms", "bad" if status.lag_max_ms > LATE_MS else "muted")

    @admin.display(description="Journal read")
    def journal(self, status: MonitorStatus) -> str:
        """How long before the report the journal had been read."""
        return f"{status.follow_lag_ms} ms before"

    @admin.display(description="House floating")
    def house(self, status: MonitorStatus) -> SafeString:
        """What the house would make if all closed now."""
        return amount(status.house_floating, "USD", signed=True)


@admin.register(MarginCall)
class MarginCallAdmin(OfAccount):
    """Crossings of the margin-call level, the latest first."""

    list_display = ["account_link", "group_name", "called", "level", "equity_", "margin_", "state", "cleared"]
    list_filter = [
        ("account__group", ReachableGroupFilter),
        ("called_at", PeriodFilter),
        ("cleared_at", admin.EmptyFieldListFilter),
    ]
    list_display_links = ["called"]
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("account_link", "group_name", "state"),
        ("called", "level", "called_seq"),
        ("equity_", "margin_"),
        ("cleared", "cleared_level", "cleared_seq"),
    ]
    readonly_fields = [
        "account_link",
        "group_name",
        "state",
        "called",
        "level",
        "equity_",
        "margin_",
        "cleared",
        "cleared_level",
    ]

    @admin.display(description="Called (UTC)")
    def called(self, call: MarginCall) -> SafeString:
        """When the level was crossed."""
        return instant(call.called_at)

    @admin.display(description="Level")
    def level(self, call: MarginCall) -> str:
        """The margin level then."""
        return EMPTY if call.level_pct is None else percent(call.level_pct)

    @admin.display(description="Equity")
    def equity_(self, call: MarginCall) -> SafeString:
        """The equity then."""
        return amount(call.equity, call.account.currency)

    @admin.display(description="Margin")
    def margin_(self, call: MarginCall) -> SafeString:
        """The margin then."""
        return amount(call.margin, call.account.currency)

    @admin.display(description="State")
    def state(self, call: MarginCall) -> SafeString:
        """Whether it is over."""
        return badge("open", "warn") if call.cleared_at is None else badge("over", "good")

    @admin.display(description="Over (UTC)")
    def cleared(self, call: MarginCall) -> SafeString:
        """When it was over."""
        return instant(call.cleared_at)

    @admin.display(description="Level when over")
    def cleared_level(self, call: MarginCall) -> str:
        """The margin level when it was over."""
        return EMPTY if call.cleared_level_pct is None else percent(call.cleared_level_pct)


def _chart_of(counted: dict[str, int]) -> dict[str, list[Any]]:
    """Return labels and numbers of levels, from the lowest up (the database does not keep their order)."""
    bounds = [bound for bound in (*map(str, levels.BOUNDS), levels.ABOVE) if bound in counted]
    labels = [
        f"above {bounds[index - 1]} %" if bound == "inf" else f"to {bound} %"
        for index, bound in enumerate(bounds)
    ]
    return {"labels": labels, "values": [counted[bound] for bound in bounds]}
