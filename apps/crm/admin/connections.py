"""
The page of a connection: settings, how it stands (live), giving access, testing, syncing. Secrets go in and
are never shown; whatever calls a provider is a service.
"""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.crm.admin import authorization
from apps.crm.admin.mapping_pages import MappingPages
from apps.crm.forms import SECRETS, ConnectionForm, SyncForm
from apps.crm.models import Connection, SyncRun
from apps.crm.permissions import (
    CHANGE_CONNECTION,
    CONNECT,
    DELETE_CONNECTION,
    RUN,
    VIEW_MAPPING,
)
from apps.crm.selectors import status
from apps.crm.services import connections, runs
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.admin import ConfiguredModelAdmin
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, badge, instant
from rtx.kernel.errors import RtxError
from rtx.kernel.recent_login import passive

TONES = {"draft": "muted", "active": "good", "paused": "warn", "revoked": "bad", "removed": "muted"}
RUNS_SHOWN = 5
EDITED = (
    ("provider", "name"),
    ("client_id", "region"),
    ("client_secret", "webhook_secret"),
)
FINDING_TONES = {"ok": "good", "warning": "warn", "failed": "bad", "skipped": "muted"}


@admin.register(Connection)
class ConnectionAdmin(ConfiguredModelAdmin):
    """Connections are set up here, connected at the provider's page, and removed by an action."""

    form = ConnectionForm
    is_deletable = False
    needs_recent_login = True
    unlogged_fields = frozenset(SECRETS)
    list_display = ["name", "provider", "state", "in_step", "waiting", "last_ok", "pulled", "problem"]
    list_filter = [("status", ChoicesDropdownFilter), ("provider", ChoicesDropdownFilter)]
    search_fields = ["name"]
    ordering = ["provider", "-id"]
    sortable_by: list[str] = []
    fieldsets = [
        (None, {"fields": EDITED}),
        (
            "What is kept in step",
            {"fields": [("customer_object", "account_object"), ("creates_clients", "erases_there")]},
        ),
        ("Pace", {"fields": [("calls_max", "window_s"), ("pull_every_s", "keep_days")]}),
    ]
    change_form_outer_before_template = "admin/crm/connection.html"
    actions_detail = [
        "connect",
        "test",
        "sync",
        {
            "title": "Connection",
            "icon": "hub",
            "items": ["mapping", "pause", "resume", "disconnect", "remove"],
        },
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        """Show what is there; removed ones have logs only."""
        rows: QuerySet[Connection] = super().get_queryset(request)
        return rows.exclude(status=Connection.Status.REMOVED)

    def get_urls(self) -> list[URLPattern]:
        """Add the mapping's pages, the page that providers return to, and the address of live figures."""
        pages = MappingPages(self)
        view = self.admin_site.admin_view
        return [
            path("callback/", view(authorization.callback), name="crm_oauth_callback"),
            path("<int:connection_id>/live/", view(self.live), name="crm_connection_live"),
            *pages.urls(),
            *super().get_urls(),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Connection | None = None) -> Any:
        """Leave the provider of a connection as it is."""
        return ("provider",) if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:
        """Let the service keep it: secrets are sealed there."""
        if not change:
            made = connections.create(values=form.cleaned_data, actor=Actor.of(request))
            obj.pk = made.pk
        else:
            wanted = {name: form.cleaned_data[name] for name in form.changed_data}
            connections.change(connection_id=obj.pk, values=wanted, actor=Actor.of(request))
        obj.refresh_from_db()

    def log_addition(self, request: HttpRequest, obj: Connection, message: Any) -> None:
        """Nothing: the service has logged it."""

    def log_change(self, request: HttpRequest, obj: Connection, message: Any) -> None:
        """Nothing: the service has logged it."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show how the connection stands above its settings."""
        row = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if row is not None:
            told = status.status_view(row, now=clock.now())
            shown = {
                "connection": row,
                "told": told,
                "live": {
                    "url": reverse("admin:crm_connection_live", args=[row.pk]),
                    "run_url": reverse("admin:crm_syncrun_change", args=[0]),
                },
                "steps": steps_of(row, told),
                "latest": SyncRun.objects.filter(connection=row)[:RUNS_SHOWN],
                "callback": authorization.return_address(request),
                "hook": authorization.hook_address(request, row),
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    @passive
    def live(self, request: HttpRequest, connection_id: int) -> JsonResponse:
        """Answer with the present figures, for the page that watches them."""
        row = self.get_object(request, str(connection_id))
        if row is None or not self.has_view_permission(request, row):
            raise Http404("there is no such connection")
        told = status.status_view(row, now=clock.now())
        return JsonResponse(told, headers={"Cache-Control": "no-store"})

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the state of the connection allows."""
        row = self.get_object(request, str(object_id))
        if row is None:
            return []
        wrong = {
            Connection.Status.DRAFT: {"sync", "pause", "resume", "disconnect"},
            Connection.Status.ACTIVE: {"connect", "resume"},
            Connection.Status.PAUSED: {"connect", "sync", "pause"},
            Connection.Status.REVOKED: {"sync", "pause", "resume"},
        }.get(Connection.Status(row.status), set())
        if row.fault_code:
            wrong = wrong - {"connect"}  # more rights are given by agreeing anew
        return [
            kept for one in super().get_actions_detail(request, object_id) if (kept := _without(one, wrong))
        ]

    # -- actions

    @operator_action(
        "Pause",
        permission=CHANGE_CONNECTION,
        icon="pause",
        warning="Nothing is called until it goes on; what changes meanwhile is kept and sent then.",
        runs_commands=True,
    )
    def pause(self, row: Connection, operation: Operation) -> str:
        """Stop all calls."""
        connections.pause(connection_id=row.pk, actor=operation.actor)
        return "is paused"

    @operator_action(
        "Go on",
        permission=CHANGE_CONNECTION,
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        runs_commands=True,
    )
    def resume(self, row: Connection, operation: Operation) -> str:
        """Go on after a pause."""
        connections.resume(connection_id=row.pk, actor=operation.actor)
        return "goes on"

    @operator_action(
        "Disconnect",
        permission=CONNECT,
        icon="link_off",
        warning="The access is given back to the provider. Settings, mapping and the customers' ids stay.",
        runs_commands=True,
        needs_recent_login=True,
    )
    def disconnect(self, row: Connection, operation: Operation) -> str:
        """Give the access back."""
        connections.disconnect(connection_id=row.pk, actor=operation.actor)
        return "is disconnected"

    @operator_action(
        "Remove",
        permission=DELETE_CONNECTION,
        icon="delete",
        warning=(
            "Access, secrets, mapping and the customers' ids are deleted. Records there and the logs stay."
        ),
        runs_commands=True,
        needs_recent_login=True,
    )
    def remove(self, row: Connection, operation: Operation) -> str:
        """Remove the connection for good."""
        connections.remove(connection_id=row.pk, actor=operation.actor)
        return "is removed"

    @operator_action(
        "Sync now",
        permission=RUN,
        icon="sync",
        form=SyncForm,
        variant=ActionVariant.PRIMARY,
        runs_commands=True,
    )
    def sync(self, row: Connection, operation: Operation) -> str:
        """Queue a run; it is taken within a second."""
        kind = SyncRun.Kind(operation.values["kind"])
        run = runs.start(connection_id=row.pk, kind=kind, actor=operation.actor)
        return f"run {run.pk} is queued; its figures stand below and on its own page"

    def has_connect_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer it to staff who may give access."""
        return bool(request.user.has_perm(CONNECT))

    @action(description="Connect", icon="link", permissions=["connect"], variant=ActionVariant.PRIMARY)
    def connect(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Begin an authorization and send the person to the provider."""
        row = self._found(request, object_id, CONNECT)
        return authorization.begin(self, request, row)

    @action(description="Test", icon="network_check", permissions=["connect"])
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make real calls and show step by step what works and what to do about the rest."""
        row = self._found(request, object_id, CONNECT)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": f"Test {row}",
            "opts": self.opts,
            "connection": row,
            "back_url": reverse("admin:crm_connection_change", args=[row.pk]),
        }
        if request.method == "POST":
            try:
                found = connections.test(connection_id=row.pk, actor=Actor.of(request))
            except RtxError as error:
                context["refusal"] = error.detail
            else:
                context["diagnosis"] = found
                context["findings"] = [
                    (one, badge(one.outcome, FINDING_TONES[one.outcome])) for one in found.findings
                ]
        return TemplateResponse(request, "admin/crm/test.html", context)

    def has_map_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer it to staff who may see mappings."""
        return bool(request.user.has_perm(VIEW_MAPPING))

    @action(description="Field mapping", icon="swap_horiz", permissions=["map"])
    def mapping(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open the mapping."""
        row = self._found(request, object_id, VIEW_MAPPING)
        return HttpResponseRedirect(reverse("admin:crm_connection_fields", args=[row.pk]))

    def _found(self, request: HttpRequest, object_id: str, right: str) -> Connection:
        row: Connection | None = self.get_object(request, object_id)
        if row is None:
            raise Http404("there is no such connection")
        if not request.user.has_perm(right):
            raise PermissionDenied
        return row

    # -- columns

    @admin.display(description="State")
    def state(self, row: Connection) -> SafeString:
        """Whether it is connected, and works."""
        if row.fault_code and row.status == Connection.Status.ACTIVE:
            return badge("At fault", "bad")
        return badge(row.get_status_display(), TONES[row.status])

    @admin.display(description="In step")
    def in_step(self, row: Connection) -> str:
        """How many customers are in step."""
        told = self._counted(row)
        return f"{told['in_step']} of {told['clients'] + told['accounts']}"

    @admin.display(description="Waiting")
    def waiting(self, row: Connection) -> str:
        """How many wait to be sent."""
        return str(self._counted(row)["waiting"])

    @staticmethod
    def _counted(row: Connection) -> dict[str, Any]:
        if "_counted" not in row.__dict__:
            row.__dict__["_counted"] = status.customers(row)
        counted: dict[str, Any] = row.__dict__["_counted"]
        return counted

    @admin.display(description="Last answer (UTC)")
    def last_ok(self, row: Connection) -> SafeString:
        """When the provider last answered well."""
        return instant(row.last_ok_at)

    @admin.display(description="Last pulled (UTC)")
    def pulled(self, row: Connection) -> SafeString:
        """When changes were last read."""
        return instant(row.pulled_at)

    @admin.display(description="Last problem")
    def problem(self, row: Connection) -> str:
        """What went wrong last."""
        return row.fault_code or row.last_error_code or EMPTY


def _without(entry: Any, wrong: set[str]) -> Any:
    """Return an action, or a menu of actions, without those that do not fit now."""
    if isinstance(entry, dict):
        kept = [one for one in entry["items"] if one["path"].rstrip("/").rpartition("/")[2] not in wrong]
        return {**entry, "items": kept} if kept else None
    return None if entry.path in wrong else entry


def steps_of(row: Connection, told: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a person does one after another, and what of it is done; nothing once all of it is."""
    change = "admin:crm_connection_"
    is_connected = row.status in (Connection.Status.ACTIVE, Connection.Status.PAUSED)
    has_synced = SyncRun.objects.filter(connection=row, status=SyncRun.Status.DONE).exists()
    done = [
        ("Give client id and secret", bool(row.client_id and row.client_secret_sealed), ""),
        ("Connect: agree at the provider", is_connected, reverse(f"{change}connect", args=[row.pk])),
        (
            "Test the connection",
            is_connected and row.last_ok_at is not None,
            reverse(f"{change}test", args=[row.pk]),
        ),
        ("Look over the field mapping", row.mappings.exists(), reverse(f"{change}fields", args=[row.pk])),
        ("Sync for the first time", has_synced, reverse(f"{change}sync", args=[row.pk])),
    ]
    first = next((place for place, (_, is_done, _) in enumerate(done) if not is_done), None)
    if first is None:
        return []
    return [
        {"text": text, "is_done": is_done, "url": url if place == first else ""}
        for place, (text, is_done, url) in enumerate(done)
    ]
