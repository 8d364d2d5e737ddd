"""
Rows as a file: what a list shows (its filters and search), as CSV or XLSX, with personal data only for those
who may see it. Asks for a reason and logs who took what, and never what stood in it.
"""

import uuid
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action

from apps.accounts.adapters import sheets
from apps.accounts.forms.clients import ExportForm
from apps.accounts.models import Client
from rtx.kernel import clock, recent_login, staff_log
from rtx.kernel.actor import Actor
from rtx.kernel.admin import RtxModelAdmin
from rtx.kernel.admin_actions import CONFIRMED
from rtx.kernel.admin_display import grouped
from rtx.kernel.errors import Invalid

ROWS_MAX = 100_000
CHUNK = 2000
Column = tuple[str, Callable[[Any], object]]


def personal_columns(client_of: Callable[[Any], Client]) -> list[Column]:
    """Return the columns of personal data, read through what leads from a row to its client."""

    def reader(name: str) -> Callable[[Any], object]:
        return lambda row: getattr(client_of(row), name)

    names = ("first_name", "last_name", "email", "phone", "birth_date", "address", "document_number")
    return [(name, reader(name)) for name in names]


class TooManyRows(Invalid):
    """The list is longer than a file may be."""

    code = "too_many_rows"
    title = "Too many rows"


class ExportedAdmin(RtxModelAdmin):
    """A list with the action Export. Columns are texts of the row, never its formulas."""

    export_columns: ClassVar[list[Column]] = []
    export_personal: ClassVar[list[Column]] = []
    actions_list: ClassVar[list[Any]] = ["export"]

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Offer it to staff with the right."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.export_{self.opts.model_name}"))

    @action(description="Export", icon="download", url_path="export", permissions=["export"])
    def export(self, request: HttpRequest) -> HttpResponse:
        """Ask for form and reason; answer with the file."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        is_confirmed = CONFIRMED in request.POST
        form = ExportForm(request.POST if is_confirmed else None, initial={"request_key": uuid.uuid4()})
        form.offer_to(request.user)
        filters = request.POST.get("filters", "") if is_confirmed else self._filters(request)
        rows = self._rows(request, filters)
        if is_confirmed and form.is_valid() and rows is not None:
            if form.cleaned_data.get("personal"):
                recent_login.require(request)
            try:
                return self._file(request, form, filters, rows)
            except TooManyRows as error:
                form.add_error(None, error.detail)
        back = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        count = None if rows is None else rows[: ROWS_MAX + 1].count()
        context = {
            **self.admin_site.each_context(request),
            "title": f"Export {self.opts.verbose_name_plural}",
            "opts": self.opts,
            "form": form,
            "filters": filters,
            "rows": None if count is None else grouped(str(min(count, ROWS_MAX))),
            "fits": count is None or count <= ROWS_MAX,
            "confirmed_name": CONFIRMED,
            "back_url": f"{back}?{filters}",
        }
        return TemplateResponse(request, "admin/export.html", context)

    def _filters(self, request: HttpRequest) -> str:
        """Return the query of the list from which the person comes; the mark of an error is no filter."""
        came_from = urlsplit(request.headers.get("Referer", ""))
        mine = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        asked = came_from.query if came_from.path == mine else ""
        return "" if set(QueryDict(asked)) <= {ERROR_FLAG} else asked

    def _file(self, request: HttpRequest, form: ExportForm, filters: str, rows: Any) -> HttpResponse:
        with_personal = bool(form.cleaned_data.get("personal"))
        kind: str = form.cleaned_data["format"]
        count: int = rows[: ROWS_MAX + 1].count()
        if count > ROWS_MAX:
            raise TooManyRows(
                f"At most {grouped(str(ROWS_MAX))} rows fit into a file: narrow the list first."
            )
        columns = [*self.export_columns, *(self.export_personal if with_personal else [])]
        lines = ([read(row) for _, read in columns] for row in self._read(rows))
        with transaction.atomic():
            body = sheets.written([name for name, _ in columns], lines, form=kind)
            staff_log.record(
                actor=Actor.of(request, reason=form.cleaned_data["reason"]),
                operation=f"{self.opts.app_label}.export_{self.opts.model_name}",
                target_type=self.opts.label_lower,
                target_label=str(self.opts.verbose_name_plural),
                after={
                    "rows": count,
                    "format": kind,
                    "personal_data": with_personal,
                    "filtered_by": sorted(QueryDict(filters)),
                },
            )
        answer = HttpResponse(body, content_type=sheets.MEDIA_TYPES[kind])
        name = f"{self.opts.model_name}s-{clock.now():%Y-%m-%d}.{kind}"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        answer["X-Content-Type-Options"] = "nosniff"
        answer["Cache-Control"] = "no-store"
        return answer

    def _rows(self, request: HttpRequest, filters: str) -> Any:
        """Return the rows of the list, or None where its filters cannot be read, which a message tells."""
        given, request.GET = request.GET, QueryDict(filters)
        try:
            changelist = self.get_changelist_instance(request)
            return None if changelist.unread else changelist.get_queryset(request)
        finally:
            request.GET = given

    def _read(self, rows: Any) -> Iterator[Any]:
        return iter(rows.iterator(chunk_size=CHUNK))
