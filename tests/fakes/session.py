"""
A bare session for tests of adapters: calls a fake over HTTP with a fixed token. No limits, no repeating:
those are the real session's (`apps.crm.services.calling`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from apps.crm.adapters.provider import Answer, Provider, Unavailable


class BareSession:
    """`calls`: operation and number of records of each call. Set `provider` before the first call."""

    provider: Provider

    def __init__(self, http: httpx.Client, token: str) -> None:
        self._http, self.token = http, token
        self.calls: list[tuple[str, int]] = []
        self.made: list[str] = []

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
        """Send one request; see `Session.call`."""
        assert len(operation) <= 24, "the log of calls holds no more"
        self.calls.append((operation, records))
        sent = {"Authorization": f"{self.provider.auth_scheme} {self.token}", **(headers or {})}
        try:
            reply = self._http.request(
                method, path, params=dict(params) if params else None, json=json, headers=sent
            )
            body = reply.json() if reply.content.strip() else None
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"no answer ({type(error).__name__})") from None
        answer = Answer(
            reply.status_code, {name.lower(): value for name, value in reply.headers.items()}, body
        )
        if not (reply.is_success or reply.status_code in expected):
            raise self.provider.failure(answer)
        return answer

    def id_field_made(self, object_name: str) -> None:
        """Note it; see `Session.id_field_made`."""
        self.made.append(object_name)
