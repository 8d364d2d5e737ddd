"""REST: logging in and out, refreshing, changing the password, WebSocket tickets."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from msgspec import Struct
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.api.inputs import LoginIn, LogoutIn, PasswordIn, RefreshIn
from apps.accounts.services import sign_in, tickets, tokens, users
from rtx.kernel import openapi
from rtx.kernel.errors import NotAuthenticated
from rtx.kernel.limits import TokenBucket
from rtx.kernel.rest import BucketThrottle


@openapi.example(
    {"access": "eyJhbGciOiJIUzI1NiIs...", "refresh": "eyJhbGciOiJIUzI1NiIs...", "expires_in": 900}
)
class TokenPairOut(Struct):
    """What a login or a refresh answers; `expires_in` is in seconds."""

    access: str
    refresh: str
    expires_in: int


@openapi.example({"ticket": "gJ0cXv2m8PqRr5b7nTzK1w", "expires_in": 30})
class TicketOut(Struct):
    """A ticket for `/ws?ticket=`; `expires_in` is in seconds."""

    ticket: str
    expires_in: int


class AddressThrottle(BucketThrottle):
    """Limits the authentication requests of one address."""

    _bucket = TokenBucket(rate=settings.RATE_LOGIN_PER_S, burst=settings.RATE_LOGIN_BURST)

    def key(self, request: Request) -> str:
        """Return the address."""
        return str(request.META.get("REMOTE_ADDR", ""))


class AuthView(APIView):
    """Base of the authentication calls."""

    throttle_classes = (AddressThrottle,)


class OpenAuthView(AuthView):
    """Calls that come before there is an access token, or after it ended."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


def _shown(pair: tokens.TokenPair) -> dict[str, Any]:
    return {"access": pair.access, "refresh": pair.refresh, "expires_in": pair.expires_in}


class LoginView(OpenAuthView):
    """Start a login."""

    @extend_schema(
        operation_id="login",
        auth=[],
        request=openapi.body(LoginIn),
        responses=openapi.responses(
            200,
            openapi.of(TokenPairOut),
            400,
            openapi.error(401, "invalid_credentials"),
            openapi.error(403, "address_not_allowed"),
        ),
    )
    def post(self, request: Request) -> Response:
        """Exchange e-mail and password for an access token and a refresh token."""
        given = LoginIn.validated(request.data)
        return Response(
            _shown(sign_in.log_in(request=request._request, email=given.email, password=given.password))
        )


class RefreshView(OpenAuthView):
    """Go on with a login."""

    @extend_schema(
        operation_id="refresh",
        auth=[],
        request=openapi.body(RefreshIn),
        responses=openapi.responses(
            200, openapi.of(TokenPairOut), 400, openapi.error(401, "invalid_refresh_token")
        ),
    )
    def post(self, request: Request) -> Response:
        """Return a new pair. A repeat within 10 s gets the same pair, a later one ends the login."""
        return Response(_shown(tokens.refresh(token=RefreshIn.validated(request.data).refresh)))


class LogoutView(AuthView):
    """End a login."""

    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="logout",
        request=openapi.body(LogoutIn),
        responses=openapi.responses(
            204, None, 400, openapi.error(401, "not_authenticated", "invalid_token", "invalid_refresh_token")
        ),
    )
    def post(self, request: Request) -> Response:
        """End the login of the access token, or of the refresh token in the body."""
        given = LogoutIn.validated(request.data)
        if request.user is None and given.refresh is None:
            raise NotAuthenticated
        if request.user is not None:
            sign_in.log_out(caller=caller(request), request=request._request)
        if given.refresh is not None:
            tokens.end_by_refresh(token=given.refresh)
        return Response(status=204)


class PasswordView(AuthView):
    """Change the password."""

    @extend_schema(
        operation_id="change_password",
        request=openapi.body(PasswordIn),
        responses=openapi.responses(
            204,
            None,
            openapi.error(400, "invalid", "malformed_json", "weak_password"),
            openapi.error(401, "not_authenticated", "invalid_token", "invalid_credentials"),
            openapi.error(403, "second_factor_required", "address_not_allowed"),
        ),
    )
    def post(self, request: Request) -> Response:
        """Set a new password; every token of the user ends, also this one."""
        given = PasswordIn.validated(request.data)
        users.change_password(
            caller=caller(request), current=given.current, new=given.new, request=request._request
        )
        return Response(status=204)


class TicketView(AuthView):
    """Open a WebSocket."""

    @extend_schema(
        operation_id="ws_ticket", request=None, responses=openapi.responses(200, openapi.of(TicketOut))
    )
    def post(self, request: Request) -> Response:
        """Return a ticket for `/ws?ticket=`: good once, for 30 seconds."""
        ticket = tickets.issue(claims=caller(request).claims)
        return Response({"ticket": ticket, "expires_in": tickets.LIFETIME_S})
