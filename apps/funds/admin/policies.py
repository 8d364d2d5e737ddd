"""
The fund policies: the house's, and those of trading groups. A threshold that lets one person do more than
before, or a new group's than the house's, waits for a second one.
"""

from typing import Any

from django.contrib import admin, messages
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.funds.forms import FundPolicyForm
from apps.funds.models import FundPolicy
from apps.funds.services import policies
from rtx.kernel.actor import Actor
from rtx.kernel.admin import ConfiguredModelAdmin
from rtx.kernel.admin_display import amount, badge
from rtx.kernel.admin_filters import ReachableGroupFilter
from rtx.kernel.errors import refused_by_database
from rtx.kernel.staff_log import REASON_FIELD


@admin.register(FundPolicy)
class FundPolicyAdmin(ConfiguredModelAdmin):
    """What each trading group asks for before money moves; who reaches everything sees the house's too."""

    form = FundPolicyForm
    is_deletable = False
    needs_recent_login = True
    reach_path = "group"
    list_display = ["group_name", "threshold_", "minimum_", "deposits", "withdrawals", "hours"]
    list_filter = [("group", ReachableGroupFilter)]
    list_select_related = ["group"]
    search_fields = ["group__name"]
    search_help_text = "Group"
    sortable_by: list[str] = []
    fields = [
        "group",
        ("threshold", "approval_hours"),
        "minimum",
        ("takes_deposits", "takes_withdrawals"),
        REASON_FIELD,
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: FundPolicy | None = None) -> list[str]:
        """Keep a policy with its group."""
        return [] if obj is None else ["group"]

    def save_model(self, request: HttpRequest, obj: FundPolicy, form: Any, change: bool) -> None:
        """Save all but a threshold that has to wait: that one is asked for."""
        waits, wanted = form.asks_for_more, obj.threshold
        if waits:
            obj.threshold = form.threshold_before
        try:
            super().save_model(request, obj, form, change)
        except DatabaseError as error:  # somebody tightened it while the form was open
            raise refused_by_database(error) or error from None
        if waits:
            actor = Actor.of(request, reason=form.cleaned_data[REASON_FIELD])
            policies.ask_looser(obj, wanted, actor=actor)
            messages.warning(
                request, "The higher threshold waits for a second person; until then the lower one holds."
            )

    @admin.display(description="Group", ordering="group")
    def group_name(self, row: FundPolicy) -> str:
        """The group's name."""
        return "The house (groups without their own)" if row.group is None else row.group.name

    @admin.display(description="Second person above, per client and day")
    def threshold_(self, row: FundPolicy) -> SafeString | str:
        """The threshold."""
        return "never" if row.threshold is None else amount(row.threshold, row.currency)

    @admin.display(description="Least request")
    def minimum_(self, row: FundPolicy) -> SafeString:
        """The least amount that a client may ask for."""
        return amount(row.minimum, row.currency)

    @admin.display(description="Deposit requests")
    def deposits(self, row: FundPolicy) -> SafeString:
        """Whether clients may ask for deposits."""
        return badge("open" if row.takes_deposits else "closed", "good" if row.takes_deposits else "muted")

    @admin.display(description="Withdrawal requests")
    def withdrawals(self, row: FundPolicy) -> SafeString:
        """Whether clients may ask for withdrawals."""
        is_open = row.takes_withdrawals
        return badge("open" if is_open else "closed", "good" if is_open else "muted")

    @admin.display(description="Waits for")
    def hours(self, row: FundPolicy) -> str:
        """How long an operation waits for the second person."""
        return f"{row.approval_hours} h"
