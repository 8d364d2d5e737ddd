"""
Asking for a fresh proof of identity before something that moves money or positions, and telling what a page
asks for by itself from what a person does. What counts as fresh is decided by `settings.RECENT_LOGIN_CHECK`;
the kernel knows no sessions.
"""

from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string

View = TypeVar("View", bound=Callable[..., object])


class RecentLoginNeeded(Exception):
    """The person must prove again who they are; the admin's gate leads them there and back."""


def require(request: HttpRequest) -> None:
    """
    Go on only if the person behind a page's request has proved lately who they are.

    :raises RecentLoginNeeded: they have not; nothing was done.
    """
    if not import_string(settings.RECENT_LOGIN_CHECK)(request):
        raise RecentLoginNeeded


def passive(view: View) -> View:
    """Mark a view that pages ask by themselves, again and again: it keeps no idle session alive."""
    view.is_passive = True  # type: ignore[attr-defined]
    return view
