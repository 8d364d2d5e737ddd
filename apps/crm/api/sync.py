"""Admin REST of the sync: how connections stand, runs, field mappings, dead letters."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import FORBIDDEN, StaffView
from apps.accounts.selectors.clients import clients_within
from apps.crm.api.inputs import CrmReasonIn, MappingsIn, SyncTriggerIn
from apps.crm.api.outputs import CrmStatusOut, DeadLetterOut, MappingsOut, SyncRunOut
from apps.crm.api.staff import CONFIG, NO_CONFIG, asked_for, connection_of
from apps.crm.domain.fields import CATALOG
from apps.crm.domain.transforms import TRANSFORMS
from apps.crm.models import Connection, DeadLetter, FieldMapping, SyncRun
from apps.crm.permissions import (
    CHANGE_MAPPING,
    RUN,
    VIEW_CONNECTION,
    VIEW_DEAD_LETTER,
    VIEW_MAPPING,
    VIEW_RUN,
)
from apps.crm.selectors import status
from apps.crm.services import dead_letters, describing, field_mappings, runs
from apps.trading.api.queries import PAGES, integer
from rtx.kernel import clock, openapi
from rtx.kernel.errors import Invalid, NotFound
from rtx.kernel.rest import CursorPagination

OF_CONFIG = OpenApiParameter("config", int, description="Only those of this connection.")
RUN_STATUS = OpenApiParameter("status", str, enum=SyncRun.Status.values, description="Only these.")
LETTER_STATUS = OpenApiParameter("status", str, enum=DeadLetter.Status.values, description="Only these.")
KIND = OpenApiParameter(
    "kind", str, enum=FieldMapping.Kind.values, default="client", description="Of clients or of accounts."
)


def choice(request: Request, name: str, known: list[str]) -> str | None:
    """
    Return a word of the query; None: not given.

    :raises Invalid: it is none of those known.
    """
    given = request.query_params.get(name)
    if given is not None and given not in known:
        raise Invalid(f"{name} is unknown.", errors={name: [f"one of {', '.join(known)}"]})
    return given


def chosen(
    view: StaffView,
    request: Request,
    rows: QuerySet[Any],
    statuses: list[str],
    shown: Callable[[Any], dict[str, Any]],
) -> Response:
    """Answer with a page of the rows of `?config=` and `?status=`, where they are given."""
    number, wanted = integer(request, "config"), choice(request, "status", statuses)
    if number is not None:
        rows = rows.filter(connection_id=number)
    if wanted is not None:
        rows = rows.filter(status=wanted)
    pages = CursorPagination()
    found = pages.paginate_queryset(rows, request, view=view)
    return pages.get_paginated_response([shown(row) for row in found or []])


class StatusView(StaffView):
    """How the connections stand."""

    rights = {"GET": VIEW_CONNECTION}

    @extend_schema(
        operation_id="admin_crm_sync_status",
        parameters=[OF_CONFIG, *PAGES],
        responses=openapi.responses(
            200, openapi.page(CrmStatusOut), openapi.error(400, "invalid"), FORBIDDEN
        ),
    )
    def get(self, request: Request) -> Response:
        """Tell how each connection stands: customers in step, what waits, limits, breaker, the live run."""
        rows = Connection.objects.exclude(status=Connection.Status.REMOVED)
        number = integer(request, "config")
        if number is not None:
            rows = rows.filter(pk=number)
        pages, now = CursorPagination(), clock.now()
        found = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response([status.status_view(row, now=now) for row in found or []])


class TriggerView(StaffView):
    """Starting runs."""

    rights = {"POST": RUN}

    @extend_schema(
        operation_id="admin_crm_sync_trigger",
        request=openapi.body(SyncTriggerIn),
        responses=openapi.responses(
            202,
            openapi.of(SyncRunOut),
            400,
            FORBIDDEN,
            NO_CONFIG,
            openapi.error(409, "run_live", "not_connected"),
        ),
    )
    def post(self, request: Request) -> Response:
        """Queue a run; a connection has one at a time. Its figures grow in sync/status and sync/history."""
        given = SyncTriggerIn.validated(request.data)
        row = connection_of(given.config)
        run = runs.start(connection_id=row.pk, kind=given.kind, actor=self.staff.acting(given.reason))
        return Response(status.run_view(run), status=202)


class CancelView(StaffView):
    """Stopping runs."""

    rights = {"POST": RUN}

    @extend_schema(
        operation_id="admin_crm_sync_cancel",
        request=openapi.body(CrmReasonIn),
        responses=openapi.responses(
            200,
            openapi.of(SyncRunOut),
            400,
            FORBIDDEN,
            openapi.error(404, "run_not_found"),
            openapi.error(409, "run_ended"),
        ),
    )
    def post(self, request: Request, run_id: int) -> Response:
        """Ask a run to stop: before its next batch, or at once when nobody is at it."""
        given = CrmReasonIn.validated(request.data)
        run = runs.cancel(run_id=run_id, actor=self.staff.acting(given.reason))
        return Response(status.run_view(run))


class HistoryView(StaffView):
    """Runs."""

    rights = {"GET": VIEW_RUN}

    @extend_schema(
        operation_id="admin_crm_sync_history",
        parameters=[OF_CONFIG, RUN_STATUS, *PAGES],
        responses=openapi.responses(200, openapi.page(SyncRunOut), openapi.error(400, "invalid"), FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """List runs, newest first."""
        return chosen(self, request, SyncRun.objects.all(), SyncRun.Status.values, status.run_view)


def mappings_view(connection: Connection, kind: str) -> dict[str, object]:
    """Return a connection's pairs of one kind, and what may be chosen."""
    pairs = connection.mappings.filter(kind=kind).order_by("pk")
    return {
        "config": connection.pk,
        "kind": kind,
        "object": describing.object_of(connection, kind),
        "pairs": [
            {
                "rtx_field": one.rtx_field,
                "crm_field": one.crm_field,
                "direction": one.direction,
                "transform": one.transform,
                "options": one.options,
                "is_active": one.is_active,
            }
            for one in pairs
        ],
        "fields": [
            {
                "name": one.name,
                "label": one.label,
                "type": one.type,
                "is_personal": one.is_personal,
                "is_pullable": one.is_pullable,
                "choices": list(one.choices),
            }
            for one in CATALOG[kind].values()
        ],
        "transforms": [
            {
                "name": one.name,
                "label": one.label,
                "takes": sorted(one.takes),
                "options": [option.name for option in one.options],
                "is_readable": one.inward is not None,
            }
            for one in TRANSFORMS.values()
        ],
    }


class MappingsView(StaffView):
    """Field mappings."""

    rights = {"GET": VIEW_MAPPING, "PUT": CHANGE_MAPPING}

    @extend_schema(
        operation_id="admin_crm_mappings",
        parameters=[CONFIG, KIND],
        responses=openapi.responses(
            200, openapi.of(MappingsOut), openapi.error(400, "invalid"), FORBIDDEN, NO_CONFIG
        ),
    )
    def get(self, request: Request) -> Response:
        """Return the pairs of fields of a connection, RTX's fields and the transformations there are."""
        kind = choice(request, "kind", FieldMapping.Kind.values) or FieldMapping.Kind.CLIENT
        return Response(mappings_view(asked_for(request), kind))

    @extend_schema(
        operation_id="admin_crm_replace_mappings",
        request=openapi.body(MappingsIn),
        responses=openapi.responses(
            200,
            openapi.of(MappingsOut),
            openapi.error(400, "invalid", "malformed_json", "mapping_invalid"),
            FORBIDDEN,
            NO_CONFIG,
        ),
    )
    def put(self, request: Request) -> Response:
        """
        Replace the pairs of one kind as a whole, checked against the CRM's own fields while it can be asked.
        """
        given = MappingsIn.validated(request.data)
        row = connection_of(given.config)
        field_mappings.replace(
            connection_id=row.pk,
            kind=given.kind,
            pairs=[one.pair() for one in given.pairs],
            actor=self.staff.acting(given.reason),
            targets=describing.described(row, given.kind).targets,
        )
        return Response(mappings_view(row, given.kind))


def dead_letter_view(row: DeadLetter) -> dict[str, object]:
    """Return what was given up."""
    link = row.link
    account = link.account if link is not None else None
    return {
        "id": row.pk,
        "config": row.connection_id,
        "direction": row.direction,
        "status": row.status,
        "client": None if link is None else str(link.client_id),
        "account": None if account is None else account.login,
        "error_code": row.error_code,
        "error": row.error,
        "attempts": row.attempts,
        "created_at": status.said(row.created_at),
        "resolved_at": status.said(row.resolved_at),
    }


class _OfDeadLetters(StaffView):
    def within(self) -> QuerySet[DeadLetter]:
        """Return the dead letters within reach; those of deliveries are for staff with unlimited reach."""
        rows = DeadLetter.objects.select_related("link__account").defer("link__base_sealed")
        if self.staff.reach is None:
            return rows
        within = clients_within(self.staff.reach, user_id=self.staff.user.pk).values("pk")
        return rows.filter(link__client__in=within)


class DeadLettersView(_OfDeadLetters):
    """What the sync gave up."""

    rights = {"GET": VIEW_DEAD_LETTER}

    @extend_schema(
        operation_id="admin_crm_dead_letters",
        parameters=[OF_CONFIG, LETTER_STATUS, *PAGES],
        responses=openapi.responses(
            200, openapi.page(DeadLetterOut), openapi.error(400, "invalid"), FORBIDDEN
        ),
    )
    def get(self, request: Request) -> Response:
        """List what was given up of customers within reach, newest first."""
        return chosen(self, request, self.within(), DeadLetter.Status.values, dead_letter_view)


class ReplayView(_OfDeadLetters):
    """Sending again."""

    @extend_schema(
        operation_id="admin_crm_replay_dead_letter",
        request=openapi.body(CrmReasonIn),
        responses=openapi.responses(
            200,
            openapi.of(DeadLetterOut),
            400,
            FORBIDDEN,
            openapi.error(404, "dead_letter_not_found"),
            openapi.error(409, "dead_letter_resolved", "nothing_to_replay"),
        ),
    )
    def post(self, request: Request, dead_letter_id: int) -> Response:
        """Let what was given up be tried again at once."""
        given = CrmReasonIn.validated(request.data)
        row = self.within().filter(pk=dead_letter_id).first()
        if row is None:
            raise NotFound("There is no such dead letter.", code="dead_letter_not_found")
        self.staff.require(RUN)
        done = dead_letters.replay(dead_letter_id=row.pk, actor=self.staff.acting(given.reason))
        return Response(dead_letter_view(done))
