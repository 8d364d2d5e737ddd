"""
A provider that exists only in tests: one list of names, OAuth, nothing else. What calls share (token, limits,
breaker, repeats, log) and what webhooks share (proof, digest, events) is tested with it.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from apps.crm.adapters import oauth
from apps.crm.adapters.provider import (
    Answer,
    CallRefused,
    ConnectionFault,
    Cursor,
    FieldInfo,
    Fields,
    Forbidden,
    Grant,
    Health,
    HookEvent,
    LimitReached,
    Limits,
    Page,
    ProviderError,
    Record,
    Session,
    Settings,
    Unavailable,
    Upsert,
    Written,
)
from apps.crm.domain import signatures
from tests.fakes.grants import GrantRefused, Grants
from tests.fakes.server import Fake, Reply, Request, route


class ToyFake(Fake):
    """The provider's side. `account` is whose names these are; `seen` are the tokens that came."""

    name = "toy"

    def __init__(self, *, rotates: bool = True) -> None:
        super().__init__()
        self.grants = Grants(self.clock, prefix="toy", lifetime_s=3600, rotates=rotates)
        self.account = "acme"
        self.seen: list[str] = []

    def limit_headers(self, left: int) -> dict[str, str]:
        return {"X-Left": str(left)}

    @route("POST", "/token", is_counted=False)
    def token(self, request: Request) -> Reply:
        try:
            given = self.grants.exchange(request.form)
        except GrantRefused as refused:
            return Reply(400, {"error": str(refused), "error_description": "no"})
        return Reply(200, {**given, "expires_in": self.grants.lifetime_s, "token_type": "bearer"})

    @route("POST", "/revoke", is_counted=False)
    def revoke(self, request: Request) -> Reply:
        self.grants.revoke(request.form.get("token", ""))
        return Reply(204)

    @route("GET", "/names")
    @route("POST", "/names")
    def names(self, request: Request) -> Reply:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.seen.append(token)
        if not self.grants.is_good(token):
            return Reply(401, {"message": "expired"})
        return Reply(200, {"names": ["a"], "account": self.account}, {"X-Request-Id": "r-1 <x>"})


class Toy:
    """The adapter's side, registered in place of HubSpot's by `tests.integration.crm.conftest`."""

    name = "hubspot"
    auth_scheme = "Bearer"
    batch_max = 100
    follows_merged = True
    scopes = ("names",)

    def __init__(self, *, settings: Settings, session: Session) -> None:
        self.settings, self.session = settings, session

    @property
    def _oauth(self) -> str:
        return str(settings.CRM_HUBSPOT_OAUTH_URL)

    def authorize_url(self, *, state: str, challenge: str, redirect_uri: str) -> str:
        return oauth.authorize_url(
            f"{self._oauth}/authorize",
            client_id=self.settings.client_id,
            redirect_uri=redirect_uri,
            state=state,
            challenge=challenge,
            scope=" ".join(self.scopes),
        )

    def _form(self, **more: str) -> dict[str, str]:
        return {"client_id": self.settings.client_id, "client_secret": self.settings.client_secret, **more}

    def authenticate(self, *, code: str, verifier: str, redirect_uri: str) -> Grant:
        form = self._form(
            grant_type="authorization_code", code=code, code_verifier=verifier, redirect_uri=redirect_uri
        )
        return oauth.grant(oauth.post_form(f"{self._oauth}/token", form))

    def refresh(self, refresh_token: str) -> Grant:
        form = self._form(grant_type="refresh_token", refresh_token=refresh_token)
        return oauth.grant(oauth.post_form(f"{self._oauth}/token", form))

    def revoke(self, refresh_token: str) -> None:
        oauth.post_form(f"{self._oauth}/revoke", self._form(token=refresh_token))

    def failure(self, answer: Answer) -> ProviderError:
        wait = answer.headers.get("retry-after")
        wait_s = float(wait) if wait else None
        if answer.status == 401:
            return ConnectionFault("The token is not accepted.", code="not_authorized")
        if answer.status == 403:
            return Forbidden("Not allowed.", code="missing_scopes")
        if answer.status == 429:
            return LimitReached("Too many calls.", retry_after_s=wait_s)
        if answer.status >= 500:
            return Unavailable(f"Answered {answer.status}.", retry_after_s=wait_s)
        return CallRefused(f"Refused with {answer.status}.")

    def limits(self, headers: Mapping[str, str]) -> Limits:
        left = headers.get("x-left")
        return Limits(window_left=int(left) if left else None)

    def health(self) -> Health:
        answer = self.session.call("GET", "/names", operation="health")
        return Health(account_name="Acme", external_id=answer.body["account"])

    def describe(self, object_name: str) -> list[FieldInfo]:
        self.session.call("GET", "/names", operation="describe", object_name=object_name)
        return [FieldInfo(name="email", label="E-mail", type="email")]

    def create(self, object_name: str, fields: Fields, *, external_id: str) -> Written:
        self.session.call("POST", "/names", operation="create", is_write=True, records=1, json=dict(fields))
        return Written(external_id)

    def update(self, object_name: str, crm_id: str, fields: Fields) -> Written:
        raise NotImplementedError

    def get(self, object_name: str, crm_id: str, names: Sequence[str]) -> Record | None:
        raise NotImplementedError

    def get_many(self, object_name: str, crm_ids: Sequence[str], names: Sequence[str]) -> list[Record]:
        self.session.call("GET", "/names", operation="get_many", records=len(crm_ids))
        return []

    def upsert(self, object_name: str, wanted: Sequence[Upsert]) -> list[Written]:
        raise NotImplementedError

    def find(self, object_name: str, external_id: str) -> str:
        raise NotImplementedError

    def delete(self, object_name: str, crm_id: str) -> None:
        raise NotImplementedError

    def changes(self, object_name: str, cursor: Cursor, names: Sequence[str]) -> Page:
        raise NotImplementedError

    def verify(self, *, method: str, url: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> str:
        stamp = headers.get("x-stamp", "")
        if not stamp.isdecimal():
            raise CallRefused("no stamp", code="webhook_signature")
        expected = signatures.hubspot_v3(
            secret=self.settings.client_secret, method=method, uri=url, body=body, timestamp=stamp
        )
        if not signatures.same(headers.get("x-proof", ""), expected):
            raise CallRefused("wrong", code="webhook_signature")
        if not signatures.is_fresh(int(stamp), now_ms=now_ms):
            raise CallRefused("old", code="webhook_stale")
        return signatures.digest(body)

    def events(self, body: bytes, content_type: str) -> list[HookEvent]:
        try:
            rows = json.loads(body)
            return [
                HookEvent(
                    key=str(row["key"]),
                    object_name=row.get("object", "contacts"),
                    crm_id=str(row["id"]),
                    what=row.get("what", "changed"),
                    occurred_at=datetime.fromtimestamp(row["at"], UTC) if "at" in row else None,
                    changed_by_us=row.get("ours", False),
                )
                for row in rows
            ]
        except (ValueError, KeyError, TypeError):
            raise CallRefused("cannot be read", code="webhook_malformed") from None

    def acknowledgement(self, content_type: str) -> tuple[bytes, str]:
        return (b"<Ack/>", "text/xml") if content_type == "text/xml" else (b"", "")

    def watch(self, *, notify_url: str, watched: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        self.session.call("POST", "/names", operation="watch", is_write=True, json={"url": notify_url})
        return {"notify_url": notify_url}


def proof(*, secret: str, uri: str, body: bytes, stamp: str, method: str = "POST") -> str:
    """Return the proof that a delivery of the toy carries, made without the code under test."""
    text = method.encode() + uri.encode() + body + stamp.encode()
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()
