"""
Sending REST requests: tokens, retries, errors. Knows no order and no account.

A request that changes something carries an id of the caller, so that repeating it after a lost answer, a
timeout or a `503` brings the first outcome, never a second one.
"""

import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import httpx

from rtx_client import errors
from rtx_client.models import Tokens

Query = Mapping[str, str | int | None]
AGAIN = frozenset({429, 503})
PAUSE_MAX_S = 5.0
# The broker repeats its answer to a refresh token for ten seconds; a later repeat ends the login as a theft.
REFRESH_TIMEOUT = httpx.Timeout(3.0, connect=1.5)
REFRESH_REPEATED_WITHIN_S = 8.0


class Transport:
    """One broker's REST interface with the login of one user. May be used from several threads."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        attempts: int,
        pause_s: float,
        wait_max_s: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, transport=transport)
        self._attempts = attempts
        self._pause_s = pause_s
        self._wait_max_s = wait_max_s
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self.tokens: Tokens | None = None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        is_open: bool = False,
        timeout: httpx.Timeout | None = None,
        repeated_within_s: float = math.inf,
    ) -> httpx.Response:
        """
        Send a request, again if need be, and return the good answer. `is_open`: it needs no login;
        `repeated_within_s`: nothing is sent again later than this after the first try.

        :raises RtxError: what the broker says instead, or that it cannot be reached.
        """
        content = None if body is None else _encoded(body)
        params = {name: value for name, value in (query or {}).items() if value is not None} or None
        attempt, is_refreshed, started = 1, False, self._clock()
        limit = self._http.timeout if timeout is None else timeout
        while True:
            used = None if is_open else self.tokens
            sent = {"Content-Type": "application/json", **(headers or {})}
            if used is not None:
                sent["Authorization"] = f"Bearer {used.access}"
            try:
                answer = self._http.request(
                    method, path, content=content, params=params, headers=sent, timeout=limit
                )
            except httpx.TransportError as lost:
                failure: errors.RtxError = errors.ConnectionLost(str(lost) or type(lost).__name__)
            else:
                if answer.is_success:
                    return answer
                failure = problem(answer)
                if answer.status_code == 401 and used is not None and not is_refreshed:
                    is_refreshed = True
                    self.refresh(used)
                    continue
                if answer.status_code not in AGAIN:
                    raise failure
            if (failure.retry_after_s or 0.0) > self._wait_max_s:
                raise failure
            pause = self._pause(attempt, failure.retry_after_s)
            if attempt >= self._attempts or self._clock() + pause - started > repeated_within_s:
                raise failure
            self._sleep(pause)
            attempt += 1

    def pages(self, path: str, query: Query) -> Iterator[dict[str, Any]]:
        """Yield the results of a list, page after page."""
        answer = self.send("GET", path, query=query)
        while True:
            page = decoded(answer)
            yield from page["results"]
            if not page["next"]:
                return
            following = httpx.URL(page["next"])
            answer = self.send("GET", following.raw_path.decode("ascii"))

    def refresh(self, used: Tokens | None = None) -> Tokens:
        """
        Get the next pair of tokens; when another thread just did, return that one.

        :raises NotAuthenticated: the login has ended.
        """
        with self._lock:
            held = self.tokens
            if held is None:
                raise errors.NotAuthenticated("log in first", code="not_authenticated", status=401)
            if used is not None and held is not used:
                return held
            answer = self.send(
                "POST",
                "/api/auth/refresh",
                body={"refresh": held.refresh},
                is_open=True,
                timeout=REFRESH_TIMEOUT,
                repeated_within_s=REFRESH_REPEATED_WITHIN_S,
            )
            self.tokens = Tokens.read(decoded(answer))
            return self.tokens

    def _pause(self, attempt: int, asked_s: float | None) -> float:
        """Return how long to wait: at least what the broker asked for, spread so that clients do not meet."""
        grown: float = min(PAUSE_MAX_S, self._pause_s * 2.0 ** (attempt - 1))
        return (asked_s or 0.0) + random.uniform(0.5, 1.0) * grown  # noqa: S311 - no secret


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def decoded(answer: httpx.Response) -> dict[str, Any]:
    """
    Return an answer's JSON object; numbers with a point are Decimals.

    :raises ServerFault: it is something else, such as the page of a proxy.
    """
    found = _parsed(answer)
    if found is None:
        raise errors.ServerFault(
            "the answer is no JSON object",
            status=answer.status_code,
            request_id=answer.headers.get("X-Request-ID", ""),
        )
    return found


def _parsed(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        found = json.loads(answer.content, parse_float=Decimal)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def problem(answer: httpx.Response) -> errors.RtxError:
    """Return the error that a problem answer describes."""
    told = _parsed(answer) or {}
    code = str(told.get("code", ""))
    retry_after = answer.headers.get("Retry-After", "")
    return errors.of(code, status=answer.status_code)(
        str(told.get("detail") or answer.reason_phrase),
        code=code,
        status=answer.status_code,
        errors=told.get("errors"),
        request_id=answer.headers.get("X-Request-ID", ""),
        retry_after_s=float(retry_after) if retry_after.isdigit() else None,
    )
