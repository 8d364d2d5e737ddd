"""The queue of what waits for a second person: what it is about, who asked and why, and the decision."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Case, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter
from unfold.enums import ActionVariant

from apps.accounts.admin.journal import accounts_by_login
from apps.accounts.models import TradingAccount, User
from apps.audit.models import Approval
from apps.audit.selectors import records
from apps.audit.services import approvals
from apps.console.admin.staff_log import staff_by_email, told_values
from apps.console.admin.stop_out_effect import stop_out_effect
from apps.funds.admin.dry_runs import posting_effect
from apps.trading.admin.dry_runs import reversal_effect
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.admin import OperatedModelAdmin
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, badge, instant, link_to
from rtx.kernel.admin_filters import PeriodFilter
from rtx.kernel.dry_runs import DryRun

DECIDE = "audit.decide_approval"
CANCEL = "audit.cancel_approval"
TONES = {
    "pending": "warn",
    "executed": "good",
    "refused": "bad",
    "rejected": "bad",
    "canceled": "muted",
    "expired": "muted",
}
PENDING_FIRST = Case(When(status="pending", then=Value(0)), default=Value(1), output_field=IntegerField())


EFFECTS: dict[str, Callable[[Approval, Actor], DryRun]] = {
    "trading.reverse": reversal_effect,
    "funds.post": posting_effect,
    "groups.stop_out": stop_out_effect,
}


def effect(_admin: Any, approval: Approval, operation: Operation) -> DryRun | None:
    """Return what carrying it out would do now, where that can be told to this person."""
    show = EFFECTS.get(approval.kind)
    is_theirs = approval.maker_id == operation.actor.user_id
    if show is None or is_theirs or approval.status != Approval.Status.PENDING:
        return None
    return show(approval, operation.actor)


def _email(of: str) -> Subquery:
    return Subquery(User.objects.filter(pk=OuterRef(of), is_staff=True).values("email")[:1])


@admin.register(Approval)
class ApprovalAdmin(OperatedModelAdmin):
    """What waits for a second person; approving carries it out at once."""

    reach_path = "group_id"
    list_display = ["summary_", "status_", "asked_by", "created", "expires", "decided_by"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("kind", FieldTextFilter),
        ("created_at", PeriodFilter),
    ]
    search_fields = ["kind"]
    search_help_text = "E-mail of staff, account number, kind or id"
    ordering = [PENDING_FIRST, "-created_at"]
    sortable_by: list[str] = []
    actions = ["approve", "reject", "cancel"]
    actions_detail = ["approve", "reject", "cancel"]
    fields = [
        ("summary", "status_"),
        ("kind", "account"),
        ("asked_by", "reason"),
        ("created", "expires"),
        "asked",
        ("decided_by", "decided", "check_reason"),
        "came_of_it",
        "hash_",
    ]
    readonly_fields = ["status_", "account", "asked_by", "created", "expires", "asked", "decided_by"]
    readonly_fields += ["decided", "came_of_it", "hash_"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read the names of people and accounts with the rows."""
        login = TradingAccount.objects.filter(pk=OuterRef("account_id")).values("login")[:1]
        named = {"maker_email": _email("maker_id"), "checker_email": _email("checker_id")}
        return super().get_queryset(request).annotate(account_login=Subquery(login), **named)

    def limit_to(self, rows: QuerySet[Any], groups: frozenset[int], request: HttpRequest) -> QuerySet[Any]:
        """Keep what lies within reach, and one's own where it lies in no group."""
        return records.approvals_within(rows, reach=groups, user_id=int(request.user.pk or 0))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by person, account, kind or id."""
        people = staff_by_email(term)
        condition = Q(maker_id__in=people) | Q(checker_id__in=people) | Q(kind=term)
        condition |= Q(account_id__in=accounts_by_login(term))
        try:
            return condition | Q(pk=UUID(term))
        except ValueError:
            return condition

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what can work: while it waits, taking back to whoever asked, the decision to others."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        row = self.get_object(request, str(object_id))
        if row is None or row.status != Approval.Status.PENDING:
            return []
        is_theirs = row.maker_id == request.user.pk
        own = [action for action in offered if action.action_name.endswith("_cancel")]
        return own if is_theirs else [action for action in offered if action not in own]

    @operator_action(
        "Approve",
        permission=DECIDE,
        warning="What was asked for is carried out at once, exactly as it is shown.",
        icon="check_circle",
        variant=ActionVariant.PRIMARY,
        runs_commands=True,
        needs_recent_login=True,
        preview=effect,
    )
    def approve(self, approval: Approval, operation: Operation) -> str:
        """Let it happen."""
        done = approvals.approve(approval_id=approval.pk, actor=operation.actor, may=operation.may)
        if done.status == Approval.Status.REFUSED:
            return f"approved, but refused: {done.outcome.get('reject_reason', 'see its outcome')}"
        return "approved and carried out"

    @operator_action("Reject", permission=DECIDE, icon="cancel", runs_commands=True, needs_recent_login=True)
    def reject(self, approval: Approval, operation: Operation) -> str:
        """Refuse to let it happen."""
        approvals.reject(approval_id=approval.pk, actor=operation.actor, may=operation.may)
        return "rejected"

    @operator_action(
        "Take back",
        permission=CANCEL,
        warning="Only whoever asked for it may take it back.",
        icon="undo",
        runs_commands=True,
    )
    def cancel(self, approval: Approval, operation: Operation) -> str:
        """Take back what one asked for."""
        approvals.cancel(approval_id=approval.pk, actor=operation.actor)
        return "taken back"

    @admin.display(description="What")
    def summary_(self, row: Approval) -> SafeString:
        """What is to be done, in a line that keeps its width."""
        return format_html('<span class="rtx-summary">{}</span>', row.summary)

    @admin.display(description="Content's SHA-256")
    def hash_(self, row: Approval) -> SafeString:
        """What binds the decision to exactly this content."""
        return format_html('<code class="rtx-break">{}</code>', row.content_hash)

    @admin.display(description="Status")
    def status_(self, row: Approval) -> SafeString:
        """Where it stands."""
        return badge(row.status, TONES.get(row.status, "muted"))

    @admin.display(description="Asked by")
    def asked_by(self, row: Any) -> SafeString:
        """A link to whoever asked."""
        return link_to("admin:accounts_user_change", row.maker_id, row.maker_email or row.maker)

    @admin.display(description="Decided by")
    def decided_by(self, row: Any) -> SafeString | str:
        """A link to whoever decided."""
        if row.checker_id is None:
            return EMPTY
        return link_to("admin:accounts_user_change", row.checker_id, row.checker_email or row.checker)

    @admin.display(description="Account")
    def account(self, row: Any) -> SafeString | str:
        """A link to the account."""
        if row.account_id is None:
            return EMPTY
        return link_to("admin:accounts_tradingaccount_change", row.account_id, row.account_login)

    @admin.display(description="Asked (UTC)")
    def created(self, row: Approval) -> SafeString:
        """When it was asked for."""
        return instant(row.created_at)

    @admin.display(description="Expires (UTC)")
    def expires(self, row: Approval) -> SafeString | str:
        """Until when it can be approved."""
        if row.status == Approval.Status.PENDING and row.expires_at <= clock.now():
            return badge("its time is over", "muted")
        return instant(row.expires_at)

    @admin.display(description="Decided (UTC)")
    def decided(self, row: Approval) -> SafeString:
        """When it was decided."""
        return instant(row.checked_at)

    @admin.display(description="What is to be done")
    def asked(self, row: Approval) -> SafeString:
        """The exact content, value by value."""
        return told_values({}, approvals.content_of(row), is_one=True)

    @admin.display(description="What came of it")
    def came_of_it(self, row: Approval) -> SafeString | str:
        """The outcome."""
        return told_values({}, row.outcome, is_one=True) if row.outcome else EMPTY
