"""
The mapping of a connection on one page, with the fields that the CRM has now; and its preview on a real
client, which shows what a sync would do and does nothing. Personal data is masked for who may not see it.
"""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps.accounts.models import Client
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from apps.accounts.selectors.clients import clients_within
from apps.crm.adapters.provider import ProviderError
from apps.crm.domain.fields import CATALOG
from apps.crm.domain.mapping import Pair
from apps.crm.domain.transforms import TRANSFORMS
from apps.crm.forms import MappingRows, PreviewForm, written_options
from apps.crm.models import Connection, FieldMapping
from apps.crm.permissions import CHANGE_MAPPING, VIEW_MAPPING
from apps.crm.services import describing, field_mappings, previewing
from rtx.kernel import recent_login, staff_log
from rtx.kernel.actor import Actor
from rtx.kernel.admin import RtxModelAdmin, reachable_groups
from rtx.kernel.admin_display import EMPTY, MASK, badge
from rtx.kernel.errors import Invalid, RtxError

KINDS = FieldMapping.Kind
UNSAVED = "form-TOTAL_FORMS"
DOINGS = {
    "keep": ("stays", "muted"),
    "push": ("is sent", "good"),
    "pull": ("is taken over", "info"),
    "unfit": ("does not fit", "bad"),
}


class MappingPages:
    """The views; the admin page of connections says which there are."""

    def __init__(self, page: RtxModelAdmin) -> None:
        self._page = page

    def urls(self) -> list[URLPattern]:
        """Return the routes, below those of connections."""
        view = self._page.admin_site.admin_view
        return [
            path("<int:connection_id>/fields/", view(self.editor), name="crm_connection_fields"),
            path("<int:connection_id>/preview/", view(self.preview), name="crm_connection_preview"),
        ]

    def _found(self, request: HttpRequest, connection_id: int, right: str) -> Connection:
        if not request.user.has_perm(right):
            raise PermissionDenied
        row: Connection | None = self._page.get_object(request, str(connection_id))
        if row is None:
            raise Http404("there is no such connection")
        return row

    # -- editor

    def editor(self, request: HttpRequest, connection_id: int) -> HttpResponse:
        """Show the pairs of fields; take them as a whole."""
        row = self._found(request, connection_id, VIEW_MAPPING)
        kind = KINDS.ACCOUNT if request.GET.get("kind") == KINDS.ACCOUNT else KINDS.CLIENT
        may_change = request.user.has_perm(CHANGE_MAPPING)
        if request.method == "POST" and not may_change:
            raise PermissionDenied
        known = describing.described(row, kind, is_fresh="refresh" in request.GET)
        rows, refusals = self._rows(request, row, kind, known)
        if rows is None:
            messages.success(
                request, "The mapping is saved. What differs by it is sent with the next full run."
            )
            return HttpResponseRedirect(f"{request.path}?kind={kind}")
        context = {
            **self._page.admin_site.each_context(request),
            "title": f"Field mapping of {row}",
            "opts": self._page.opts,
            "connection": row,
            "kind": kind,
            "kinds": [(value, label, describing.object_of(row, value)) for value, label in KINDS.choices],
            "rows": rows,
            "refusals": refusals,
            "known": known,
            "facts": _facts(kind, known),
            "may_change": may_change,
            "back_url": reverse("admin:crm_connection_change", args=[row.pk]),
        }
        return TemplateResponse(request, "admin/crm/fields.html", context)

    @staticmethod
    def _rows(
        request: HttpRequest, row: Connection, kind: str, known: describing.Described
    ) -> tuple[Any, list[str]]:
        """Return the rows to be shown with what is wrong in them; None: they were saved."""
        if request.method != "POST":
            initial = [
                {
                    "rtx_field": one.rtx_field,
                    "crm_field": one.crm_field,
                    "direction": one.direction,
                    "transform": one.transform,
                    "options": written_options(one.options),
                    "is_active": one.is_active,
                }
                for one in row.mappings.filter(kind=kind).order_by("pk")
            ]
            return MappingRows(initial=initial, form_kwargs={"kind": kind}), []
        rows = MappingRows(request.POST, form_kwargs={"kind": kind})
        if not rows.is_valid():
            return rows, [str(error) for error in rows.non_form_errors()]
        try:
            field_mappings.replace(
                connection_id=row.pk,
                kind=kind,
                pairs=pairs_in(rows),
                actor=Actor.of(request, reason=request.POST.get("reason", "")[:200]),
                targets=known.targets,
            )
        except Invalid as error:
            told = [
                f"{name}: {', '.join(map(str, what)) if isinstance(what, list | tuple) else what}"
                for name, what in (error.errors or {}).items()
            ]
            return rows, told or [error.detail]
        except RtxError as error:
            return rows, [error.detail]
        return None, []

    # -- preview

    def preview(self, request: HttpRequest, connection_id: int) -> HttpResponse:
        """Show what a sync would do with one client, by the mapping kept or by rows that nobody saved yet."""
        row = self._found(request, connection_id, CHANGE_MAPPING)
        shows_personal = request.user.has_perm(VIEW_PERSONAL_DATA)
        form = PreviewForm(request.POST or None)
        sent = UNSAVED in request.POST
        unsaved = MappingRows(request.POST, form_kwargs={"kind": KINDS.CLIENT}) if sent else None
        context: dict[str, Any] = {
            **self._page.admin_site.each_context(request),
            "title": f"Preview: {row}",
            "opts": self._page.opts,
            "connection": row,
            "form": form,
            "shows_personal": shows_personal,
            "unsaved": unsaved,
            "back_url": reverse("admin:crm_connection_fields", args=[row.pk]),
        }
        if request.method == "POST" and form.is_valid():
            if shows_personal:
                recent_login.require(request)
            reach = reachable_groups(request.user)
            within = clients_within(reach, user_id=int(request.user.pk or 0))
            client = within.filter(number=form.cleaned_data["number"]).first()
            if client is None:
                form.add_error("number", "There is no such client within your reach.")
            elif unsaved is not None and not unsaved.is_valid():
                context["refusal"] = "The rows cannot be read: correct what the mapping's page says of them."
            else:
                pairs = None if unsaved is None else pairs_in(unsaved)
                self._log_look(request, row, client, form.cleaned_data["reason"], shows_personal)
                context |= _compared(row, client, pairs, shows_personal=shows_personal)
        answer = TemplateResponse(request, "admin/crm/preview.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    @staticmethod
    def _log_look(
        request: HttpRequest, row: Connection, client: Client, reason: str, shows_personal: bool
    ) -> None:
        with transaction.atomic():
            staff_log.record(
                actor=Actor.of(request, reason=reason),
                operation="crm.preview_client",
                after={"connection": row.pk, "shows_personal_data": shows_personal},
                **staff_log.about(client, ""),
            )


def _compared(
    row: Connection, client: Client, pairs: list[Pair] | None, *, shows_personal: bool
) -> dict[str, Any]:
    """Return what the page shows of a comparison, or why there is none."""
    try:
        found = previewing.preview(row, client_id=client.pk, pairs=pairs)
    except ProviderError as error:
        return {"refusal": f"The CRM cannot be asked now ({error.code}). {error}"}
    except RtxError as error:
        return {"refusal": error.detail}
    return {"client": client, "found": found, "lines": lines_of(found, shows_personal=shows_personal)}


def pairs_in(rows: Any) -> list[Pair]:
    """Return the pairs of valid rows, without those that were removed."""
    return [form.pair() for form in rows.forms if not form.cleaned_data.get("DELETE")]


def lines_of(found: previewing.Preview, *, shows_personal: bool) -> list[dict[str, Any]]:
    """Return the lines of a preview as cells; values that identify a person only for who may see them."""

    def shown(value: str | None, line: previewing.Line) -> str:
        if value in (None, ""):
            return EMPTY
        return MASK if line.is_personal and not shows_personal else str(value)

    return [
        {
            "line": line,
            "ours": shown(line.ours, line),
            "theirs": shown(line.theirs, line),
            "what": badge(*DOINGS[line.action]),
        }
        for line in found.lines
    ]


def _facts(kind: str, known: describing.Described) -> dict[str, Any]:
    """Return what the page's script tells of fields and transformations."""
    return {
        "rtx": {
            name: {"type": one.type, "help": one.help, "choices": list(one.choices), "pull": one.is_pullable}
            for name, one in CATALOG[kind].items()
        },
        "crm": {
            one.name: {
                "label": one.label,
                "type": one.type,
                "read_only": one.is_read_only,
                "required": one.is_required,
                "choices": list(one.choices)[:20],
            }
            for one in known.fields
        },
        "transforms": {
            name: [{"name": option.name, "label": option.label} for option in one.options]
            for name, one in TRANSFORMS.items()
        },
    }
