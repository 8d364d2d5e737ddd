"""
Calls to the outside world that cannot be led inside: the one way in which RTX opens an HTTP connection to an
address that a person or a provider named. Knows no provider and no secret.

An address is looked up once, every answer is checked, and the connection goes to the very address that was
checked: a name that changes between the look and the call (DNS rebinding) gains nothing. Redirects are not
followed and environment proxies are not used.
"""

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import httpcore
import httpx
from django.conf import settings

from rtx.kernel.errors import Invalid

TIMEOUT = httpx.Timeout(20.0, connect=5.0)
LIMITS = httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=20.0)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # an IPv4 address stands in the last 32 bits
NEVER = (ipaddress.IPv6Network("64:ff9b:1::/48"), ipaddress.IPv6Network("::/96"))  # of a house's own; old


class AddressRefused(Invalid):
    """An address that RTX does not call: not https, or inside the house."""

    code = "address_refused"


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public internet (metadata services and tunnels do not)."""
    inner = _inner(address)
    if isinstance(inner, ipaddress.IPv6Address):
        is_tunnel = inner.sixtofour is not None or inner.teredo is not None
        if is_tunnel or any(inner in network for network in NEVER):
            return False
    return inner.is_global and not inner.is_multicast


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address
    return address


def _may_call(address: Address) -> bool:
    is_allowed = settings.OUTGOING_ALLOWS_LOOPBACK and _inner(address).is_loopback
    return is_public(address) or is_allowed


def check_url(url: str) -> httpx.URL:
    """
    Return the parsed address when it has an allowed form; its host is looked up only when it is called.

    :raises AddressRefused: not https (plain http only where loopback is allowed, and led there alone), or it
        names a user, or no host.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise AddressRefused("The address cannot be read.") from error
    is_plain_allowed = parsed.scheme == "http" and settings.OUTGOING_ALLOWS_LOOPBACK
    if not parsed.host or parsed.userinfo or not (parsed.scheme == "https" or is_plain_allowed):
        raise AddressRefused("Only https addresses without a user name are called.")
    return parsed


def addresses(host: str, port: int, *, is_plain: bool = False) -> list[Address]:
    """
    Look a host up; every address it has must be callable. `is_plain`: without TLS, so by this machine alone.

    :raises AddressRefused: one of them is inside the house, or plain http leads away from this machine.
    :raises OSError: the name is unknown.
    """
    found: list[Address] = []
    for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = ipaddress.ip_address(str(place[0]).partition("%")[0])
        if address not in found:
            found.append(address)
    if not found or not all(_may_call(address) for address in found):
        raise AddressRefused(f"{host} lies inside the house: it is not called.")
    if is_plain and not all(_inner(address).is_loopback for address in found):
        raise AddressRefused(f"{host} is called by https alone.")
    return found


class _CheckedBackend(httpcore.SyncBackend):
    """Opens connections only to addresses that were checked; the name is used for TLS alone."""

    def __init__(self, *, is_plain: bool) -> None:
        self._is_plain = is_plain

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Look up, check, and connect to the first address that answers."""
        try:
            known = addresses(host, port, is_plain=self._is_plain)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} is not known") from error
        for place, address in enumerate(known):
            try:
                return super().connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(known) - 1:
                    raise
        raise httpcore.ConnectError(f"{host} does not answer")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Refuse: nothing outside is a file."""
        raise httpcore.ConnectError("no files")


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Return what certificates are checked by; reading them takes a fifth of a second."""
    return httpx.create_ssl_context(trust_env=False)


class _CheckedTransport(httpx.HTTPTransport):
    def __init__(self, *, is_plain: bool = False) -> None:
        super().__init__(verify=_tls(), trust_env=False, limits=LIMITS, retries=0)
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(),
            max_connections=LIMITS.max_connections,
            max_keepalive_connections=LIMITS.max_keepalive_connections,
            keepalive_expiry=LIMITS.keepalive_expiry,
            network_backend=_CheckedBackend(is_plain=is_plain),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse forms of address that are never called, then send."""
        check_url(str(request.url))
        return super().handle_request(request)


def client(*, timeout: httpx.Timeout = TIMEOUT) -> httpx.Client:
    """
    Return an HTTP client for addresses outside; close it after use.

    A call raises `AddressRefused` for an address inside the house, httpx's errors for all else.
    """
    return httpx.Client(
        transport=_CheckedTransport(),
        mounts={"http://": _CheckedTransport(is_plain=True)},
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
    )
