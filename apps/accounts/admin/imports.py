"""
The page of imports: a file is checked first, shown with what is wrong in it, started, watched, and its
failing rows taken back as a file. Shows no personal data: rows by number, group and leverage.
"""

import uuid
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.accounts import tasks
from apps.accounts.adapters import sheets
from apps.accounts.domain.imports import COLUMNS
from apps.accounts.forms.clients import ImportForm
from apps.accounts.models import ImportRun
from apps.accounts.permissions import RUN_IMPORT
from apps.accounts.services import imports
from rtx.kernel import recent_login, staff_log
from rtx.kernel.actor import Actor
from rtx.kernel.admin import OperatedModelAdmin, reachable_groups
from rtx.kernel.admin_actions import CONFIRMED, Operation, operator_action
from rtx.kernel.admin_display import EMPTY, badge, instant
from rtx.kernel.errors import RtxError
from rtx.kernel.recent_login import passive

TONES = {"checked": "info", "queued": "warn", "running": "warn", "done": "good", "canceled": "muted"}
FAILURES_SHOWN = 50
ROWS_SHOWN = 10


@admin.register(ImportRun)
class ImportRunAdmin(OperatedModelAdmin):
    """Imports are started through actions; those of others are for staff with unlimited reach."""

    list_display = ["id", "created", "by", "state", "rows", "opened", "failed", "finished"]
    list_filter = [("status", ChoicesDropdownFilter)]
    list_select_related = ["started_by"]
    search_fields = ["pk"]
    search_help_text = "Number of the import"
    ordering = ["-id"]
    sortable_by = ["id"]
    fields = [("created", "by", "state"), ("rows", "opened", "failed"), ("finished", "reason")]
    readonly_fields = ["created", "by", "state", "finished"]
    actions_list = ["new_import"]
    actions_detail = ["start", "give_up", "errors"]
    change_form_outer_before_template = "admin/import_run.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportRun]:
        """Show the person's own imports; all of them with unlimited reach. Files stay in the database."""
        rows = super().get_queryset(request).defer("file_sealed")
        return rows if reachable_groups(request.user) is None else rows.filter(started_by=request.user.pk)

    def get_urls(self) -> list[URLPattern]:
        """Add the address that tells how far a run is."""
        own = path(
            "<int:run_id>/progress/",
            self.admin_site.admin_view(self.progress),
            name="accounts_importrun_progress",
        )
        return [own, *super().get_urls()]

    @passive
    def progress(self, request: HttpRequest, run_id: int) -> JsonResponse:
        """Tell how far a run is, for the page that watches it."""
        run = self.get_object(request, str(run_id))
        if run is None or not self.has_view_permission(request, run):
            raise Http404("there is no such import")
        told = {name: getattr(run, name) for name in ("status", "rows", "next_row", "opened", "failed")}
        return JsonResponse(told, headers={"Cache-Control": "no-store"})

    def has_run_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer it to staff who may import."""
        return bool(request.user.has_perm(RUN_IMPORT))

    @action(description="New import", icon="upload", url_path="new", permissions=["run"])
    def new_import(self, request: HttpRequest) -> HttpResponse:
        """Take a file, check it, and show what it would open."""
        if not self.has_run_permission(request):
            raise PermissionDenied
        is_confirmed = CONFIRMED in request.POST
        data, files = (request.POST, request.FILES) if is_confirmed else (None, None)
        form = ImportForm(data, files, initial={"request_key": uuid.uuid4()})
        if is_confirmed and form.is_valid():
            actor = Actor.of(request, reason=form.cleaned_data["reason"])
            content = form.cleaned_data["file"].read(sheets.FILE_BYTES_MAX + 1)
            try:
                with transaction.atomic():
                    run, checked = imports.prepare(content, actor=actor, reach=reachable_groups(request.user))
                    staff_log.record(
                        actor=actor,
                        operation="accounts.check_import",
                        target=run,
                        after={"rows": len(checked.rows), "failing": len(checked.failures)},
                    )
                return HttpResponseRedirect(reverse("admin:accounts_importrun_change", args=[run.pk]))
            except RtxError as error:
                form.add_error("file", error.detail)
        context = {
            **self.admin_site.each_context(request),
            "title": "Import clients and accounts",
            "opts": self.opts,
            "form": form,
            "columns": COLUMNS,
            "confirmed_name": CONFIRMED,
            "back_url": reverse("admin:accounts_importrun_changelist"),
        }
        return TemplateResponse(request, "admin/import_new.html", context)

    @operator_action(
        "Start import",
        permission=RUN_IMPORT,
        icon="play_arrow",
        warning="Rows that fail are left out and can be downloaded; the others are opened for good.",
        variant=ActionVariant.PRIMARY,
    )
    def start(self, run: ImportRun, operation: Operation) -> str:
        """Let the import run in the background."""
        imports.start(run_id=run.pk)
        transaction.on_commit(lambda: tasks.carry_out_imports.delay())
        return f"{run.rows} rows are taken one after another"

    @operator_action("Give up", permission=RUN_IMPORT, icon="close")
    def give_up(self, run: ImportRun, operation: Operation) -> str:
        """Drop the file unread."""
        imports.cancel(run_id=run.pk)
        return "nothing was opened, the file is gone"

    @action(description="Failing rows", icon="download", permissions=["run"])
    def errors(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with the rows that failed, each with its reason; logged, because they name people."""
        run = self.get_object(request, object_id)
        if run is None:
            raise Http404("there is no such import")
        if not self.has_run_permission(request):
            raise PermissionDenied
        recent_login.require(request)
        page = HttpResponseRedirect(reverse("admin:accounts_importrun_change", args=[run.pk]))
        if not run.failures.exists():
            messages.info(request, "No failing rows are kept: none failed, or a week has passed.")
            return page
        with transaction.atomic():
            body = imports.error_file(run)
            staff_log.record(actor=Actor.of(request), operation="accounts.download_import_errors", target=run)
        answer = HttpResponse(body, content_type=sheets.CSV_TYPE)
        answer["Content-Disposition"] = f'attachment; filename="import-{run.pk}-failing.csv"'
        answer["X-Content-Type-Options"] = "nosniff"
        answer["Cache-Control"] = "no-store"
        return answer

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show what was found in the file, and how far the run is."""
        run = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if run is not None:
            shown = {
                "run": run,
                "failures": list(run.failures.order_by("row")[:FAILURES_SHOWN]),
                "failing": run.failures.count(),
                "preview": _preview(run),
                "is_moving": run.status in (ImportRun.Status.QUEUED, ImportRun.Status.RUNNING),
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    @admin.display(description="Created (UTC)")
    def created(self, run: ImportRun) -> SafeString:
        """When the file came."""
        return instant(run.created_at)

    @admin.display(description="By")
    def by(self, run: ImportRun) -> str:
        """Who brought it."""
        return str(run.started_by) if run.started_by else "command"

    @admin.display(description="State")
    def state(self, run: ImportRun) -> SafeString:
        """How far it is."""
        return badge(run.get_status_display(), TONES[run.status])

    @admin.display(description="Finished (UTC)")
    def finished(self, run: ImportRun) -> SafeString | str:
        """When it ended."""
        return instant(run.finished_at) if run.finished_at else EMPTY


def _preview(run: ImportRun) -> list[list[Any]]:
    """Return the first rows as far as they name nobody, each with what is wrong with it."""
    if run.status != ImportRun.Status.CHECKED:
        return []
    rows = imports.read(run.unseal())[:ROWS_SHOWN]
    wrong = dict(run.failures.filter(row__lte=ROWS_SHOWN + 1).values_list("row", "reason"))
    return [
        [
            row.number,
            f"client {row.text('client_number')}" if row.text("client_number") else "new client",
            row.text("group"),
            row.text("leverage") or "the group's",
            wrong.get(row.number, "ready"),
        ]
        for row in rows
    ]
