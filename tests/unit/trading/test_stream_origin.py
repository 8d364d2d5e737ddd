"""Which pages may open a socket."""

from typing import Any

import pytest

from apps.trading.consumers.server import origin_is_allowed

HERE = "broker.example:8001"


def scope(origin: str, host: str = HERE) -> dict[str, Any]:
    headers = [(b"host", host.encode())]
    if origin:
        headers.append((b"origin", origin.encode()))
    return {"headers": headers}


@pytest.mark.parametrize(
    ("origin", "listed", "is_allowed"),
    [
        ("", [], True),
        ("", ["https://app.example"], True),
        ("https://broker.example", [], True),
        ("http://broker.example:8000", [], True),
        ("https://evil.example", [], False),
        ("https://broker.example.evil.example", [], False),
        ("null", [], False),
        ("https://app.example", ["https://app.example"], True),
        ("https://app.example:444", ["https://app.example"], False),
        ("https://broker.example", ["https://app.example"], False),
    ],
)
def test_a_page_may_connect_from_the_same_host_or_a_listed_origin(settings, origin, listed, is_allowed):
    settings.STREAM_ALLOWED_ORIGINS = listed

    assert origin_is_allowed(scope(origin)) is is_allowed
