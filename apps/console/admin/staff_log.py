"""
The page of the staff log: who did what, when, from where and why, with every value before and after. Shown in
full, changed by nobody.
"""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, FieldTextFilter

from apps.accounts.adapters import sheets
from apps.accounts.admin.journal import accounts_by_login
from apps.accounts.models import TradingAccount, User
from apps.audit.domain.differences import differences
from apps.audit.models import StaffAction
from apps.audit.selectors import records
from apps.audit.services import actions
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.admin import ReadOnlyModelAdmin, as_id
from rtx.kernel.admin_display import EMPTY, badge, grouped, instant, link_to
from rtx.kernel.admin_filters import PeriodFilter

OUTCOME_TONES = {"done": "good", "requested": "warn", "refused": "bad"}
TICKETS = ("trading.position", "trading.order", "trading.deal")
EXPORT_MAX = 50_000
STAFF_EMAIL = User.objects.filter(pk=OuterRef("user_id"), is_staff=True).values("email")[:1]
LOGIN = TradingAccount.objects.filter(pk=OuterRef("account_id")).values("login")[:1]
EXPORTED = (
    "id",
    "at",
    "user_id",
    "user_email",
    "ip",
    "request_id",
    "operation",
    "target_type",
    "target_id",
    "target_label",
    "account_login",
    "outcome",
    "reason",
    "detail",
    "before",
    "after",
    "command_id",
    "approval_id",
)


def staff_by_email(term: str) -> list[int]:
    """Return the ids of members of staff whose e-mail begins with the term."""
    found = User.objects.filter(email__startswith=term.lower(), is_staff=True)
    return list(found.values_list("pk", flat=True)[:100])


def told_values(before: Any, after: Any, *, is_one: bool = False) -> SafeString:
    """Write two states side by side, or the second one alone."""
    context = {"rows": differences(before, after), "is_one": is_one}
    return render_to_string("admin/audit/values.html", context)


class StaffFilter(DropdownFilter):
    """One member of staff."""

    title = "staff"
    parameter_name = "user"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer everybody who is or was staff."""
        found = User.objects.filter(is_staff=True).order_by("email").values_list("pk", "email")
        offered = [(str(key), email) for key, email in found[:500]]
        asked = as_id(self.value() or "")
        is_offered = asked is None or str(asked) in dict(offered)
        return offered if is_offered else [*offered, (str(asked), f"User {asked}")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what they did."""
        chosen = as_id(self.value() or "")
        return queryset if chosen is None else queryset.filter(user_id=chosen)


@admin.register(StaffAction)
class StaffActionAdmin(ReadOnlyModelAdmin):
    """What staff did, with the reasons they gave; sealed like the journal."""

    reach_path = "group_id"
    list_display = ["at_", "who", "operation_", "target", "outcome_", "reason_"]
    list_filter = [
        StaffFilter,
        ("operation", FieldTextFilter),
        ("outcome", ChoicesDropdownFilter),
        ("at", PeriodFilter),
    ]
    search_fields = ["request_id"]
    search_help_text = "E-mail of staff, account number, ticket, request id, command or approval id"
    ordering = ["-id"]
    sortable_by: list[str] = []
    actions = ["export_csv"]
    list_disable_select_all = False
    fields = [
        ("at_", "who", "outcome_"),
        ("operation", "target", "account"),
        ("reason", "detail"),
        ("address", "request_id"),
        ("command", "approval"),
        "changes",
    ]
    readonly_fields = ["at_", "who", "outcome_", "target", "account", "address"]
    readonly_fields += ["command", "approval", "changes"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read the names of people and accounts with the entries."""
        named = {"user_email": Subquery(STAFF_EMAIL), "account_login": Subquery(LOGIN)}
        return super().get_queryset(request).annotate(**named)

    def limit_to(self, rows: QuerySet[Any], groups: frozenset[int], request: HttpRequest) -> QuerySet[Any]:
        """Keep what lies within reach, and one's own where it lies in no group."""
        return records.actions_within(rows, reach=groups, user_id=int(request.user.pk or 0))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by person, account, ticket, or the id of a request, a command or an approval."""
        condition = Q(request_id=term) | Q(user_id__in=staff_by_email(term))
        condition |= Q(account_id__in=accounts_by_login(term))
        number = as_id(term)
        if number is not None:
            condition |= Q(target_type__in=TICKETS, target_id=str(number))
        try:
            known = UUID(term)
        except ValueError:
            return condition
        return condition | Q(command_id=known) | Q(approval_id=known)

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Write the chosen entries as a sheet that is safe to open; that it was done is logged too."""
        if not request.user.has_perm("audit.view_staffaction"):
            raise PermissionDenied
        rows = list(queryset.order_by("-id").values_list(*EXPORTED)[: EXPORT_MAX + 1])
        is_cut = len(rows) > EXPORT_MAX
        del rows[EXPORT_MAX:]
        with transaction.atomic():
            actions.record(
                actor=Actor.of(request),
                operation="audit.export_staff_log",
                after={"entries": len(rows), "is_cut": is_cut},
            )
        if is_cut:
            messages.warning(
                request, f"More entries match: the sheet has the latest {grouped(str(EXPORT_MAX))} only."
            )
        answer = HttpResponse(sheets.written(EXPORTED, rows, form="csv"), content_type=sheets.CSV_TYPE)
        answer["Content-Disposition"] = f'attachment; filename="staff-log-{clock.now():%Y%m%d-%H%M%S}.csv"'
        return answer

    @admin.display(description="Time (UTC)")
    def at_(self, entry: StaffAction) -> SafeString:
        """When it was done."""
        return instant(entry.at)

    @admin.display(description="Who")
    def who(self, entry: Any) -> SafeString:
        """A link to whoever did it."""
        return link_to("admin:accounts_user_change", entry.user_id, entry.user_email or entry.actor)

    @admin.display(description="Operation")
    def operation_(self, entry: StaffAction) -> str:
        """What was done."""
        return entry.operation

    @admin.display(description="Outcome")
    def outcome_(self, entry: StaffAction) -> SafeString:
        """Done, refused, or waiting for a second person."""
        return badge(entry.outcome, OUTCOME_TONES.get(entry.outcome, "muted"))

    @admin.display(description="To")
    def target(self, entry: StaffAction) -> SafeString | str:
        """A link to the row that it was done to."""
        if not entry.target_type:
            return EMPTY
        name = entry.target_label or f"{entry.target_type} {entry.target_id}"
        return link_to(f"admin:{entry.target_type.replace('.', '_')}_change", entry.target_id, name)

    @admin.display(description="Account")
    def account(self, entry: Any) -> SafeString | str:
        """A link to the account."""
        if entry.account_id is None:
            return EMPTY
        return link_to("admin:accounts_tradingaccount_change", entry.account_id, entry.account_login)

    @admin.display(description="Reason")
    def reason_(self, entry: StaffAction) -> str:
        """Why, as far as it fits."""
        return f"{entry.reason[:60]}…" if len(entry.reason) > 60 else entry.reason or EMPTY

    @admin.display(description="Address")
    def address(self, entry: StaffAction) -> str:
        """Where the request came from."""
        return entry.ip or EMPTY

    @admin.display(description="Command")
    def command(self, entry: StaffAction) -> SafeString | str:
        """The command in the journal."""
        return EMPTY if entry.command_id is None else str(entry.command_id)

    @admin.display(description="Approval")
    def approval(self, entry: StaffAction) -> SafeString | str:
        """A link to the approval that it was asked or decided under."""
        if entry.approval_id is None:
            return EMPTY
        return link_to("admin:audit_approval_change", entry.approval_id, str(entry.approval_id)[:8])

    @admin.display(description="Before and after")
    def changes(self, entry: StaffAction) -> SafeString | str:
        """Every value before and after."""
        if not (entry.before and entry.after):
            told = entry.before or entry.after
            return told_values({}, told, is_one=True) if told else EMPTY
        return told_values(entry.before, entry.after)
