"""
What stands around every request: its id, liveness, and a short way for API calls.

API calls carry tokens, not cookies: what serves browsers (sessions, CSRF, messages, audit of forms) is left
out for them, which more than halves what a request costs. No business rule stands here.
"""

import re
import uuid
from collections.abc import Callable
from typing import Any

from auditlog.middleware import AuditlogMiddleware
from axes.middleware import AxesMiddleware
from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django_structlog.middlewares import RequestMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

Handler = Callable[[HttpRequest], HttpResponseBase]

REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
API = "/api/"


class RequestId:
    """Takes a caller's `X-Request-ID` when it is well formed, else makes one; every answer carries it."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer liveness at once; give everything else its id."""
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if REQUEST_ID.match(given) else uuid.uuid4().hex
        request.META["rtx.request_id"] = request_id
        if request.path == "/health":
            response: HttpResponseBase = HttpResponse(b'{"status":"ok"}', content_type="application/json")
        else:
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        rate = request.META.get("rtx.rate")
        if rate is not None:
            response["RateLimit-Limit"] = str(rate.limit)
            response["RateLimit-Remaining"] = str(rate.remaining)
            response["RateLimit-Reset"] = str(rate.reset_s)
        return response


class BrowserOnly:
    """Mixed into a middleware: it works for pages, and is left out for API calls."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        """Pass an API call on, and a page through the middleware."""
        if request.path.startswith(API):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class StaticFiles(BrowserOnly, WhiteNoiseMiddleware):
    """Serves static files."""


class Sessions(BrowserOnly, SessionMiddleware):
    """Keeps sessions."""


class Csrf(BrowserOnly, CsrfViewMiddleware):
    """Protects forms. API calls carry no cookie that could be misused."""

    def process_view(self, request: HttpRequest, *arguments: Any) -> Any:
        """Check a page's request."""
        return None if request.path.startswith(API) else super().process_view(request, *arguments)


class SessionUsers(BrowserOnly, AuthenticationMiddleware):
    """Finds a session's user."""


class RequestLog(BrowserOnly, RequestMiddleware):
    """Binds the request to the log."""


class FormAudit(BrowserOnly, AuditlogMiddleware):
    """Names the staff member behind an audited change."""


class Messages(BrowserOnly, MessageMiddleware):
    """Shows messages after a redirect."""


class ContentSecurityPolicy(BrowserOnly, CSPMiddleware):
    """Sends the content security policy."""


class Lockout(BrowserOnly, AxesMiddleware):
    """Answers locked out sign-ins."""
