"""What the sync gave up: shown with the reason, sent again or dropped by staff. No values here."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.enums import ActionVariant

from apps.crm.admin.records import clients_of, found_by
from apps.crm.models import DeadLetter
from apps.crm.permissions import RUN
from apps.crm.services import dead_letters
from rtx.kernel.admin import OperatedModelAdmin
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, badge, instant, link
from rtx.kernel.admin_filters import PeriodFilter

TONES = {"open": "bad", "replayed": "good", "dropped": "muted"}


@admin.register(DeadLetter)
class DeadLetterAdmin(OperatedModelAdmin):
    """Dead letters; several are sent again at once from the list."""

    reach_path = "link__client__trading_accounts__group"
    list_display = ["created", "state", "direction", "what", "provider", "error_code", "error_", "attempts"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("connection__provider", ChoicesDropdownFilter),
        ("direction", ChoicesDropdownFilter),
        ("created_at", PeriodFilter),
    ]
    list_select_related = ["connection", "link__client", "link__account", "delivery", "resolved_by"]
    search_fields = ["error_code"]
    search_help_text = "Number of the client or account, id in the CRM, or exact error code"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("created", "state", "direction"),
        ("what", "connection_link", "attempts"),
        ("error_code", "error"),
        ("resolved", "resolved_by"),
    ]
    readonly_fields = ["created", "state", "what", "connection_link", "resolved"]
    actions = ["replay", "drop"]
    actions_detail = ["replay", "drop"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Leave what is sealed in the database."""
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer("link__base_sealed", "delivery__body_sealed")

    def limit_to(
        self, rows: QuerySet[DeadLetter], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[DeadLetter]:
        """Keep the clients within reach."""
        return rows.filter(link__client__in=clients_of(request, groups))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by customer or error."""
        condition = found_by(term, "link__")
        return Q(error_code=term) if condition is None else condition | Q(error_code=term)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer nothing for what was decided."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        row = self.get_object(request, str(object_id)) if offered else None
        return offered if row is not None and row.status == DeadLetter.Status.OPEN else []

    @operator_action(
        "Send again", permission=RUN, icon="replay", variant=ActionVariant.PRIMARY, runs_commands=True
    )
    def replay(self, row: DeadLetter, operation: Operation) -> str:
        """Let it be tried again at once."""
        dead_letters.replay(dead_letter_id=row.pk, actor=operation.actor)
        return "is tried again within seconds"

    @operator_action(
        "Drop",
        permission=RUN,
        icon="delete_sweep",
        warning="It is not tried again; the customer's next change is sent as usual.",
        runs_commands=True,
    )
    def drop(self, row: DeadLetter, operation: Operation) -> str:
        """Leave it as it is."""
        dead_letters.drop(dead_letter_id=row.pk, actor=operation.actor)
        return "is dropped"

    @admin.display(description="Given up (UTC)")
    def created(self, row: DeadLetter) -> SafeString:
        """When it was given up."""
        return instant(row.created_at)

    @admin.display(description="State")
    def state(self, row: DeadLetter) -> SafeString:
        """Whether somebody decided."""
        return badge(row.get_status_display(), TONES[row.status])

    @admin.display(description="What")
    def what(self, row: DeadLetter) -> SafeString | str:
        """The customer or the delivery."""
        if row.link is not None:
            return link(row.link, str(row.link.account or row.link.client))
        return link(row.delivery) if row.delivery is not None else EMPTY

    @admin.display(description="CRM")
    def provider(self, row: DeadLetter) -> str:
        """Which CRM."""
        return str(row.connection)

    @admin.display(description="Connection")
    def connection_link(self, row: DeadLetter) -> SafeString:
        """A link to the connection."""
        return link(row.connection)

    @admin.display(description="Why")
    def error_(self, row: DeadLetter) -> str:
        """Why it was given up."""
        return row.error[:80] or EMPTY

    @admin.display(description="Decided (UTC)")
    def resolved(self, row: DeadLetter) -> SafeString:
        """When somebody decided."""
        return instant(row.resolved_at)
