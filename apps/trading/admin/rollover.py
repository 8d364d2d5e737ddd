"""The page of rollovers: how far each group's trading days have come. Only shown."""

from django.contrib import admin
from django.utils.safestring import SafeString

from apps.trading.models import RolloverDay
from rtx.kernel.admin import ReadOnlyModelAdmin
from rtx.kernel.admin_display import EMPTY, badge, instant
from rtx.kernel.admin_filters import PeriodFilter, ReachableGroupFilter


@admin.register(RolloverDay)
class RolloverDayAdmin(ReadOnlyModelAdmin):
    """How far each group's trading days have come; what waits for a price is red."""

    reach_path = "group"
    list_display = ["date", "group", "rolled", "charges", "state", "finished"]
    list_filter = [("group", ReachableGroupFilter), ("rolled_at", PeriodFilter)]
    list_select_related = ["group"]
    search_fields = ["group__name", "date"]
    search_help_text = "Group or date"
    fields = [
        ("group", "date", "rolled"),
        ("charges", "pending", "reason"),
        ("state", "claimed_until", "finished"),
    ]
    readonly_fields = ["rolled", "state", "finished"]

    @admin.display(description="Rolled over at (UTC)", ordering="rolled_at")
    def rolled(self, day: RolloverDay) -> SafeString:
        """The instant whose positions, terms and prices hold."""
        return instant(day.rolled_at)

    @admin.display(description="State")
    def state(self, day: RolloverDay) -> SafeString:
        """Finished, at work, or waiting for prices."""
        if day.finished_at is not None:
            return badge("finished", "good")
        if day.pending:
            return badge(f"{day.pending} accounts wait", "bad")
        return badge("open", "warn")

    @admin.display(description="Finished at (UTC)")
    def finished(self, day: RolloverDay) -> SafeString | str:
        """When the last account was charged."""
        return EMPTY if day.finished_at is None else instant(day.finished_at)
