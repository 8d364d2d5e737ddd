"""Admin REST of clients: listing, finding, opening, changing, disabling, revealing, further accounts."""

from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.client_inputs import (
    ClientIn,
    ClientReasonIn,
    ClientSearchIn,
    NewAccountIn,
    NewClientIn,
)
from apps.accounts.api.client_outputs import ClientOut, NewAccountOut, PersonOut, client_view, person_view
from apps.accounts.api.staff import FORBIDDEN, Staff, StaffView
from apps.accounts.models import Client, TradingAccount
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from apps.accounts.selectors import clients as found
from apps.accounts.selectors.clients import ClientNotFound
from apps.accounts.services import clients, trading_accounts, users
from apps.accounts.services.clients import PersonalData
from apps.audit.services import requests
from apps.groups.models import TradingGroup
from rtx.kernel import encryption, openapi
from rtx.kernel.errors import Invalid
from rtx.kernel.rest import CursorPagination

KEY_CHARS_MAX = 48
ADD_ACCOUNT = "accounts.add_tradingaccount"
NO_CLIENT = openapi.error(404, "client_not_found")
TAKEN = openapi.error(409, "email_taken", "idempotency_key_reused", "client_erased")
KYC = OpenApiParameter("kyc_status", str, enum=Client.KycStatus.values, description="Only these.")
NUMBER = OpenApiParameter("number", int, description="Only the client of this number.")
REQUIRED_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX},
    OpenApiParameter.HEADER,
    required=True,
    description="Makes a repeat the same request; its first answer comes again.",
)
LIMIT = [
    OpenApiParameter("limit", int, description="Rows per page, at most 500."),
    OpenApiParameter("cursor", str, description="Where the page before ended."),
]


def key_of(request: Request) -> str:
    """
    Return the request's key.

    :raises Invalid: it is missing or has the wrong form.
    """
    given = request.headers.get("Idempotency-Key", "")
    if not 1 <= len(given) <= KEY_CHARS_MAX or not given.isascii() or not given.isprintable():
        raise Invalid(
            "Idempotency-Key is needed: 1 to 48 printable characters.",
            errors={"Idempotency-Key": ["1 to 48 printable characters"]},
        )
    return given


def client_within(staff: Staff, client_id: UUID) -> Client:
    """
    Return a client within reach.

    :raises ClientNotFound: unknown, or outside.
    """
    rows = found.clients_within(staff.reach, user_id=staff.user.pk).select_related("user")
    client = rows.filter(pk=client_id).first()
    if client is None:
        raise ClientNotFound("There is no such client.")
    return client


def shown(staff: Staff, client_id: Any) -> dict[str, Any]:
    """Return a client as they are now."""
    client = Client.objects.select_related("user").get(pk=client_id)
    return client_view(client, found.accounts_shown([client.pk], staff.reach).get(client.pk, []))


class Newest(CursorPagination):
    """Pages of clients, the newest first."""

    ordering = "-number"


class ClientsView(StaffView):
    """Clients within reach."""

    rights = {"GET": "accounts.view_client"}

    @extend_schema(
        operation_id="admin_list_clients",
        parameters=[KYC, NUMBER, *LIMIT],
        responses=openapi.responses(200, openapi.page(ClientOut), openapi.error(400, "invalid"), FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """List clients within reach, newest first, without personal data."""
        rows = found.clients_within(self.staff.reach, user_id=self.staff.user.pk).select_related("user")
        status, number = request.query_params.get("kyc_status"), request.query_params.get("number")
        if status is not None:
            if status not in Client.KycStatus.values:
                raise Invalid("kyc_status is unknown.", errors={"kyc_status": ["is unknown"]})
            rows = rows.filter(kyc_status=status)
        if number is not None:
            if not (number.isascii() and number.isdecimal() and len(number) <= 18):
                raise Invalid("number is no whole number.", errors={"number": ["is no whole number"]})
            rows = rows.filter(number=int(number))
        pages = Newest()
        page = pages.paginate_queryset(rows, request, view=self) or []
        accounts = found.accounts_shown([client.pk for client in page], self.staff.reach)
        return pages.get_paginated_response(
            [client_view(client, accounts.get(client.pk, [])) for client in page]
        )


class ClientSearchView(StaffView):
    """Finding clients by what they are known by."""

    rights = {"POST": "accounts.view_client"}

    @extend_schema(
        operation_id="admin_search_clients",
        request=openapi.body(ClientSearchIn),
        responses=openapi.responses(200, openapi.page(ClientOut), 400, FORBIDDEN),
    )
    def post(self, request: Request) -> Response:
        """Find clients within reach by one exact text; compared by its keyed hash, shown without it."""
        given = ClientSearchIn.validated(request.data)
        asked = [(kind, text) for kind, text in msgspec.structs.asdict(given).items() if text]
        if len(asked) != 1:
            raise Invalid("One text is needed.", errors={"email": ["or phone, last_name, document_number"]})
        kind, text = asked[0]
        hashed = encryption.search_hash(kind, text)
        rows = found.clients_within(self.staff.reach, user_id=self.staff.user.pk).select_related("user")
        matching = (
            list(rows.filter(**{f"{kind}_hash": hashed}).order_by("-number")[: found.FOUND_MAX])
            if hashed
            else []
        )
        accounts = found.accounts_shown([client.pk for client in matching], self.staff.reach)
        results = [client_view(client, accounts.get(client.pk, [])) for client in matching]
        return Response({"results": results, "next": None})


class NewClientView(StaffView):
    """Opening clients."""

    rights = {"POST": "accounts.add_client"}

    @extend_schema(
        operation_id="admin_create_client",
        parameters=[REQUIRED_KEY],
        request=openapi.body(NewClientIn),
        responses=openapi.responses(
            200, openapi.of(ClientOut), 400, FORBIDDEN, openapi.error(404, "group_not_found"), TAKEN
        ),
    )
    def post(self, request: Request) -> Response:
        """Open a client with their user, and with a `group` a first account. No password is set."""
        given, key = NewClientIn.validated(request.data), key_of(request)
        group = None if given.group is None else self.staff.group(given.group)
        if group is not None:
            self.staff.require(ADD_ACCOUNT)

        def act() -> dict[str, Any]:
            person = {name: getattr(given, name) for name in clients.PERSONAL}
            client = clients.register(
                email=given.email,
                password=None,
                person=PersonalData(**person),
                country=given.country,
                opened_by=self.staff.user.pk,
            )
            self.staff.record("accounts.add_client", target=client, reason=given.reason)
            if group is not None:
                open_account(self.staff, client, group, given.leverage, given.reason)
            return shown(self.staff, client.pk)

        return Response(requests.once(user_id=self.staff.user.pk, key=key, content=_content(given), act=act))


def _content(given: Any) -> str:
    """Return a request's content for comparing repeats: keyed, so that nothing personal is kept by it."""
    return encryption.search_hash("request", msgspec.json.encode(given).decode())


def open_account(
    staff: Staff, client: Client, group: TradingGroup, leverage: int | None, reason: str
) -> TradingAccount:
    """Open an account and log it, in the caller's transaction."""
    account = trading_accounts.open_account(
        client=client, group=group, actor=staff.acting(reason), leverage=leverage
    )
    staff.record(
        "accounts.open_account",
        target=account,
        reason=reason,
        group_id=group.pk,
        account_id=account.pk,
        after={"group": group.name, "leverage": account.leverage, "client": client.number},
    )
    return account


class ClientView(StaffView):
    """One client."""

    rights = {"GET": "accounts.view_client"}

    @extend_schema(
        operation_id="admin_get_client",
        responses=openapi.responses(200, openapi.of(ClientOut), FORBIDDEN, NO_CLIENT),
    )
    def get(self, request: Request, client_id: UUID) -> Response:
        """Return one client without personal data."""
        return Response(shown(self.staff, client_within(self.staff, client_id).pk))

    @extend_schema(
        operation_id="admin_change_client",
        request=openapi.body(ClientIn),
        responses=openapi.responses(200, openapi.of(ClientOut), 400, FORBIDDEN, NO_CLIENT, TAKEN),
    )
    def put(self, request: Request, client_id: UUID) -> Response:
        """Change what is known of a client, or whether they may log in. The log tells which, not what."""
        client = client_within(self.staff, client_id)
        self.staff.require("accounts.change_client")
        given = ClientIn.validated(request.data)
        changes = {
            name: getattr(given, name)
            for name in clients.CHANGEABLE
            if getattr(given, name) is not msgspec.UNSET
        }
        with transaction.atomic():
            changed = clients.change(client_id=client.pk, changes=changes)
            if given.is_active is not msgspec.UNSET:
                (users.enable if given.is_active else users.disable)(user_id=client.user_id)
            told = {"changed": changed}
            if given.is_active is not msgspec.UNSET:
                told["is_active"] = given.is_active  # type: ignore[assignment]
            self.staff.record("accounts.change_client", target=client, reason=given.reason, after=told)
        return Response(shown(self.staff, client.pk))

    @extend_schema(
        operation_id="admin_disable_client",
        request=openapi.body(ClientReasonIn),
        responses=openapi.responses(200, openapi.of(ClientOut), 400, FORBIDDEN, NO_CLIENT),
    )
    def delete(self, request: Request, client_id: UUID) -> Response:
        """Take the right to log in away. Nothing is erased."""
        client = client_within(self.staff, client_id)
        self.staff.require("accounts.change_client")
        given = ClientReasonIn.validated(request.data)
        with transaction.atomic():
            users.disable(user_id=client.user_id)
            self.staff.record("accounts.disable_login", target=client, reason=given.reason)
        return Response(shown(self.staff, client.pk))


class RevealView(StaffView):
    """Personal data, once."""

    fresh = frozenset({"POST"})

    @extend_schema(
        operation_id="admin_reveal_client",
        request=openapi.body(ClientReasonIn),
        responses=openapi.responses(200, openapi.of(PersonOut), 400, FORBIDDEN, NO_CLIENT),
    )
    def post(self, request: Request, client_id: UUID) -> Response:
        """Tell a client's personal data. It is logged with the reason; no cache may keep the answer."""
        client = client_within(self.staff, client_id)
        self.staff.require(VIEW_PERSONAL_DATA)
        given = ClientReasonIn.validated(request.data)
        held = found.accounts_shown([client.pk], self.staff.reach).get(client.pk, [])
        with transaction.atomic():
            self.staff.record(
                "accounts.reveal_client",
                target=client,
                reason=given.reason,
                group_id=held[0].group_id if held else None,
            )
        return Response(person_view(client), headers={"Cache-Control": "no-store"})


class ClientAccountView(StaffView):
    """Further accounts of a client."""

    @extend_schema(
        operation_id="admin_open_account",
        parameters=[REQUIRED_KEY],
        request=openapi.body(NewAccountIn),
        responses=openapi.responses(
            200,
            openapi.of(NewAccountOut),
            openapi.error(400, "invalid", "malformed_json", "invalid_leverage", "group_inactive"),
            FORBIDDEN,
            openapi.error(404, "client_not_found", "group_not_found"),
            openapi.error(409, "idempotency_key_reused"),
        ),
    )
    def post(self, request: Request, client_id: UUID) -> Response:
        """Open a further account in a group within reach."""
        client = client_within(self.staff, client_id)
        self.staff.require(ADD_ACCOUNT)
        given, key = NewAccountIn.validated(request.data), key_of(request)
        group = self.staff.group(given.group)

        def act() -> dict[str, Any]:
            account = open_account(self.staff, client, group, given.leverage, given.reason)
            return {
                "login": account.login,
                "group": group.name,
                "currency": account.currency,
                "leverage": account.leverage,
                "status": account.status,
            }

        content = {"client": str(client_id), **msgspec.to_builtins(given)}
        return Response(requests.once(user_id=self.staff.user.pk, key=key, content=content, act=act))
