"""What authentication requests may contain. Form only."""

from typing import Annotated

from msgspec import Meta

from rtx.kernel.rest import Input

Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^\s@\x00]+@[^\s@\x00]+\Z")]
Password = Annotated[str, Meta(min_length=1, max_length=128)]
Refresh = Annotated[str, Meta(min_length=1, max_length=128)]


class LoginIn(Input):
    """POST /api/auth/login."""

    email: Email
    password: Password
    otp: Annotated[str, Meta(max_length=16)] | None = None


class RefreshIn(Input):
    """POST /api/auth/refresh."""

    refresh: Refresh


class LogoutIn(Input):
    """POST /api/auth/logout: the refresh token, where the access token has already expired."""

    refresh: Refresh | None = None


class PasswordIn(Input):
    """POST /api/auth/password."""

    current: Password
    new: Password
