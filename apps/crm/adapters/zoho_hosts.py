"""
Where Zoho lives: each region has its own accounts server and its own API domain. A token is sent to an API
domain that a token's answer names, so that must be one of Zoho's. Knows no connection.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as project

from apps.crm.adapters.provider import ConnectionFault

ACCOUNTS: Mapping[str, str] = {
    "com": "https://accounts.zoho.com",
    "eu": "https://accounts.zoho.eu",
    "in": "https://accounts.zoho.in",
    "com.au": "https://accounts.zoho.com.au",
    "jp": "https://accounts.zoho.jp",
    "com.cn": "https://accounts.zoho.com.cn",
    "sa": "https://accounts.zoho.sa",
    "ca": "https://accounts.zohocloud.ca",
}
APIS = tuple(f"zohoapis.{region}" for region in ACCOUNTS)


def accounts(region: str, what: str) -> str:
    """
    Return an address of a region's accounts server.

    :raises ConnectionFault: `address_refused`: Zoho has no such region.
    """
    base = project.CRM_ZOHO_OAUTH_URL or ACCOUNTS.get(region, "")
    if not base:
        raise ConnectionFault("Zoho has no such region.", code="address_refused")
    return f"{base.rstrip('/')}/oauth/v2/{what}"


def api(body: Any) -> str:
    """
    Return the address of the API that a token's answer names; "" where it names none.

    :raises ConnectionFault: `address_refused`: it is none of Zoho's.
    """
    if project.CRM_ZOHO_URL:
        return str(project.CRM_ZOHO_URL).rstrip("/")
    told = body.get("api_domain") if isinstance(body, dict) else None
    if told is None:
        return ""
    try:
        parts = urlsplit(told) if isinstance(told, str) else None
        port = parts.port if parts is not None else None
    except ValueError:
        parts, port = None, None
    host = (parts.hostname or "") if parts is not None else ""
    is_theirs = any(host == one or host.endswith(f".{one}") for one in APIS)
    if parts is None or parts.scheme != "https" or parts.username or port or not is_theirs:
        raise ConnectionFault("The token's answer names no address of Zoho.", code="address_refused")
    return f"https://{host}"
