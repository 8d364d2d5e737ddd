"""What authentication requests may contain. Form only."""

from typing import Annotated

from msgspec import Meta

from rtx.kernel import openapi
from rtx.kernel.rest import Input

Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^\s@\x00]+@[^\s@\x00]+\Z")]
Password = Annotated[str, Meta(min_length=1, max_length=128)]
Refresh = Annotated[str, Meta(min_length=1, max_length=128)]


@openapi.example({"email": "anna@example.com", "password": "correct horse battery 17"})
class LoginIn(Input):
    """POST /api/auth/login."""

    email: Email
    password: Password
    otp: Annotated[str, Meta(max_length=16)] | None = None


@openapi.example({"refresh": "r1-0f3a9c51c0de"})
class RefreshIn(Input):
    """POST /api/auth/refresh."""

    refresh: Refresh


@openapi.example({"refresh": "r1-0f3a9c51c0de"})
class LogoutIn(Input):
    """POST /api/auth/logout: the refresh token, where the access token has already expired."""

    refresh: Refresh | None = None


@openapi.example({"current": "correct horse battery 17", "new": "another good phrase 42"})
class PasswordIn(Input):
    """POST /api/auth/password."""

    current: Password
    new: Password
