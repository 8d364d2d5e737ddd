"""
OAuth 2.0 as the providers' fakes share it: codes with PKCE (S256), access tokens that expire, refresh tokens
that may rotate, revocation. The fakes put it behind their own paths and words.
"""

import base64
import hashlib
import html
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.fakes.fake import Clock, Numbers, Reply, Request


@dataclass
class Code:
    """An agreed authorization, used once."""

    client_id: str
    redirect_uri: str
    challenge: str
    scope: str
    expires_at: float


@dataclass
class Refresh:
    """A refresh token that is still good."""

    client_id: str
    scope: str
    access_token: str = ""


class GrantRefused(Exception):
    """An OAuth error: its code, such as invalid_grant."""


class Grants:
    """All codes and tokens of one fake. `rotates`: each refresh ends its refresh token."""

    def __init__(self, clock: Clock, *, prefix: str, lifetime_s: float, rotates: bool = False) -> None:
        self.clock, self.prefix, self.lifetime_s, self.rotates = clock, prefix, lifetime_s, rotates
        self.clients: dict[str, str] = {}  # client id -> secret; empty: anyone may come
        self.codes: dict[str, Code] = {}
        self.refresh_tokens: dict[str, Refresh] = {}
        self.access_tokens: dict[str, float] = {}  # -> when it expires
        self.refreshed = 0
        self._numbers = Numbers()

    def agree(self, query: dict[str, str]) -> str:
        """A person agreed to an authorization with these parameters; return where the browser goes."""
        code = self._new("code")
        self.codes[code] = Code(
            client_id=query.get("client_id", ""),
            redirect_uri=query.get("redirect_uri", ""),
            challenge=query.get("code_challenge", "") if query.get("code_challenge_method") == "S256" else "",
            scope=query.get("scope", ""),
            expires_at=self.clock() + 60,
        )
        answer = {"code": code, "state": query.get("state", "")}
        return f"{query.get('redirect_uri', '')}?{urlencode(answer)}"

    def page(self, request: Request, *, title: str) -> Reply:
        """The page on which a person agrees or declines (POST with `agreed`)."""
        if request.method == "POST":
            form = request.form
            if "declined" in form:
                answer = {"error": "access_denied", "state": request.query.get("state", "")}
                return Reply(
                    302, headers={"Location": f"{request.query['redirect_uri']}?{urlencode(answer)}"}
                )
            return Reply(302, headers={"Location": self.agree(request.query)})
        asked = request.query.get("scope", "").replace(",", " ")
        scopes = "".join(f"<li>{html.escape(one)}</li>" for one in asked.split())
        content = (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
            "<meta name=viewport content='width=device-width, initial-scale=1'>"
            "<style>body{font:16px system-ui;max-width:32rem;margin:10vh auto;padding:0 1rem}"
            "button{font:inherit;padding:.6rem 1.2rem;margin-right:.6rem}</style>"
            f"<h1>{title}</h1><p>RTX asks to read and write:</p><ul>{scopes}</ul>"
            "<form method=post><button name=agreed value=1>Agree</button>"
            "<button name=declined value=1>Decline</button></form></html>"
        )
        return Reply(200, content.encode(), content_type="text/html; charset=utf-8")

    def exchange(self, form: dict[str, str]) -> dict[str, str]:
        """
        Answer a token request: `access_token`, `refresh_token` (empty: the old one stays), `scope`.

        :raises GrantRefused: invalid_client, invalid_grant or unsupported_grant_type.
        """
        client_id = form.get("client_id", "")
        if self.clients and self.clients.get(client_id) != form.get("client_secret"):
            raise GrantRefused("invalid_client")
        if form.get("grant_type") == "authorization_code":
            return self._by_code(form, client_id)
        if form.get("grant_type") == "refresh_token":
            return self._by_refresh(form, client_id)
        raise GrantRefused("unsupported_grant_type")

    def give(self, *, client_id: str = "", scope: str = "") -> tuple[str, str]:
        """Give access and refresh token outright, for tests that do not walk through the pages."""
        refresh = self._new("refresh")
        self.refresh_tokens[refresh] = Refresh(client_id, scope)
        return self._access(refresh), refresh

    def is_good(self, access_token: str) -> bool:
        """Tell whether an access token opens the API now."""
        return self.access_tokens.get(access_token, 0) > self.clock()

    def expire(self) -> None:
        """Let every access token end now; refresh tokens stay."""
        self.access_tokens.clear()

    def revoke(self, token: str) -> bool:
        """End a grant by its refresh or access token; tell whether there was one."""
        known = self.refresh_tokens.pop(token, None)
        if known is not None:
            self.access_tokens.pop(known.access_token, None)
            return True
        return self.access_tokens.pop(token, None) is not None

    def revoke_all(self) -> None:
        """The customer removed the app."""
        self.refresh_tokens.clear()
        self.access_tokens.clear()

    def _by_code(self, form: dict[str, str], client_id: str) -> dict[str, str]:
        code = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            code is None
            or code.expires_at <= self.clock()
            or code.client_id != client_id
            or code.redirect_uri != form.get("redirect_uri")
            or (code.challenge and code.challenge != challenge)
        ):
            raise GrantRefused("invalid_grant")
        refresh = self._new("refresh")
        self.refresh_tokens[refresh] = Refresh(client_id, code.scope)
        return {"access_token": self._access(refresh), "refresh_token": refresh, "scope": code.scope}

    def _by_refresh(self, form: dict[str, str], client_id: str) -> dict[str, str]:
        token = form.get("refresh_token", "")
        known = self.refresh_tokens.get(token)
        if known is None or (known.client_id and known.client_id != client_id):
            raise GrantRefused("invalid_grant")
        self.refreshed += 1
        fresh = ""
        if self.rotates:
            fresh = self._new("refresh")
            self.refresh_tokens[fresh] = self.refresh_tokens.pop(token)
        return {
            "access_token": self._access(fresh or token),
            "refresh_token": fresh,
            "scope": known.scope,
        }

    def _access(self, refresh: str) -> str:
        access = self._new("access")
        self.access_tokens[access] = self.clock() + self.lifetime_s
        self.refresh_tokens[refresh].access_token = access
        return access

    def _new(self, what: str) -> str:
        return f"{self.prefix}-{what}-{next(self._numbers):06d}"
