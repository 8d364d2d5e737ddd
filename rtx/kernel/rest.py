"""
What every REST view shares: strict JSON in, exact JSON out, problem details, cursor pages. Holds no business
rule.

Numbers in a request body are read as Decimals, never as float.
"""

import logging
import re
import sys
from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import parse_qs

import msgspec
import orjson
import psycopg
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation, ValidationError
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions, pagination, parsers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from rtx.kernel import errors, jsontext
from rtx.kernel.errors import Forbidden, Invalid, NotFound, RtxError, TooManyRequests, Unavailable
from rtx.kernel.limits import TokenBucket, Verdict
from rtx.kernel.money import text

log = logging.getLogger(__name__)

BODY_MAX_BYTES = 65_536
EXPONENT_MAX = 18
PROBLEM = "application/problem+json"

PLAIN_DECIMAL = r"^[0-9]+(\.[0-9]+)?$"
PositiveDecimal = Annotated[
    Decimal,
    msgspec.Meta(
        description="A positive number as plain text (a JSON number is read exactly too).",
        extra_json_schema={"pattern": PLAIN_DECIMAL},
    ),
]
_plain_text = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# A plus sign that a client left as it is, arrives as a blank.
_instant = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?)(?:([Zz])|([ +-]\d{2}:\d{2}))?", re.ASCII
)


class TooLarge(Invalid):
    """The request's body is larger than any request needs."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "too_large"
    title = "Body too large"


class RawBody(bytes):
    """An unparsed JSON body; an input struct decodes it with its own types."""


class RateLimited(TooManyRequests):
    """A rate limit was reached; the answer's headers say which and until when."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("Too many requests, slow down.", retry_after_s=verdict.retry_after_s)


class StrictJSONParser(parsers.BaseParser):
    """Takes the body as it is, within bounds: the view's input struct decodes and checks it in one go."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> RawBody:  # type: ignore[override]
        """Return the body's bytes."""
        body = stream.read(BODY_MAX_BYTES + 1)
        if len(body) > BODY_MAX_BYTES:
            raise TooLarge
        return RawBody(body)


class JSONRenderer(BaseRenderer):
    """Writes JSON with orjson; Decimals become exact text."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        """Return the bytes of an answer."""
        return b"" if data is None else orjson.dumps(data, default=_plain, option=orjson.OPT_UTC_Z)


class Negotiation(DefaultContentNegotiation):
    """Views that speak only JSON answer JSON, whatever was asked for; others negotiate."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer of the answer and its media type."""
        offered = list(renderers)
        if len(offered) == 1:
            return offered[0], str(offered[0].media_type)
        chosen: tuple[BaseRenderer, str] = super().select_renderer(request, offered, format_suffix)
        return chosen


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return text(value)
    return str(value)


class Input(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """
    Base of request bodies: unknown fields and wrong types are refused, decimals must be positive numbers.
    """

    @classmethod
    def validated(cls, data: Any) -> Self:
        """
        Decode a raw body, or convert an already decoded object, into this struct.

        :raises Invalid: it is no JSON object of this form; `errors` names the field.
        """
        given: Any = data
        try:
            if isinstance(data, bytes):
                found = msgspec.json.decode(data or b"{}", type=cls)
                given = jsontext.decoded(data or b"{}")
            else:
                found = msgspec.convert(data, type=cls, strict=True)
        except msgspec.ValidationError as error:
            reason, _, where = str(error).partition(" - at `$")
            field = where.strip("`.") or "body"
            raise Invalid(f"{field}: {reason}", errors={field: [reason]}) from None
        except jsontext.DuplicateName as error:
            field = error.name[:64]
            raise Invalid(f"{field} is given twice.", errors={field: ["is given twice"]}) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Invalid("The body is not valid JSON.", code="malformed_json") from None
        for name in found.__struct_fields__:
            value = getattr(found, name)
            if isinstance(value, Decimal):
                _check_decimal(name, value)
                _check_plain(name, given.get(name))
            elif isinstance(value, datetime):
                setattr(found, name, _in_utc(name, value))
        return found


def _check_decimal(name: str, value: Decimal) -> None:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise Invalid(f"{name} is not a number.", errors={name: ["must be a finite number"]})
    if value <= 0:
        raise Invalid(f"{name} must be positive.", errors={name: ["must be positive"]})
    if exponent < -EXPONENT_MAX or value.adjusted() >= EXPONENT_MAX or len(value.as_tuple().digits) > 28:
        raise Invalid(f"{name} is out of range.", errors={name: ["is out of range"]})


def _check_plain(name: str, given: Any) -> None:
    """Refuse what only Python reads as a number: blanks, underscores, signs, exponents in a text."""
    if isinstance(given, str) and not _plain_text.fullmatch(given):
        raise Invalid(f"{name} is not a plain number.", errors={name: ["must be digits with a point"]})


def _in_utc(name: str, value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise Invalid(f"{name} is out of range.", errors={name: ["is out of range"]}) from None


def instant_of(given: str | None, name: str) -> datetime | None:
    """
    Return an instant of a query, RFC 3339, UTC when it names no offset; None when it is absent.

    :raises Invalid: it is not one.
    """
    if given is None:
        return None
    written = _instant.fullmatch(given)
    try:
        if written is None:
            raise ValueError("it has another form")
        day, time, _, offset = written.groups()
        return datetime.fromisoformat(f"{day}T{time}{(offset or '+00:00').replace(' ', '+')}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"{name} is not an instant.", errors={name: ["must be RFC 3339"]}) from None


def problem(error: RtxError, *, request_id: str = "") -> dict[str, Any]:
    """Return the problem details of an error."""
    found: dict[str, Any] = {
        "type": f"urn:rtx:problem:{error.code}",
        "title": error.title,
        "status": int(error.status),
        "code": error.code,
        "detail": error.detail,
    }
    if error.errors:
        found["errors"] = error.errors
    if request_id:
        found["request_id"] = request_id
    return found


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """
    Turn what a view raised into problem details; what nobody foresaw is logged and answered without details.
    """
    request = context.get("request")
    request_id = request.META.get("rtx.request_id", "") if request is not None else ""
    known = as_rtx_error(error)
    if known is None:
        log.error("request %s failed", request_id, exc_info=error)
        known = internal_error()
    response = Response(problem(known, request_id=request_id), status=int(known.status), content_type=PROBLEM)
    if isinstance(known, TooManyRequests):
        response["Retry-After"] = str(known.retry_after_s)
    elif isinstance(known, Unavailable):
        response["Retry-After"] = "1"
    if int(known.status) == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def as_rtx_error(error: Exception) -> RtxError | None:
    """Return the typed error that stands for an exception; None when it is a fault of ours."""
    if isinstance(error, RtxError):
        return error
    if isinstance(
        error, OperationalError | InterfaceError | psycopg.OperationalError | psycopg.InterfaceError
    ):
        return Unavailable("The database cannot be reached.")
    if isinstance(error.__cause__ or error, psycopg.errors.IdleInTransactionSessionTimeout):
        return Unavailable("This process stood still; the database has undone what it had begun.")
    refused = errors.refused_by_database(error)
    if refused is not None:
        return refused
    if isinstance(error, DataError | psycopg.DataError):
        return Invalid("A value is out of range.", code="out_of_range")
    if isinstance(error, Http404):
        return NotFound("Not found.")
    if isinstance(error, PermissionDenied):
        return Forbidden()
    if isinstance(error, RequestDataTooBig):
        return TooLarge()
    if isinstance(error, SuspiciousOperation):
        return Invalid("The request is not acceptable.", code="suspicious")
    if isinstance(error, exceptions.APIException):
        found = RtxError(str(error.detail), code=str(error.default_code))
        found.status = HTTPStatus(error.status_code)
        found.title = str(error.default_detail)
        return found
    return None


class BucketThrottle(BaseThrottle):
    """
    Limits the requests of whoever `key` names, and says so in every answer: `RateLimit-*` headers.
    """

    _bucket: ClassVar[TokenBucket]

    def key(self, request: Request) -> str | None:
        """Return whose bucket a request is taken from; None: it is not limited."""
        raise NotImplementedError

    def allow_request(self, request: Request, view: Any) -> bool:
        """
        Take one request from a bucket.

        :raises RateLimited: it is empty.
        """
        key = self.key(request)
        if key is not None:
            verdict = self._bucket.take(key)
            view.headers.update(
                {
                    "RateLimit-Limit": str(verdict.limit),
                    "RateLimit-Remaining": str(verdict.remaining),
                    "RateLimit-Reset": str(verdict.reset_s),
                }
            )
            if verdict.retry_after_s:
                raise RateLimited(verdict)
        return True


class UserThrottle(BucketThrottle):
    """Limits each user's requests."""

    _bucket = TokenBucket(rate=settings.RATE_API_PER_S, burst=settings.RATE_API_BURST)

    def key(self, request: Request) -> str | None:
        """Return the user's id."""
        return None if request.user is None else str(request.user.pk)


class CursorPagination(pagination.CursorPagination):
    """Pages by id, newest first, with an opaque cursor; no total."""

    page_size = 100
    page_size_query_param = "limit"
    max_page_size = 500
    ordering = "-id"

    def decode_cursor(self, request: Request) -> Any:
        """
        Return the position that the cursor names.

        :raises Invalid: the cursor is not one of ours.
        """
        given = request.query_params.get(self.cursor_query_param)
        try:
            if given is not None and not parse_qs(b64decode(given, validate=True), strict_parsing=True):
                raise ValueError("it says nothing")
            return super().decode_cursor(request)
        except (ValueError, exceptions.NotFound):
            raise Invalid("The cursor is not valid.", errors={"cursor": ["is not valid"]}) from None

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """
        Return the rows of the page that the cursor names.

        :raises Invalid: its position is none that these rows have.
        """
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError):
            raise Invalid("The cursor is not valid.", errors={"cursor": ["is not valid"]}) from None

    def get_page_size(self, request: Request) -> int:
        """
        Return how many rows a page has, never more than the most.

        :raises Invalid: `limit` is not a positive whole number.
        """
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return self.page_size
        if not (given.isascii() and given.isdigit()) or len(given) > 18 or not int(given):
            raise Invalid("limit is not a positive whole number.", errors={"limit": ["must be positive"]})
        return min(int(given), self.max_page_size)

    def get_paginated_response(self, data: Any) -> Response:
        """Return one page."""
        return Response({"results": data, "next": self.get_next_link()})


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404: problem details below /api/, Django's page elsewhere."""
    if request.path.startswith("/api/"):
        return _problem_response(request, NotFound("No such address."))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """
    Answer a fault outside REST framework: problem details below /api/, a page elsewhere; 503 when the
    database is away.
    """
    fault = sys.exc_info()[1]
    known = as_rtx_error(fault) if isinstance(fault, Exception) else None
    if request.path.startswith("/api/"):
        return _problem_response(request, known or internal_error())
    if isinstance(known, Unavailable):
        text = "The database cannot be reached. Please try again in a moment."
        return HttpResponse(text, content_type="text/plain", status=503, headers={"Retry-After": "1"})
    return defaults.server_error(request)


def internal_error() -> RtxError:
    """Return the answer for a fault of ours: no details, they are in the log under the request's id."""
    error = RtxError("Something went wrong on our side.", code="internal")
    error.status, error.title = HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error"
    return error


def _problem_response(request: HttpRequest, error: RtxError) -> JsonResponse:
    request_id = request.META.get("rtx.request_id", "")
    return JsonResponse(problem(error, request_id=request_id), status=int(error.status), content_type=PROBLEM)
