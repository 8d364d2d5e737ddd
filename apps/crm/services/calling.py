"""
Opens a connection's provider for calls. All that every call needs sits here: the token (refreshed once by
whoever comes first), the limits, the circuit breaker, repeating, the log of calls. Knows no field and no
customer; writes no content and no secret anywhere.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import stamina
from django.conf import settings
from django.db import connection as database

from apps.crm.adapters import registry
from apps.crm.adapters.provider import (
    Answer,
    CallRefused,
    ConnectionFault,
    Forbidden,
    Grant,
    Limits,
    Provider,
    ProviderError,
    Settings,
    Unavailable,
)
from apps.crm.models import Connection, FieldMapping, SyncRun
from apps.crm.services import claims, exchanges, rates, tokens
from apps.crm.services.exchanges import Asked, Ended
from apps.crm.services.rates import BreakerOpen, Held
from rtx.kernel import outgoing
from rtx.kernel.errors import RtxError

__all__ = ["BreakerOpen", "Held", "NotConnected", "adapter_settings", "opened", "quiet"]
SLEEP_MAX_S = 12.0  # who must wait longer gives the worker back
ANSWER_MAX = 20 * 1024 * 1024
ANSWER_S = 30.0  # for the whole answer, however slowly it drips
ATTEMPTS = 4
pause = time.sleep


class NotConnected(CallRefused):
    """The connection has no access, or is paused: nothing is called."""

    code = "not_connected"


def quiet(connection: Connection) -> Provider:
    """Return the provider for what needs no session: `batch_max`, `scopes`, `verify`, authorization."""
    return registry.make(connection.provider, settings=adapter_settings(connection))


@contextmanager
def opened(
    connection: Connection, run: SyncRun | None = None, *, is_test: bool = False, grant: Grant | None = None
) -> Iterator[Provider]:
    """
    Give the connection's provider, ready to call; close its HTTP connections afterwards.

    Call it outside of any transaction: every call commits on its own (limits, token, log of calls). `run`
    gets its `calls` counted and its log marked. `is_test`: a connection that is paused may be called too, and
    an open breaker is passed. `grant`: call with what an authorization gave, which nobody has kept yet. Use
    one `opened` per thread; parallel workers share limits in the database.

    :raises NotConnected: not connected or paused.
    :raises Held: (from a call) wait `retry_after_s`; nothing was sent.
    :raises BreakerOpen: (from a call) wait `retry_after_s`; nothing was sent.
    :raises AccessRevoked: (from a call) the connection is now REVOKED and shown so; give up.
    :raises ConnectionFault: (from a call) give back what was taken and `faults.note` it; nobody is at fault.
    :raises ProviderError: (from a call) whatever else went wrong, after repeating what may be repeated.
    """
    connection = Connection.objects.get(pk=connection.pk)
    status = Connection.Status
    is_there = connection.status != status.REMOVED
    if not (connection.is_usable or (is_test and is_there)):
        raise NotConnected(f"{connection.get_provider_display()} is not connected.")
    with outgoing.client() as client:
        session = CallSession(connection, run, client, is_test=is_test, grant=grant)
        provider = registry.make(connection.provider, settings=adapter_settings(connection), session=session)
        session.provider = provider
        yield provider


def is_active(connection: Connection) -> bool:
    """Look whether a connection may be called still: between batches, so that a pause counts at once."""
    return Connection.objects.filter(pk=connection.pk, status=Connection.Status.ACTIVE).exists()


def adapter_settings(connection: Connection) -> Settings:
    """Return what an adapter knows of a connection; a host that is configured goes before the learned one."""
    fixed = getattr(settings, f"CRM_{connection.provider.upper()}_URL")
    return Settings(
        client_id=connection.client_id,
        client_secret=connection.client_secret,
        api_url=fixed or connection.api_url,
        region=connection.region,
        customer_object=connection.customer_object,
        account_object=connection.account_object,
        external_id=connection.external_id,
        webhook_secret=connection.webhook_secret,
    )


@dataclass(frozen=True, slots=True)
class _Request:
    """One call as an adapter asked for it."""

    method: str
    path: str
    params: Mapping[str, str] | None
    content: bytes | None
    headers: Mapping[str, str]
    expected: Sequence[int]
    asked: Asked


class CallSession:
    """The `Session` of one open connection; used by one thread."""

    provider: Provider

    def __init__(
        self,
        connection: Connection,
        run: SyncRun | None,
        client: httpx.Client,
        *,
        is_test: bool,
        grant: Grant | None,
    ) -> None:
        self._connection, self._run, self._client, self._is_test = connection, run, client, is_test
        self._given = None if grant is None else tokens.Access(grant.access_token, 0, grant.api_url)

    def call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        object_name: str = "",
        records: int = 0,
        is_write: bool = False,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        expected: Sequence[int] = (),
    ) -> Answer:
        """
        Send one authenticated request and return the answer (see `adapters.provider.Session`).

        :raises ProviderError: it failed for good, or for now.
        """
        if database.in_atomic_block:
            raise RuntimeError("a provider is called outside of transactions")
        request = _Request(
            method=method,
            path=path,
            params=params,
            content=None if json is None else orjson.dumps(json),
            headers={} if headers is None else headers,
            expected=expected,
            asked=Asked(operation, object_name, records, is_write),
        )
        for attempt in stamina.retry_context(
            on=_may_repeat,
            attempts=1 if self._is_test else ATTEMPTS,
            timeout=45.0,
            wait_initial=0.5,
            wait_max=8.0,
            wait_jitter=1.0,
        ):
            with attempt:
                return self._authorized(request)
        raise AssertionError("stamina ends with an answer or an error")

    def id_field_made(self, object_name: str) -> None:
        """Let RTX's ids be written again to the records of an object: its field for them is a new one."""
        kinds = FieldMapping.Kind
        is_client = object_name == self._connection.customer_object
        claims.give_ids(self._connection, kinds.CLIENT if is_client else kinds.ACCOUNT)

    def _authorized(self, request: _Request) -> Answer:
        """
        Send with a token; when it is refused (401, and not a scope), once more with a fresh one. One that is
        refused too is no sign that the grant is gone: only the token endpoint tells that.
        """
        held = self._access()
        answer, error = self._sent(request, held)
        is_stale = isinstance(error, ConnectionFault) and error.code == "not_authorized"
        if is_stale and self._given is None:
            held = self._access(stale=held.generation)
            answer, error = self._sent(request, held, is_again=True)
        if isinstance(error, Forbidden | CallRefused):
            error.of(request.asked.operation, request.asked.object_name)
        if error is not None:
            raise error
        if answer is None:
            raise AssertionError("a call ends with an answer or an error")
        return answer

    def _access(self, *, stale: int = 0) -> tokens.Access:
        if self._given is not None:
            return self._given
        return tokens.access(self._connection, self.provider, stale=stale, is_test=self._is_test)

    def _sent(
        self, request: _Request, held: tokens.Access, *, is_again: bool = False
    ) -> tuple[Answer | None, ProviderError | None]:
        """Send once, within the limits; log how it ended."""
        address = self._address(request.path, held)
        slot = self._slot(is_let_in=is_again)
        started = time.monotonic()
        answer: Answer | None = None
        error: ProviderError | None = None
        limits = Limits()
        try:
            answer = self._exchanged(request, address, held)
            limits = self.provider.limits(answer.headers)
            if not (200 <= answer.status < 300 or answer.status in request.expected):
                error = self.provider.failure(answer)
        except ProviderError as failed:
            error = failed
        finally:
            code = error.code if error is not None else "" if answer is not None else "internal"
            rates.leave(
                connection_id=self._connection.pk,
                run=self._run,
                slot=slot,
                asked=request.asked,
                ended=Ended(
                    took_ms=int((time.monotonic() - started) * 1000),
                    status=answer.status if answer is not None else None,
                    error_code=code,
                    request_id=exchanges.request_id(answer.headers) if answer is not None else "",
                ),
                limits=limits,
                error=error,
            )
        return answer, error

    def _slot(self, *, is_let_in: bool) -> rates.Slot:
        """
        Wait for a slot, at most `SLEEP_MAX_S` in all. `is_let_in`: the breaker let the same call through.

        :raises Held: it would take longer.
        :raises BreakerOpen: the breaker holds.
        """
        slept = 0.0
        while True:
            entered = rates.enter(connection_id=self._connection.pk, is_test=self._is_test or is_let_in)
            if isinstance(entered, rates.Slot):
                return entered
            if entered.is_breaker:
                raise BreakerOpen("The provider is left alone for a while.", retry_after_s=entered.seconds)
            if slept + entered.seconds > SLEEP_MAX_S:
                raise Held("The limit of calls is used up.", retry_after_s=entered.seconds)
            pause(entered.seconds)
            slept += entered.seconds

    def _address(self, path: str, held: tokens.Access) -> str:
        fixed = getattr(settings, f"CRM_{self._connection.provider.upper()}_URL")
        base = (fixed or held.api_url or self._connection.api_url).rstrip("/")
        if not base:
            raise ConnectionFault("The provider named no address for its API.", code="address_refused")
        if not path.startswith("/") or path.startswith("//"):
            raise CallRefused("A call goes to the provider's own API only.", code="address_refused")
        return f"{base}{path}"

    def _exchanged(self, request: _Request, address: str, held: tokens.Access) -> Answer:
        """Send and read one answer; its size and time are bounded."""
        sent = {
            "Accept": "application/json",
            "User-Agent": "RTX",
            **({"Content-Type": "application/json"} if request.content is not None else {}),
            **request.headers,
            "Authorization": f"{self.provider.auth_scheme} {held.token}",
        }
        ends_at = time.monotonic() + ANSWER_S
        try:
            with self._client.stream(
                request.method, address, params=request.params, content=request.content, headers=sent
            ) as answer:
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > ANSWER_MAX:
                        raise CallRefused("The answer is too large.", code="answer_too_large")
                    if time.monotonic() > ends_at:
                        raise Unavailable("The answer took too long.", code="provider_timeout")
        except RtxError as error:
            raise ConnectionFault(error.detail, code=error.code) from None
        except httpx.TimeoutException:
            raise Unavailable("The provider did not answer in time.", code="provider_timeout") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Unavailable(f"The provider did not answer ({type(error).__name__}).") from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, headers, _decoded(bytes(body), answer.status_code))


def _may_repeat(error: Exception) -> bool:
    """Tell whether the same call may succeed soon; adapters make none that does harm when made twice."""
    if isinstance(error, Held | BreakerOpen | ConnectionFault) or not isinstance(error, ProviderError):
        return False
    if not error.is_retryable or error.code == "daily_limit":
        return False
    return (error.retry_after_s or 0) <= SLEEP_MAX_S


def _decoded(body: bytes, status: int) -> Any:
    if not body.strip():
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        if 200 <= status < 300:
            raise Unavailable("The answer cannot be read.", code="provider_malformed") from None
        return None
