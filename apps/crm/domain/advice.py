"""
What a person does about a failure of a CRM connection, by its stable code. Texts only; no values of anybody.
"""

from collections.abc import Mapping

ADVICE: Mapping[str, str] = {
    "not_connected": "Press Connect and agree at the provider.",
    "access_revoked": "Somebody took RTX's access away at the provider, or it ended. Press Connect again.",
    "address_refused": "The host is not https, or lies inside the house. Correct the CRM_*_URL settings.",
    "provider_unavailable": "The provider does not answer. See its status page; RTX tries again by itself.",
    "provider_malformed": "The provider's answer cannot be read. Check that the address is its own.",
    "token_endpoint_silent": "The provider's sign-in host does not answer. RTX asks again by itself.",
    "breaker_open": "The provider failed several times in a row and is left alone for a while. Wait.",
    "rate_limited": "Too many calls: RTX waits. Lower 'calls per window' if others share the limit.",
    "daily_limit": "The day's calls are used up. Wait, or buy more; other programs count too.",
    "not_authorized": "The provider refuses the token although it is fresh. Press Connect again.",
    "missing_scopes": "Allow the OAuth app the missing scopes at the provider, then Connect again.",
    "oauth_inactive_user": "The user who agreed is disabled at the provider. Enable them, or Connect anew.",
    "oauth_inactive_org": "The account is locked at the provider. Unlock it there.",
    "oauth_refused": "The provider's sign-in host refused RTX. Check the OAuth app at the provider.",
    "object_missing": "The object does not exist or RTX may not see it. Correct its name or rights.",
    "missing_rights": "Give the connected user the right to use the API, this object and its fields.",
    "too_many_fields": "Map fewer fields.",
    "field_name": "Correct the name in the mapping, or of the object: letters, digits and _ only.",
    "field_read_only": "Map another field, or turn the direction round.",
    "field_missing": "Create the field at the provider (text, unique), or correct the mapping.",
    "connection_incomplete": "Enter client id and client secret of the OAuth app.",
    "public_url_missing": "Set RTX_PUBLIC_URL to where providers reach this site; till then runs pull.",
    "webhook_secret_missing": "Enter a webhook secret and use the same one at the provider.",
    "watch_missing": "RTX opens the channel within a minute of Connect. If it does not, see the log of calls "
    "(watch): the scope for notifications or RTX_PUBLIC_URL is wrong at the provider.",
    "oauth_state": "The authorization was begun by somebody else, is older than 10 minutes or was used. "
    "Press Connect again.",
    "oauth_access_denied": "The person declined at the provider. Press Connect again and agree.",
    "oauth_code": "The provider did not accept the code. Press Connect again.",
    "oauth_invalid_client": "Client id or client secret is wrong. Copy both from the provider's app again.",
    "oauth_invalid_client_id": "The client id is wrong. Copy it from the provider's app again.",
    "oauth_redirect_uri_mismatch": "Register this site's callback address in the provider's app.",
    "oauth_invalid_redirect_uri": "Register this site's callback address in the provider's app.",
    "oauth_invalid_scope": "The provider's app does not allow a scope that RTX needs. Add it there.",
    "oauth_no_refresh_token": "The provider gave no lasting access. Allow offline access in its app, then "
    "Press Connect again.",
    "oauth_other_account": "This is another account of the provider than before. Choose the former one, or "
    "remove the connection and make a new one.",
}
DEFAULT = "See the log of calls; the provider's message is there."


def advice(code: str) -> str:
    """Return what a person does about a code."""
    return ADVICE.get(code, DEFAULT)
