"""Calls to the outside world that somebody tries to lead inside."""

import ipaddress
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from rtx.kernel import outgoing

INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # metadata of clouds
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fd00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "2002:0a00:0001::1",  # 6to4 of 10.0.0.1
    "64:ff9b::a00:1",  # NAT64 of 10.0.0.1
    "64:ff9b:1::a00:1",  # NAT64 of the house's own
    "::10.0.0.1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
]


class Names:
    """A name service of the test: host to addresses, one list per look."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []

    def lookup(self, host: str, port: int, *_args: object, **_kwargs: object) -> list[tuple]:
        self.asked.append(host)
        looks = self.answers.get(host)
        found = [host] if looks is None else looks.pop(0) if len(looks) > 1 else looks[0]
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, port, 0, 0) if ":" in one else (one, port),
            )
            for one in found
        ]


@pytest.fixture
def names(monkeypatch) -> Names:
    known = Names()
    monkeypatch.setattr(outgoing.socket, "getaddrinfo", known.lookup)
    return known


@pytest.fixture
def strict(settings):
    settings.OUTGOING_ALLOWS_LOOPBACK = False


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def local_server() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_of_the_house_is_public(address):
    assert not outgoing.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_public(address):
    assert outgoing.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_lies_inside_is_not_called(address, names, strict):
    names.answers["crm.example"] = [[address]]

    with outgoing.client() as client, pytest.raises(outgoing.AddressRefused):
        client.get("https://crm.example/")


def test_one_address_inside_among_public_ones_is_enough_to_refuse(names, strict):
    names.answers["crm.example"] = [["93.184.216.34", "10.0.0.1"]]

    with pytest.raises(outgoing.AddressRefused):
        outgoing.addresses("crm.example", 443)


def test_a_name_is_looked_up_once_so_that_a_changed_answer_gains_nothing(names, settings, local_server):
    """DNS rebinding: public (here: allowed) at the check, inside at the connect."""
    settings.OUTGOING_ALLOWS_LOOPBACK = True
    names.answers["crm.example"] = [["127.0.0.1"], ["10.0.0.1"]]

    with outgoing.client() as client:
        answer = client.get(f"http://crm.example:{local_server}/")

    assert answer.status_code == 200
    assert names.asked == ["crm.example", "127.0.0.1"]  # the second look is at the number itself


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example/",
        "ftp://crm.example/",
        "file:///etc/passwd",
        "https://user:word@crm.example/",
        "https://user@crm.example/",
        "https:///path",
        "//crm.example/",
        "gopher://crm.example:70/",
    ],
)
def test_only_https_without_a_user_is_called(url, strict):
    with pytest.raises(outgoing.AddressRefused):
        outgoing.check_url(url)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "017700000001"])
def test_an_odd_way_of_writing_loopback_is_not_called(host, strict):
    with outgoing.client() as client, pytest.raises((outgoing.AddressRefused, httpx.ConnectError)):
        client.get(f"https://{host}/")


def test_plain_http_is_called_only_where_loopback_is_allowed(settings):
    settings.OUTGOING_ALLOWS_LOOPBACK = True
    assert outgoing.check_url("http://127.0.0.1:1/").host == "127.0.0.1"

    settings.OUTGOING_ALLOWS_LOOPBACK = False
    with pytest.raises(outgoing.AddressRefused):
        outgoing.check_url("http://127.0.0.1:1/")


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700:4700::1111"])
def test_plain_http_leads_nowhere_but_to_this_machine(address, names, settings):
    settings.OUTGOING_ALLOWS_LOOPBACK = True
    names.answers["crm.example"] = [["127.0.0.1", address]]

    with outgoing.client() as client, pytest.raises(outgoing.AddressRefused) as refused:
        client.get("http://crm.example/")

    assert refused.value.detail == "crm.example is called by https alone."
    assert names.asked == ["crm.example"]


def test_allowing_loopback_allows_no_other_address_of_the_house(names, settings):
    settings.OUTGOING_ALLOWS_LOOPBACK = True
    names.answers["crm.example"] = [["192.168.0.1"]]

    with pytest.raises(outgoing.AddressRefused):
        outgoing.addresses("crm.example", 443)


def test_a_redirect_is_not_followed(settings, local_server):
    settings.OUTGOING_ALLOWS_LOOPBACK = True

    with outgoing.client() as client:
        answer = client.get(f"http://127.0.0.1:{local_server}/away")

    assert answer.status_code == 302
    assert answer.history == []


def test_a_proxy_of_the_environment_is_not_used(monkeypatch, settings, local_server):
    settings.OUTGOING_ALLOWS_LOOPBACK = True
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with outgoing.client() as client:
        assert client.get(f"http://127.0.0.1:{local_server}/").status_code == 200


def test_an_unknown_name_is_a_failed_connection_not_a_refusal(monkeypatch, strict):
    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", unknown)

    with outgoing.client() as client, pytest.raises(httpx.ConnectError):
        client.get("https://nowhere.example/")
