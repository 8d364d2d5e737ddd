"""Bearer authentication of the API. Only reads a header; what a token is worth is decided by the selector."""

from typing import Any, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts.selectors import tokens

TOKEN_MAX_CHARS = 2048


class AccessTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`; without that header the request has no user."""

    def authenticate(self, request: Request) -> tuple[tokens.TokenUser, str] | None:
        """
        Return the caller and the token.

        :raises InvalidToken: the token is not, or no longer, valid.
        """
        header: str = request._request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer" or not token or len(token) > TOKEN_MAX_CHARS:
            raise tokens.InvalidToken("The Authorization header must be `Bearer <access token>`.")
        return tokens.caller(token), token

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 answer asks for."""
        return "Bearer"


def caller(request: Request) -> tokens.TokenUser:
    """Return the authenticated caller of an API request."""
    return cast(tokens.TokenUser, request.user)


class AccessTokenScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI description shows it."""

    target_class = "apps.accounts.api.authentication.AccessTokenAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the security scheme."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
