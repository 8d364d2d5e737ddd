"""
What the providers' OAuth 2.0 has in common: the address at which a person agrees, and the calls to a token
endpoint. Form bodies, no redirects, no session (there is no token yet). Writes no secret into an error.
A token endpoint is given little time: whoever else needs the token waits meanwhile.
"""

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from apps.crm.adapters.provider import AccessRevoked, ConnectionFault, Grant, LimitReached, Unavailable
from rtx.kernel import outgoing
from rtx.kernel.errors import RtxError

BODY_MAX = 256 * 1024
TIMEOUT = httpx.Timeout(5.0, connect=3.0)
ANSWER_S = 8.0  # for the whole answer, however slowly it drips
SILENT = "token_endpoint_silent"
LIFETIME_S = 1800.0  # of a token whose answer does not tell
REVOKED = frozenset({"invalid_grant", "bad_refresh_token"})  # the latter is HubSpot's


def challenge(verifier: str) -> str:
    """Return the PKCE challenge (S256) of a verifier."""
    return str(create_s256_code_challenge(verifier))


def authorize_url(
    address: str, *, client_id: str, redirect_uri: str, state: str, challenge: str, scope: str, **more: str
) -> str:
    """Return where a person is sent to agree: authorization code with PKCE S256."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **more,
    }
    return f"{address}?{urlencode(asked)}"


def post_form(address: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None) -> Any:
    """
    Send a form to a token endpoint and return the decoded answer ({} where it is empty).

    :raises AccessRevoked: the code or refresh token is not valid (any more).
    :raises ConnectionFault: `oauth_<error>` as the provider named it: wrong client, address of return, ...
    :raises LimitReached: too many tokens were asked for.
    :raises Unavailable: no answer in time (`token_endpoint_silent`), or none that can be read.
    """
    sent = {"Accept": "application/json", **(headers or {})}
    ends_at, content = time.monotonic() + ANSWER_S, bytearray()
    try:
        with (
            outgoing.client(timeout=TIMEOUT) as client,
            client.stream("POST", address, data=dict(form), headers=sent) as answer,
        ):
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > BODY_MAX:
                    raise Unavailable("The token endpoint's answer is too long.", code="provider_malformed")
                if time.monotonic() > ends_at:
                    raise Unavailable("The token endpoint took too long.", code=SILENT)
    except RtxError as error:
        raise ConnectionFault(error.detail, code=error.code) from None
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise Unavailable(
            f"The token endpoint did not answer ({type(error).__name__}).", code=SILENT
        ) from None
    return _decoded(answer.status_code, bytes(content))


def grant(body: Any, *, api_url: str = "", external_id: str = "") -> Grant:
    """
    Read a token answer (RFC 6749, 5.1).

    :raises Unavailable: it names no access token.
    """
    token = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        raise Unavailable("The token endpoint's answer holds no access token.", code="provider_malformed")
    return Grant(
        access_token=token,
        refresh_token=str(body.get("refresh_token") or ""),
        expires_in_s=_seconds(body.get("expires_in")),
        scope=str(body.get("scope") or ""),
        api_url=api_url,
        external_id=external_id,
    )


def _seconds(given: Any) -> float:
    try:
        return max(1.0, float(given))
    except (TypeError, ValueError):
        return LIFETIME_S


def _decoded(status: int, content: bytes) -> Any:
    if status == 429:
        raise LimitReached("Too many tokens were asked for.")
    if status >= 500:
        raise Unavailable(f"The token endpoint answered {status}.")
    try:
        body = json.loads(content) if content else {}
    except ValueError:
        body = None
    error = _error(body)
    if 200 <= status < 300 and not error:
        if body is None:
            raise Unavailable("The token endpoint's answer cannot be read.", code="provider_malformed")
        return body
    if error in REVOKED:
        raise AccessRevoked("The provider does not know the authorization (any more).")
    raise ConnectionFault(
        f"The token endpoint refused ({status}).", code=f"oauth_{error}"[:40] if error else "oauth_refused"
    )


def _error(body: Any) -> str:
    """Return the provider's error code as a short word; Zoho answers errors with 200."""
    if not isinstance(body, dict):
        return ""
    named = body.get("error") or body.get("status") if "access_token" not in body else ""
    word = str(named or "").lower().replace(" ", "_")
    return word if word.replace("_", "").isalnum() and word.isascii() and word != "success" else ""
