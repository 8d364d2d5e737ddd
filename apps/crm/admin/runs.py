"""Runs of the sync: their history, and one run with its figures as they grow."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.selectors.clients import clients_within
from apps.crm.admin.records import entry_cells
from apps.crm.models import SyncRun
from apps.crm.permissions import RUN
from apps.crm.selectors.status import run_view
from apps.crm.services import runs
from rtx.kernel.admin import OperatedModelAdmin, as_id, reachable_groups
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, badge, instant, link
from rtx.kernel.admin_filters import PeriodFilter
from rtx.kernel.recent_login import passive

TONES = {"queued": "warn", "running": "info", "done": "good", "canceled": "muted", "failed": "bad"}
ENTRIES_SHOWN = 25


@admin.register(SyncRun)
class SyncRunAdmin(OperatedModelAdmin):
    """Runs are started on the page of their connection and canceled here."""

    list_display = [
        "number",
        "state",
        "kind",
        "connection_link",
        "progress_",
        "created",
        "updated",
        "pulled",
        "failed",
        "begun",
        "lasted",
    ]
    list_filter = [
        ("connection__provider", ChoicesDropdownFilter),
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("created_at", PeriodFilter),
    ]
    list_select_related = ["connection"]
    search_fields = ["error_code"]
    search_help_text = "Number of the run, or exact error code"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("number", "state", "kind"),
        ("connection_link", "asked_by", "reason"),
        ("queued", "begun", "finished"),
        ("lasted", "calls", "conflicts"),
    ]
    readonly_fields = ["number", "state", "connection_link", "queued", "begun", "finished", "lasted"]
    actions_detail = ["cancel"]
    change_form_outer_before_template = "admin/crm/sync_run.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[SyncRun]:
        """Read the connection in the same statement."""
        return super().get_queryset(request).select_related("connection")

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by number or by an exact error code."""
        number = as_id(term)
        return Q(error_code=term) if number is None else Q(pk=number)

    def get_urls(self) -> list[URLPattern]:
        """Add the address that tells how far a run is."""
        own = path(
            "<int:run_id>/progress/", self.admin_site.admin_view(self.progress), name="crm_syncrun_progress"
        )
        return [own, *super().get_urls()]

    @passive
    def progress(self, request: HttpRequest, run_id: int) -> JsonResponse:
        """Tell how far a run is, for the page that watches it."""
        run = self.get_object(request, str(run_id))
        if run is None or not self.has_view_permission(request, run):
            raise Http404("there is no such run")
        return JsonResponse(run_view(run), headers={"Cache-Control": "no-store"})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show how far the run is, and what it did last with clients within reach."""
        run = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if run is not None:
            entries = run.entries.select_related("link__client", "link__account").order_by("-pk")
            reach = reachable_groups(request.user)
            if reach is not None:
                within = clients_within(reach, user_id=int(request.user.pk or 0)).values("pk")
                entries = entries.filter(link__client__in=within)
            shown = {
                "run": run,
                "is_live": run.status in SyncRun.LIVE,
                "entries": [
                    (EMPTY if one.link is None else link(one.link), entry_cells(one))
                    for one in entries.defer("link__base_sealed")[:ENTRIES_SHOWN]
                ],
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer to cancel what is under way."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        run = self.get_object(request, str(object_id)) if offered else None
        return offered if run is not None and run.status in SyncRun.LIVE else []

    @operator_action(
        "Cancel run",
        permission=RUN,
        icon="stop",
        warning="It stops before its next batch. What was sent and taken over stays.",
        runs_commands=True,
    )
    def cancel(self, run: SyncRun, operation: Operation) -> str:
        """Ask a run to stop."""
        runs.cancel(run_id=run.pk, actor=operation.actor)
        return "stops before its next batch"

    @admin.display(description="Run")
    def number(self, run: SyncRun) -> str:
        """Its number."""
        return f"#{run.pk}"

    @admin.display(description="State")
    def state(self, run: SyncRun) -> SafeString:
        """How far it is."""
        if run.is_cancel_asked and run.status in SyncRun.LIVE:
            return badge("stopping", "warn")
        return badge(run.get_status_display(), TONES[run.status])

    @admin.display(description="Connection")
    def connection_link(self, run: SyncRun) -> SafeString:
        """A link to the connection."""
        return link(run.connection)

    @admin.display(description="Done")
    def progress_(self, run: SyncRun) -> str:
        """How many customers of how many."""
        return f"{run.done} / {run.total}"

    @admin.display(description="Asked (UTC)")
    def queued(self, run: SyncRun) -> SafeString:
        """When it was asked for."""
        return instant(run.created_at)

    @admin.display(description="Begun (UTC)")
    def begun(self, run: SyncRun) -> SafeString:
        """When a worker took it up."""
        return instant(run.started_at)

    @admin.display(description="Ended (UTC)")
    def finished(self, run: SyncRun) -> SafeString:
        """When it ended."""
        return instant(run.finished_at)

    @admin.display(description="Lasted")
    def lasted(self, run: SyncRun) -> str:
        """How long it took."""
        if run.started_at is None or run.finished_at is None:
            return EMPTY
        return f"{(run.finished_at - run.started_at).total_seconds():.1f} s"
