"""
What the providers' OAuth 2.0 has in common: the address at which a person agrees, and the calls to a token
endpoint. Form bodies, no redirects, no session (there is no token yet). Writes no secret into an error.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from apps.crm.adapters.provider import AccessRevoked, CallRefused, Grant, LimitReached, Unavailable
from rtx.kernel import outgoing
from rtx.kernel.errors import RtxError

BODY_MAX = 256 * 1024
LIFETIME_S = 1800.0  # of a token whose answer does not tell
REVOKED = frozenset({"invalid_grant", "invalid_token", "inactive_user", "inactive_org", "bad_refresh_token"})


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
    :raises CallRefused: `oauth_<error>` as the provider named it: wrong client, address of return, ...
    :raises LimitReached: too many tokens were asked for.
    :raises Unavailable: no answer, or none that can be read.
    """
    try:
        with outgoing.client() as client:
            answer = client.post(
                address, data=dict(form), headers={"Accept": "application/json", **(headers or {})}
            )
    except RtxError as error:
        raise CallRefused(error.detail, code=error.code) from None
    except httpx.HTTPError as error:
        raise Unavailable(f"The token endpoint did not answer ({type(error).__name__}).") from None
    return _decoded(answer)


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


def _decoded(answer: httpx.Response) -> Any:
    if len(answer.content) > BODY_MAX:
        raise Unavailable("The token endpoint's answer is too long.", code="provider_malformed")
    if answer.status_code == 429:
        raise LimitReached("Too many tokens were asked for.")
    if answer.status_code >= 500:
        raise Unavailable(f"The token endpoint answered {answer.status_code}.")
    try:
        body = answer.json() if answer.content else {}
    except ValueError:
        body = None
    error = _error(body)
    if answer.is_success and not error:
        if body is None:
            raise Unavailable("The token endpoint's answer cannot be read.", code="provider_malformed")
        return body
    if error in REVOKED:
        raise AccessRevoked("The provider does not know the authorization (any more).")
    raise CallRefused(
        f"The token endpoint refused ({answer.status_code}).",
        code=f"oauth_{error}"[:40] if error else "oauth_refused",
    )


def _error(body: Any) -> str:
    """Return the provider's error code as a short word; Zoho answers errors with 200."""
    if not isinstance(body, dict):
        return ""
    named = body.get("error") or body.get("status") if "access_token" not in body else ""
    word = str(named or "").lower().replace(" ", "_")
    return word if word.replace("_", "").isalnum() and word.isascii() and word != "success" else ""
