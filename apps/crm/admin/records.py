"""
Which record of a CRM is which client, what the sync did to each, and where both sides had changed. Rows are
limited to clients within reach; values are shown nowhere but in a conflict that somebody asks to see.
"""

import uuid
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.accounts.models import Client, TradingAccount
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from apps.accounts.selectors.clients import clients_within
from apps.crm.models import Conflict, Link, SyncEntry
from apps.crm.permissions import RUN
from apps.crm.services import links, merging
from rtx.kernel import recent_login, staff_log
from rtx.kernel.actor import Actor
from rtx.kernel.admin import OperatedModelAdmin, ReadOnlyModelAdmin, as_id
from rtx.kernel.admin_actions import CONFIRMED, Operation, OperatorForm, operator_action
from rtx.kernel.admin_display import EMPTY, badge, instant, link
from rtx.kernel.admin_filters import PeriodFilter

LINK_TONES = {"active": "good", "dead": "bad", "gone": "warn", "erased": "muted"}
ACTION_TONES = {
    "created": "good",
    "updated": "info",
    "adopted": "info",
    "conflict": "warn",
    "failed": "bad",
    "gone": "warn",
    "erased": "muted",
}
ENTRIES_SHOWN = 20


def clients_of(request: HttpRequest, groups: frozenset[int]) -> Any:
    """Return the keys of the clients that a member of staff reaches, as a subquery."""
    return clients_within(groups, user_id=int(request.user.pk or 0)).values("pk")


def found_by(term: str, prefix: str = "") -> Q | None:
    """Return the condition for a number of a client or an account, or for an id in the CRM."""
    number = as_id(term)
    condition = Q(**{f"{prefix}crm_id": term})
    if number is not None:
        clients = list(Client.objects.filter(number=number).values_list("pk", flat=True))
        accounts = list(TradingAccount.objects.filter(login=number).values_list("pk", flat=True))
        condition |= Q(**{f"{prefix}client_id__in": clients}) | Q(**{f"{prefix}account_id__in": accounts})
    return condition


@admin.register(Link)
class LinkAdmin(OperatedModelAdmin):
    """Customers in the CRM: how far each is in step."""

    reach_path = "client__trading_accounts__group"
    list_display = [
        "name",
        "state",
        "provider",
        "kind",
        "crm_id",
        "in_step",
        "waiting_since",
        "last_error_code",
    ]
    list_filter = [
        ("provider", ChoicesDropdownFilter),
        ("status", ChoicesDropdownFilter),
        ("is_waiting", BooleanRadioFilter),
        ("kind", ChoicesDropdownFilter),
        ("in_step_at", PeriodFilter),
    ]
    list_select_related = ["client", "account", "connection"]
    search_fields = ["crm_id"]
    search_help_text = "Number of the client, account, or id in the CRM"
    ordering = ["-in_step_at", "id"]
    sortable_by: list[str] = []
    fields = [
        ("who", "state", "connection_link"),
        ("kind", "crm_id", "told_changed"),
        ("in_step", "waiting_since", "next_try"),
        ("attempts", "last_error_code", "last_error"),
        "entries_",
        "conflicts_",
    ]
    readonly_fields = [
        "who",
        "state",
        "connection_link",
        "told_changed",
        "in_step",
        "waiting_since",
        "next_try",
        "entries_",
        "conflicts_",
    ]
    actions = ["send_again"]
    actions_detail = ["send_again"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Link]:
        """Leave what is sealed in the database."""
        return super().get_queryset(request).select_related(*self.list_select_related).defer("base_sealed")

    def limit_to(self, rows: QuerySet[Link], groups: frozenset[int], request: HttpRequest) -> QuerySet[Link]:
        """Keep the clients within reach."""
        return rows.filter(client__in=clients_of(request, groups))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by client, account or id in the CRM."""
        return found_by(term)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer nothing for a client who was erased."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        row = self.get_object(request, str(object_id)) if offered else None
        return offered if row is not None and row.status != Link.Status.ERASED else []

    @operator_action(
        "Send again", permission=RUN, icon="sync", variant=ActionVariant.PRIMARY, runs_commands=True
    )
    def send_again(self, row: Link, operation: Operation) -> str:
        """Compare and send the customer now and whole; what was deleted in the CRM is made anew."""
        links.send_again(link_id=row.pk, actor=operation.actor)
        return "is sent within seconds"

    @admin.display(description="Customer")
    def name(self, row: Link) -> str:
        """The account or the client."""
        return f"account {row.account}" if row.account else str(row.client)

    @admin.display(description="Customer")
    def who(self, row: Link) -> SafeString:
        """A link to the account or the client."""
        return link(row.account or row.client)

    @admin.display(description="State")
    def state(self, row: Link) -> SafeString:
        """Whether it is in step."""
        if row.status == Link.Status.ACTIVE:
            return badge("waiting", "warn") if row.is_waiting else badge("in step", "good")
        return badge(row.get_status_display(), LINK_TONES[row.status])

    @admin.display(description="Connection")
    def connection_link(self, row: Link) -> SafeString:
        """A link to the connection."""
        return link(row.connection)

    @admin.display(description="In step (UTC)")
    def in_step(self, row: Link) -> SafeString:
        """When both sides last had the same."""
        return instant(row.in_step_at)

    @admin.display(description="Waiting since (UTC)")
    def waiting_since(self, row: Link) -> SafeString | str:
        """Of when the oldest change is that the CRM does not know."""
        return instant(row.wanted_at) if row.is_waiting else EMPTY

    @admin.display(description="Next try (UTC)")
    def next_try(self, row: Link) -> SafeString | str:
        """When it is tried next."""
        return instant(row.due_at) if row.is_waiting else EMPTY

    @admin.display(description="Changed in the CRM (UTC)")
    def told_changed(self, row: Link) -> SafeString:
        """When the CRM says that the record changed."""
        return instant(row.crm_changed_at)

    @admin.display(description="Last entries")
    def entries_(self, row: Link) -> SafeString | str:
        """What the sync did last."""
        rows = [entry_cells(entry) for entry in row.entries.order_by("-pk")[:ENTRIES_SHOWN]]
        return format_html_join("", "<p>{} {} {} {}</p>", rows) or EMPTY

    @admin.display(description="Conflicts")
    def conflicts_(self, row: Link) -> SafeString | str:
        """Where both sides had changed."""
        rows = [
            (link(one, one.rtx_field), one.get_winner_display(), instant(one.at))
            for one in row.conflicts.defer("values_sealed").order_by("-pk")[:ENTRIES_SHOWN]
        ]
        return format_html_join("", "<p>{}: {} stayed, {}</p>", rows) or EMPTY


def entry_cells(entry: SyncEntry) -> tuple[Any, ...]:
    """Return one entry of the sync log as cells."""
    names = ", ".join(entry.fields) if entry.fields else entry.error_code or entry.detail
    return (
        instant(entry.at),
        badge(entry.get_action_display(), ACTION_TONES[entry.action]),
        entry.get_direction_display(),
        names,
    )


@admin.register(SyncEntry)
class SyncEntryAdmin(ReadOnlyModelAdmin):
    """The sync log: names of fields, never values."""

    reach_path = "link__client__trading_accounts__group"
    list_display = ["at_", "action_", "direction", "customer", "names", "cause", "run_link", "error_code"]
    list_filter = [
        ("connection__provider", ChoicesDropdownFilter),
        ("action", ChoicesDropdownFilter),
        ("direction", ChoicesDropdownFilter),
        ("at", PeriodFilter),
    ]
    list_select_related = ["link__client", "link__account", "run", "connection"]
    search_fields = ["error_code"]
    search_help_text = "Number of the client or account, id in the CRM, or exact error code"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("at_", "action_", "direction"),
        ("customer", "cause", "run_link"),
        "names",
        ("error_code", "detail"),
    ]
    readonly_fields = ["at_", "action_", "customer", "names", "run_link"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SyncEntry]:
        """Read the customer with each entry."""
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer("link__base_sealed")

    def limit_to(
        self, rows: QuerySet[SyncEntry], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[SyncEntry]:
        """Keep the clients within reach."""
        return rows.filter(link__client__in=clients_of(request, groups))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by customer or by error."""
        condition = found_by(term, "link__")
        return Q(error_code=term) if condition is None else condition | Q(error_code=term)

    @admin.display(description="At (UTC)")
    def at_(self, row: SyncEntry) -> SafeString:
        """When."""
        return instant(row.at)

    @admin.display(description="What became of it")
    def action_(self, row: SyncEntry) -> SafeString:
        """What was done."""
        return badge(row.get_action_display(), ACTION_TONES[row.action])

    @admin.display(description="Customer")
    def customer(self, row: SyncEntry) -> SafeString | str:
        """A link to the customer's mapping."""
        return EMPTY if row.link is None else link(row.link, str(row.link.account or row.link.client))

    @admin.display(description="Fields")
    def names(self, row: SyncEntry) -> SafeString:
        """Names of what was written."""
        return format_html('<span class="rtx-break">{}</span>', ", ".join(row.fields or []) or EMPTY)

    @admin.display(description="Run")
    def run_link(self, row: SyncEntry) -> SafeString:
        """A link to the run."""
        return link(row.run)


@admin.register(Conflict)
class ConflictAdmin(OperatedModelAdmin):
    """Fields that had changed on both sides, and which side stayed."""

    reach_path = "link__client__trading_accounts__group"
    list_display = ["at_", "field_", "winner_", "rule", "customer", "rtx_changed", "crm_changed"]
    list_filter = [
        ("link__provider", ChoicesDropdownFilter),
        ("winner", ChoicesDropdownFilter),
        ("rule", ChoicesDropdownFilter),
        ("at", PeriodFilter),
    ]
    list_select_related = ["link__client", "link__account"]
    search_fields = ["rtx_field"]
    search_help_text = "Number of the client or account, or exact field"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("at_", "customer"),
        ("rtx_field", "crm_field"),
        ("winner_", "rule"),
        ("rtx_changed", "crm_changed"),
    ]
    readonly_fields = ["at_", "customer", "winner_", "rtx_changed", "crm_changed"]
    actions_detail = ["reveal"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conflict]:
        """Leave what is sealed in the database."""
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer("link__base_sealed")

    def limit_to(
        self, rows: QuerySet[Conflict], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[Conflict]:
        """Keep the clients within reach."""
        return rows.filter(link__client__in=clients_of(request, groups))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by customer or field."""
        condition = found_by(term, "link__")
        return Q(rtx_field=term) if condition is None else condition | Q(rtx_field=term)

    def has_reveal_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer it to staff who may see personal data."""
        return bool(request.user.has_perm(VIEW_PERSONAL_DATA))

    @action(description="Show both values", icon="visibility", permissions=["reveal"])
    def reveal(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason, log it, and show the values once: in the answer, nowhere else."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404("there is no such conflict")
        if not self.has_reveal_permission(request):
            raise PermissionDenied
        recent_login.require(request)
        is_confirmed = CONFIRMED in request.POST
        form = OperatorForm(
            request.POST if is_confirmed else None, row=row, initial={"request_key": uuid.uuid4()}
        )
        context = {
            **self.admin_site.each_context(request),
            "title": "Show both values",
            "opts": self.opts,
            "client": row.link.client,
            "rows": [row],
            "form": form,
            "warning": "What you see is logged with your name and the reason.",
            "action_name": "reveal",
            "step": "Show once",
            "confirmed_name": CONFIRMED,
            "variant": "primary",
            "back_url": reverse("admin:crm_conflict_change", args=[row.pk]),
        }
        if not (is_confirmed and form.is_valid()):
            return TemplateResponse(request, "admin/operator_action.html", context)
        with transaction.atomic():
            actor = Actor.of(request, reason=form.cleaned_data["reason"])
            staff_log.record(actor=actor, operation="crm.reveal_conflict", **staff_log.about(row, ""))
        values = merging.conflict_values(row, row.link.client)
        context["shown"] = [("RTX", values.get("rtx") or EMPTY), ("CRM", values.get("crm") or EMPTY)]
        answer = TemplateResponse(request, "admin/client_revealed.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    @admin.display(description="At (UTC)")
    def at_(self, row: Conflict) -> SafeString:
        """When it was noticed."""
        return instant(row.at)

    @admin.display(description="Field")
    def field_(self, row: Conflict) -> str:
        """The pair of fields."""
        return f"{row.rtx_field} – {row.crm_field}"

    @admin.display(description="Stayed")
    def winner_(self, row: Conflict) -> SafeString:
        """Which side stayed."""
        return badge(row.get_winner_display(), "info")

    @admin.display(description="Customer")
    def customer(self, row: Conflict) -> SafeString:
        """A link to the customer's mapping."""
        return link(row.link, str(row.link.account or row.link.client))

    @admin.display(description="Changed in RTX (UTC)")
    def rtx_changed(self, row: Conflict) -> SafeString:
        """When it had changed here."""
        return instant(row.rtx_changed_at)

    @admin.display(description="Changed in the CRM (UTC)")
    def crm_changed(self, row: Conflict) -> SafeString:
        """When it had changed there."""
        return instant(row.crm_changed_at)
