"""
Gives RTX access to a CRM and keeps it: authorization code with PKCE and state, refresh under a lock, giving
the grant back. Tokens leave sealed rows only towards the provider.
"""

from dataclasses import dataclass

from apps.crm.models import Connection
from rtx.kernel.actor import Actor


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the person is sent now; the address carries the state."""

    url: str
    expires_in_s: int


def start(*, connection_id: int, actor: Actor, redirect_uri: str) -> Begun:
    """
    Begin an authorization for the staff member who asks. `redirect_uri`: address of the callback page.

    :raises NotFound: `connection_not_found`.
    :raises Conflict: `connection_incomplete`: client id or secret is missing.
    """
    raise NotImplementedError


def finish(*, actor: Actor, state: str, code: str, error: str, error_description: str = "") -> Connection:
    """
    End an authorization with what the provider appended to the callback's address: it is ACTIVE then.

    :raises OAuthFailed: with a `code` and a detail for the person: unknown, used or expired state, somebody
        else's, refused by the person (`oauth_access_denied`), refused code, wrong client secret, ...
    """
    raise NotImplementedError
