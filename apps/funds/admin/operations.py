"""The queue of fund operations and their history. What waits stands first; actions call services."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.accounts.models import TradingAccount, User
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from apps.funds.adapters.receipt_pdf import receipt_file
from apps.funds.admin.accounts import FundsRefused
from apps.funds.admin.dry_runs import dry_run
from apps.funds.domain.operations import Status, said
from apps.funds.forms import NewOperationForm, RejectForm
from apps.funds.models import FundOperation, FundStep
from apps.funds.permissions import POST, REQUEST
from apps.funds.selectors.operations import has_pending_approval, outcome_said, waits_for
from apps.funds.services import decisions
from rtx.kernel import clock, staff_log
from rtx.kernel.actor import Actor
from rtx.kernel.admin import OperatedModelAdmin, ReadOnlyModelAdmin, as_id
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, amount, badge, instant, link
from rtx.kernel.admin_filters import PeriodFilter, ReachableGroupFilter
from rtx.kernel.dry_runs import DryRun

STATUS_TONES = {
    Status.REQUESTED: "warn",
    Status.APPROVED: "info",
    Status.POSTED: "good",
    Status.REJECTED: "bad",
    Status.CANCELED: "muted",
}
STEP_TONES = {
    "requested": "warn",
    "approved": "info",
    "posted": "good",
    "refused": "bad",
    "rejected": "bad",
    "canceled": "muted",
    "expired": "muted",
}
WAITS = {"decision": "a decision", "second_person": "a second person"}
DECIDING = ["approve", "reject", "take_back"]


def _key(operation: Operation, row: FundOperation) -> str:
    return f"p{operation.request_key.hex}{row.pk}"[:48]


def _previewed(_admin: Any, row: FundOperation, operation: Operation) -> DryRun:
    return dry_run(row.account, row.asked, actor=operation.actor, has_two=has_pending_approval(row))


@admin.register(FundOperation)
class FundOperationAdmin(OperatedModelAdmin):
    """Deposits, withdrawals, adjustments and credit: asked for, decided, booked."""

    reach_path = "account__group"
    list_display = [
        "number",
        "status_",
        "kind_",
        "amount_",
        "account_link",
        "reference_",
        "asked_by",
        "asked_at",
    ]
    list_filter = [
        ("is_waiting", BooleanRadioFilter),
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("by_client", BooleanRadioFilter),
        ("account__group", ReachableGroupFilter),
        ("requested_at", PeriodFilter),
    ]
    list_select_related = ["account__group", "approval", "requested_by", "decided_by"]
    search_fields = ["reference"]
    search_help_text = "Number of the operation, account, or exact reference"
    ordering = ["-is_waiting", "-id"]
    sortable_by: list[str] = []
    fields = [
        ("number", "status_", "waiting"),
        ("kind_", "amount_", "account_link"),
        ("reference", "comment"),
        ("asked_by", "asked_at", "reason"),
        ("decided_by_", "decided", "event_link"),
        ("reject_reason", "message", "approval_link"),
    ]
    readonly_fields = [
        "number",
        "status_",
        "waiting",
        "kind_",
        "amount_",
        "account_link",
        "asked_by",
        "asked_at",
        "decided_by_",
        "decided",
        "event_link",
        "approval_link",
    ]
    change_form_outer_before_template = "admin/funds/operation_steps.html"
    actions_list = ["new_operation"]
    actions = ["approve", "reject"]
    actions_detail = [*DECIDING, "receipt"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[FundOperation]:
        """Read account, group, approval and people in the same statement."""
        return super().get_queryset(request).select_related(*self.list_select_related)

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by number, by account or by reference."""
        condition = Q(reference=term)
        wanted = as_id(term)
        if wanted is not None:
            accounts = list(TradingAccount.objects.filter(login=wanted).values_list("pk", flat=True))
            condition |= Q(pk=wanted) | Q(account_id__in=accounts)
        return condition

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer to decide what waits, and the receipt of what is posted."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        row = self.get_object(request, str(object_id)) if offered else None
        if row is None:
            return []
        user: Any = request.user
        apt = set()
        if row.is_waiting:
            apt |= {"approve", "reject"}
            approval = row.approval
            if user.pk == row.requested_by_id or (approval is not None and user.pk == approval.maker_id):
                apt = {"take_back"}
            if row.requested_by_id == user.pk and approval is None:
                apt |= {"approve", "reject"}
        elif row.status == Status.POSTED:
            apt = {"receipt"}
        return [one for one in offered if one.path in apt]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the operation with everything that happened to it."""
        row = self.get_object(request, object_id)
        shown = {} if row is None else {"steps": steps_of(row)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def has_request_operation_permission(self, request: HttpRequest) -> bool:
        """Tell whether this person may ask for an operation (a right named here is asked for at startup)."""
        return bool(request.user.has_perm(REQUEST))

    @action(
        description="New operation",
        icon="add",
        permissions=["request_operation"],
        variant=ActionVariant.PRIMARY,
    )
    def new_operation(self, request: HttpRequest) -> HttpResponse:
        """Find the account, then go on with its own action."""
        form = NewOperationForm(request.GET if "account" in request.GET else None, user=request.user)
        if form.is_bound and form.is_valid():
            name = NewOperationForm.ACTIONS[form.cleaned_data["kind"]]
            account = form.cleaned_data["account"]
            return HttpResponseRedirect(reverse(f"admin:accounts_tradingaccount_{name}", args=[account.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": "New fund operation",
            "opts": self.opts,
            "form": form,
            "back_url": reverse("admin:funds_fundoperation_changelist"),
        }
        return TemplateResponse(request, "admin/funds/new_operation.html", context)

    @operator_action(
        "Approve",
        permission=POST,
        warning="The first word posts it up to the group's threshold and asks for a second person above it; "
        "the second word posts it.",
        icon="check",
        variant=ActionVariant.PRIMARY,
        runs_commands=True,
        needs_recent_login=True,
        preview=_previewed,
    )
    def approve(self, row: FundOperation, operation: Operation) -> str:
        """Give one's word for an operation."""
        done = decisions.approve(row, actor=operation.actor, may=operation.may, key=_key(operation, row))
        if done.reject_reason:
            raise FundsRefused(outcome_said(done))
        return outcome_said(done)

    @operator_action(
        "Reject",
        permission=POST,
        warning="The operation ends; nothing is booked.",
        icon="block",
        form=RejectForm,
        runs_commands=True,
        needs_recent_login=True,
    )
    def reject(self, row: FundOperation, operation: Operation) -> str:
        """Refuse an operation."""
        done = decisions.reject(
            row,
            actor=operation.actor,
            may=operation.may,
            key=_key(operation, row),
            message=operation.values["message"],
        )
        return outcome_said(done)

    @operator_action(
        "Take back",
        permission=REQUEST,
        warning="What you asked for is taken back; nothing is booked.",
        icon="undo",
        variant=ActionVariant.DEFAULT,
        runs_commands=True,
        needs_recent_login=True,
    )
    def take_back(self, row: FundOperation, operation: Operation) -> str:
        """Take back what one asked for."""
        return outcome_said(decisions.take_back(row, actor=operation.actor))

    @action(description="Receipt", icon="picture_as_pdf", permissions=["view"])
    def receipt(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Download the receipt, which is logged; the holder's name only for who may see personal data."""
        row = self.get_object(request, object_id)
        if row is None or row.status != Status.POSTED:
            raise Http404("there is no such receipt")
        may_name = request.user.has_perm(VIEW_PERSONAL_DATA)
        made = receipt_file(row, now=clock.now(), shows_holder=may_name)
        with transaction.atomic():
            staff_log.record(
                actor=Actor.of(request),
                operation="funds.download_receipt",
                after={"names_holder": may_name},
                **staff_log.about(row, self.reach_path),
            )
        return made.answer()

    @admin.display(description="Operation")
    def number(self, row: FundOperation) -> str:
        """Its number."""
        return f"#{row.pk}"

    @admin.display(description="Status")
    def status_(self, row: FundOperation) -> SafeString:
        """Where it stands, and whether a second person has to look at it."""
        if has_pending_approval(row):
            return badge("Second person", "info")
        return badge(row.get_status_display(), STATUS_TONES[Status(row.status)])

    @admin.display(description="Kind")
    def kind_(self, row: FundOperation) -> str:
        """Deposit, withdrawal, adjustment or credit."""
        return row.get_kind_display()

    @admin.display(description="Amount")
    def amount_(self, row: FundOperation) -> SafeString:
        """The amount; the sign only where the kind does not tell the direction."""
        return amount(said(row.asked.kind, row.amount), row.currency)

    @admin.display(description="Account")
    def account_link(self, row: FundOperation) -> SafeString:
        """A link to the account."""
        return link(row.account)

    @admin.display(description="Reference")
    def reference_(self, row: FundOperation) -> SafeString:
        """What proves it outside."""
        return format_html('<span class="rtx-time">{}</span>', row.reference)

    @admin.display(description="Waits for")
    def waiting(self, row: FundOperation) -> str:
        """Who has to act next."""
        return WAITS.get(waits_for(row) or "", EMPTY)

    @admin.display(description="Asked by")
    def asked_by(self, row: FundOperation) -> SafeString | str:
        """The client, or which member of staff."""
        return "client" if row.by_client else str(row.requested_by)

    @admin.display(description="Asked (UTC)")
    def asked_at(self, row: FundOperation) -> SafeString:
        """When it was asked for."""
        return instant(row.requested_at)

    @admin.display(description="Decided (UTC)")
    def decided(self, row: FundOperation) -> SafeString:
        """When it ended."""
        return instant(row.decided_at)

    @admin.display(description="Decided by")
    def decided_by_(self, row: FundOperation) -> str:
        """Who ended it."""
        return EMPTY if row.decided_by is None else str(row.decided_by)

    @admin.display(description="Journal")
    def event_link(self, row: FundOperation) -> SafeString | str:
        """A link to the event that booked it, or refused it."""
        event = row.account.events.filter(seq=row.event_seq).first() if row.event_seq else None
        return EMPTY if event is None else link(event, f"event {row.event_seq}")

    @admin.display(description="Approval")
    def approval_link(self, row: FundOperation) -> SafeString | str:
        """A link to the second person's decision."""
        return EMPTY if row.approval is None else link(row.approval, row.approval.get_status_display())


def steps_of(row: FundOperation) -> list[dict[str, Any]]:
    """Return what happened to an operation, with the people by name where they are staff."""
    found = list(row.steps.all())
    numbers = {step.pk: step.actor.rpartition(":")[2] for step in found if ":user:" in step.actor}
    people = User.objects.in_bulk([int(number) for number in numbers.values()])
    return [
        {
            "at": instant(step.at),
            "kind": badge(step.get_kind_display(), STEP_TONES[step.kind]),
            "who": str(people[int(numbers[step.pk])]) if step.pk in numbers else step.actor,
            "reason": step.reason,
            "detail": step.detail,
        }
        for step in found
    ]


@admin.register(FundStep)
class FundStepAdmin(ReadOnlyModelAdmin):
    """Everything that ever happened to fund operations. Append-only."""

    reach_path = "operation__account__group"
    list_display = ["at_", "kind_", "operation_link", "actor", "reason", "detail"]
    list_filter = [("kind", ChoicesDropdownFilter), ("at", PeriodFilter)]
    list_select_related = ["operation__account"]
    search_fields = ["operation__reference"]
    search_help_text = "Number of the operation"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [("at_", "kind_", "operation_link"), ("actor", "reason", "detail")]
    readonly_fields = ["at_", "kind_", "operation_link"]

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find the steps of one operation."""
        return Q(operation_id=as_id(term) or 0)

    @admin.display(description="Time (UTC)")
    def at_(self, step: FundStep) -> SafeString:
        """When it happened."""
        return instant(step.at)

    @admin.display(description="Step")
    def kind_(self, step: FundStep) -> SafeString:
        """What happened."""
        return badge(step.get_kind_display(), STEP_TONES[step.kind])

    @admin.display(description="Operation")
    def operation_link(self, step: FundStep) -> SafeString:
        """A link to the operation."""
        return link(step.operation)
