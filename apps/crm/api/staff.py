"""Admin REST of CRM connections: setting up, testing, syncing, mapping, dead letters, giving access."""

from typing import Any, cast
from urllib.parse import urlencode

import msgspec
from django.conf import settings
from django.http import HttpResponseRedirect
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.staff import FORBIDDEN, StaffView
from apps.crm.api.inputs import CrmConfigIn, CrmReasonIn, NewCrmConfigIn
from apps.crm.api.outputs import CrmConfigOut, CrmDiagnosisOut, OAuthStartOut
from apps.crm.models import Connection
from apps.crm.permissions import (
    ADD_CONNECTION,
    CHANGE_CONNECTION,
    CONNECT,
    DELETE_CONNECTION,
    VIEW_CONNECTION,
)
from apps.crm.selectors import status
from apps.crm.services import connections, oauth
from apps.trading.api.queries import PAGES, integer
from rtx.kernel import openapi
from rtx.kernel.errors import Invalid, NotFound
from rtx.kernel.rest import CursorPagination

STALE = openapi.error(401, "not_authenticated", "invalid_token", "reauthentication_required")
NO_CONFIG = openapi.error(404, "connection_not_found")
CONFIG = OpenApiParameter("config", int, description="Number of the connection.", required=True)
RETURNED = ("state", "code", "error")
RETURNED_MAX_CHARS = 2000


def connection_of(config_id: int | None) -> Connection:
    """
    Return a connection that was not removed.

    :raises NotFound: there is none.
    """
    rows = Connection.objects.exclude(status=Connection.Status.REMOVED)
    found = rows.filter(pk=config_id).first() if config_id is not None else None
    if found is None:
        raise NotFound("There is no such connection.", code="connection_not_found")
    return found


def asked_for(request: Request) -> Connection:
    """
    Return the connection that `?config=` names.

    :raises Invalid: it is missing or no number.
    :raises NotFound: there is none.
    """
    number = integer(request, "config")
    if number is None:
        raise Invalid("config is needed.", errors={"config": ["is required"]})
    return connection_of(number)


def _given(body: NewCrmConfigIn | CrmConfigIn) -> dict[str, Any]:
    """Return what a body says of a connection."""
    said = msgspec.structs.asdict(body)
    return {name: value for name, value in said.items() if value is not msgspec.UNSET and name != "reason"}


class ConfigsView(StaffView):
    """Connections."""

    rights = {"GET": VIEW_CONNECTION}

    @extend_schema(
        operation_id="admin_crm_configs",
        parameters=PAGES,
        responses=openapi.responses(
            200, openapi.page(CrmConfigOut), openapi.error(400, "invalid"), FORBIDDEN
        ),
    )
    def get(self, request: Request) -> Response:
        """List the connections. Of their secrets only whether there is one."""
        pages = CursorPagination()
        rows = Connection.objects.exclude(status=Connection.Status.REMOVED)
        found = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response([status.config_view(row) for row in found or []])


class NewConfigView(StaffView):
    """Setting a connection up."""

    rights = {"POST": ADD_CONNECTION}
    fresh = frozenset({"POST"})

    @extend_schema(
        operation_id="admin_crm_create_config",
        request=openapi.body(NewCrmConfigIn),
        responses=openapi.responses(
            201, openapi.of(CrmConfigOut), 400, STALE, FORBIDDEN, openapi.error(409, "connection_exists")
        ),
    )
    def post(self, request: Request) -> Response:
        """Set a connection up, one per provider. It is not connected yet: GET oauth/start follows."""
        given = NewCrmConfigIn.validated(request.data)
        made = connections.create(values=_given(given), actor=self.staff.acting(given.reason))
        return Response(status.config_view(made), status=201)


class ConfigView(StaffView):
    """One connection."""

    rights = {"GET": VIEW_CONNECTION, "PUT": CHANGE_CONNECTION, "DELETE": DELETE_CONNECTION}
    fresh = frozenset({"PUT", "DELETE"})

    @extend_schema(
        operation_id="admin_crm_config",
        responses=openapi.responses(200, openapi.of(CrmConfigOut), FORBIDDEN, NO_CONFIG),
    )
    def get(self, request: Request, config_id: int) -> Response:
        """Return one connection."""
        return Response(status.config_view(connection_of(config_id)))

    @extend_schema(
        operation_id="admin_crm_change_config",
        request=openapi.body(CrmConfigIn),
        responses=openapi.responses(200, openapi.of(CrmConfigOut), 400, STALE, FORBIDDEN, NO_CONFIG),
    )
    def put(self, request: Request, config_id: int) -> Response:
        """Change what is given; a secret that is not given or empty stays."""
        given = CrmConfigIn.validated(request.data)
        row = connection_of(config_id)
        changed = connections.change(
            connection_id=row.pk, values=_given(given), actor=self.staff.acting(given.reason)
        )
        return Response(status.config_view(changed))

    @extend_schema(
        operation_id="admin_crm_remove_config",
        request=openapi.body(CrmReasonIn),
        responses=openapi.responses(204, None, 400, STALE, FORBIDDEN, NO_CONFIG),
    )
    def delete(self, request: Request, config_id: int) -> Response:
        """Give the access back and delete secrets, mapping and the customers' ids; the logs stay."""
        given = CrmReasonIn.validated(request.data)
        row = connection_of(config_id)
        connections.remove(connection_id=row.pk, actor=self.staff.acting(given.reason))
        return Response(status=204)


class TestView(StaffView):
    """Testing a connection."""

    rights = {"POST": CONNECT}

    @extend_schema(
        operation_id="admin_crm_test",
        request=None,
        responses=openapi.responses(200, openapi.of(CrmDiagnosisOut), FORBIDDEN, NO_CONFIG),
    )
    def post(self, request: Request, config_id: int) -> Response:
        """Call the provider and tell, step by step, what works and what to do about the rest."""
        row = connection_of(config_id)
        found = connections.test(connection_id=row.pk, actor=self.staff.acting())
        told = [
            {name: getattr(one, name) for name in ("step", "outcome", "code", "detail", "advice")}
            for one in found.findings
        ]
        return Response({"ok": found.is_ok, "findings": told})


class OAuthStartView(StaffView):
    """Giving access."""

    rights = {"GET": CONNECT}
    fresh = frozenset({"GET"})

    @extend_schema(
        operation_id="admin_crm_oauth_start",
        parameters=[CONFIG],
        responses=openapi.responses(
            200,
            openapi.of(OAuthStartOut),
            openapi.error(400, "invalid"),
            STALE,
            FORBIDDEN,
            NO_CONFIG,
            openapi.error(409, "connection_incomplete"),
        ),
    )
    def get(self, request: Request) -> Response:
        """
        Begin an authorization. Open `url` in a browser in which the same person is signed in to the admin:
        the provider leads back there.
        """
        row = asked_for(request)
        site = (settings.PUBLIC_URL or request.build_absolute_uri("/")).rstrip("/")
        begun = oauth.start(
            connection_id=row.pk,
            actor=self.staff.acting(),
            redirect_uri=site + reverse("crm_oauth_callback"),
        )
        answer = Response({"url": begun.url, "expires_in_s": begun.expires_in_s})
        answer["Cache-Control"] = "no-store"
        return answer


class OAuthCallbackView(APIView):
    """Where a provider leads a browser back to. Proves nothing and does nothing: the admin's page does."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="admin_crm_oauth_callback",
        parameters=[OpenApiParameter(name, str, description="As the provider gave it.") for name in RETURNED],
        responses=openapi.responses(302, None),
        auth=[],
    )
    def get(self, request: Request) -> Response:
        """Hand what the provider appended on to the admin, where the person is signed in."""
        given: dict[str, Any] = {
            name: request.query_params[name][:RETURNED_MAX_CHARS]
            for name in RETURNED
            if name in request.query_params
        }
        answer = HttpResponseRedirect(f"{reverse('admin:crm_oauth_callback')}?{urlencode(given)}")
        answer["Cache-Control"] = "no-store"
        answer["Referrer-Policy"] = "no-referrer"
        return cast(Response, answer)
