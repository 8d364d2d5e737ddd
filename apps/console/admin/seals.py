"""
Pages of the seals: the signed checkpoints, the checks that were made of them, and the one page that says
whether the logs are what was sealed and has them verified anew.
"""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_http_methods
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter

from apps.audit.models import Checkpoint, IntegrityCheck
from apps.audit.selectors import integrity
from apps.audit.services import exporting
from apps.audit.tasks import start_check
from apps.console.admin.staff_log import told_values
from rtx.kernel.actor import Actor
from rtx.kernel.admin import ReadOnlyModelAdmin, as_id
from rtx.kernel.admin_display import badge, instant
from rtx.kernel.admin_filters import PeriodFilter
from rtx.kernel.recent_login import passive

VIEW, VERIFY = "audit.view_integritycheck", "audit.verify_checkpoint"
SHOWN = 20
CHECK_TONES = {"intact": "good", "tampered": "bad", "failed": "warn", "running": "info"}


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyModelAdmin):
    """The signed states of the sealed logs."""

    list_display = ["__str__", "signed", "count", "tree_size", "root_", "key_id"]
    list_filter = [("log", FieldTextFilter), ("signed_at", PeriodFilter)]
    search_fields = ["number"]
    search_help_text = "Number"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("log", "number", "form"),
        ("tree_size", "count"),
        ("signed", "key_id"),
        "root_",
        "previous_",
        "signature_",
        "text",
    ]
    readonly_fields = ["signed", "root_", "previous_", "signature_", "text"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the hashes of the entries where they are: they are large."""
        return super().get_queryset(request).defer("records")

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by number."""
        number = as_id(term)
        return Q(pk__in=[]) if number is None else Q(number=number)

    @admin.display(description="Signed (UTC)")
    def signed(self, row: Checkpoint) -> SafeString:
        """When it was signed."""
        return instant(row.signed_at)

    @admin.display(description="Root")
    def root_(self, row: Checkpoint) -> SafeString:
        """The root of the tree."""
        return _hex(row.root)

    @admin.display(description="Previous checkpoint")
    def previous_(self, row: Checkpoint) -> SafeString:
        """The hash of the previous one's text."""
        return _hex(row.previous)

    @admin.display(description="Signature (Ed25519)")
    def signature_(self, row: Checkpoint) -> SafeString:
        """The signature."""
        return _hex(row.signature)

    @admin.display(description="What is signed")
    def text(self, row: Checkpoint) -> SafeString:
        """The signed bytes."""
        return format_html('<pre class="rtx-json">{}</pre>', row.body.text().decode())


def _hex(value: Any) -> SafeString:
    return format_html('<code class="rtx-break">{}</code>', bytes(value).hex())


@admin.register(IntegrityCheck)
class IntegrityCheckAdmin(ReadOnlyModelAdmin):
    """Every verification that was made."""

    list_display = ["id", "started", "finished", "status_", "done", "asked_by"]
    list_filter = [("status", ChoicesDropdownFilter), ("started_at", PeriodFilter)]
    search_fields = ["id"]
    search_help_text = "Number"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("started", "finished", "status_"),
        ("done", "total", "asked_by"),
        "detail",
        "logs_",
        "findings_",
    ]
    readonly_fields = ["started", "finished", "status_", "logs_", "findings_"]

    @admin.display(description="Started (UTC)")
    def started(self, row: IntegrityCheck) -> SafeString:
        """When it began."""
        return instant(row.started_at)

    @admin.display(description="Finished (UTC)")
    def finished(self, row: IntegrityCheck) -> SafeString:
        """When it ended."""
        return instant(row.finished_at)

    @admin.display(description="Result")
    def status_(self, row: IntegrityCheck) -> SafeString:
        """What came of it."""
        return badge(row.get_status_display(), CHECK_TONES.get(row.status, "muted"))

    @admin.display(description="Logs")
    def logs_(self, row: IntegrityCheck) -> SafeString:
        """What each log came to."""
        return told_values({}, row.logs, is_one=True)

    @admin.display(description="Found")
    def findings_(self, row: IntegrityCheck) -> SafeString | str:
        """The first tampered entry of each log."""
        return told_values({}, row.findings, is_one=True) if row.findings else "Nothing: all is as sealed."


@require_http_methods(["GET", "POST"])
def integrity_page(request: HttpRequest) -> HttpResponse:
    """Show how far the logs are sealed and what the last check found; with POST, start one."""
    user: Any = request.user
    if not user.has_perm(VIEW):
        raise PermissionDenied
    if request.method == "POST":
        if not user.has_perm(VERIFY):
            raise PermissionDenied
        _, is_new = start_check(actor=Actor.of(request))
        messages.info(request, "The logs are being verified." if is_new else "A check is running already.")
        return HttpResponseRedirect(reverse("admin:audit_integrity"))
    shown = {
        **admin.site.each_context(request),
        "title": "Integrity of the logs",
        "state": integrity.state(),
        "checks": IntegrityCheck.objects.order_by("-id")[:SHOWN],
        "may_verify": user.has_perm(VERIFY),
        "outside": bool(exporting.folder()),
    }
    answer = TemplateResponse(request, "admin/audit/integrity.html", shown)
    answer["Cache-Control"] = "no-store"
    return answer


@passive
@require_GET
def integrity_live(request: HttpRequest) -> HttpResponse:
    """Answer with the present state; polled by the page."""
    user: Any = request.user
    if not user.has_perm(VIEW):
        raise PermissionDenied
    answer = JsonResponse(integrity.state())
    answer["Cache-Control"] = "no-store"
    return answer


def urls() -> list[URLPattern]:
    """Return the routes of the page below the admin's own address."""
    view = admin.site.admin_view
    return [
        path("audit/integrity/", view(integrity_page), name="audit_integrity"),
        path("audit/integrity/live/", view(integrity_live), name="audit_integrity_live"),
    ]
