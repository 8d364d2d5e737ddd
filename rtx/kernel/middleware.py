"""
What stands around every request: its id, its time, liveness, and a short way for API calls.

API calls carry tokens, not cookies: everything between `ApiEntrance` and `ApiExit` serves browsers (static
files, sessions, CSRF, messages, audit of forms) and is left out for them. No business rule stands here.
"""

import re
import time
import uuid
from collections.abc import Callable
from ipaddress import ip_address
from typing import ClassVar

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django_structlog.middlewares import RequestMiddleware
from prometheus_client import Histogram

Handler = Callable[[HttpRequest], HttpResponseBase]

REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
ALIVE = b'{"status":"ok"}'
API = "/api/"
REQUESTS = Histogram(
    "rtx_http_request_seconds",
    "Time to answer a request, by route and class of status.",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_timers: dict[tuple[str, str, int], Histogram] = {}


class RequestId:
    """Takes a caller's `X-Request-ID` when it is well formed, else makes one; every answer carries it."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer liveness at once; give everything else its id and take its time."""
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if REQUEST_ID.match(given) else uuid.uuid4().hex
        if request.path == "/health":
            response: HttpResponseBase = HttpResponse(ALIVE, content_type="application/json")
            response["Content-Length"] = str(len(ALIVE))
        else:
            started_s = time.perf_counter()
            if settings.TRUSTED_PROXY_COUNT:
                _believe_proxies(request)
            request.META["rtx.request_id"] = request_id
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(request_id=request_id)
            response = self.get_response(request)
            _observe(request, response.status_code, time.perf_counter() - started_s)
        response["X-Request-ID"] = request_id
        return response


def _believe_proxies(request: HttpRequest) -> None:
    """Put the address that the outermost trusted proxy saw where everything looks for it."""
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if len(hops) < settings.TRUSTED_PROXY_COUNT:
        return
    try:
        request.META["REMOTE_ADDR"] = str(ip_address(hops[-settings.TRUSTED_PROXY_COUNT].strip()))
    except ValueError:
        return


def _observe(request: HttpRequest, status: int, seconds: float) -> None:
    match = request.resolver_match
    key = (request.method or "", match.route if match is not None else "", status // 100)
    timer = _timers.get(key)
    if timer is None:
        method = key[0] if key[0] in METHODS else "other"
        timer = REQUESTS.labels(method=method, route=key[1], status=f"{key[2]}xx")
        if len(_timers) < 1_000:
            _timers[key] = timer
    timer.observe(seconds)


class RequestLog(RequestMiddleware):
    """Binds who asks and what to the log's lines: the path alone, because a query may name a person."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Return method and path."""
        return f"{request.method} {request.path}"


class ApiExit:
    """The last middleware: here API calls come out that `ApiEntrance` let in."""

    waiting: ClassVar[list[Handler]] = []  # filled and emptied while a chain is built, last middleware first

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.waiting.append(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass a page's request on to its view."""
        return self.get_response(request)


class ApiEntrance:
    """Sends API calls straight to their view, past everything that serves browsers."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.direct = ApiExit.waiting.pop() if ApiExit.waiting else get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Take the short way for an API call, the long one for a page."""
        if not request.path.startswith(API):
            return self.get_response(request)
        response = self.direct(request)
        if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
            response["Content-Length"] = str(len(response.content))
        return response
