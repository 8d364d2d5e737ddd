"""Finding a free port."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from rtx.local import ports


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server((ports.LOOPBACK, 0)) as listening:
        yield listening.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_not_free(busy_port: int) -> None:
    assert not ports.is_free(busy_port)


def test_the_search_passes_over_busy_and_taken_ports(busy_port: int) -> None:
    found = ports.next_free(busy_port, taken=frozenset({busy_port + 1}))

    assert found > busy_port + 1
    assert ports.is_free(found)


def test_the_search_ends_with_a_clear_error(busy_port: int) -> None:
    with pytest.raises(ports.NoFreePort, match=f"between {busy_port} and {busy_port}"):
        ports.next_free(busy_port, tries=1)


def test_scratch_ports_stay_below_those_of_outgoing_connections() -> None:
    assert all(20_000 <= ports.scratch() < 32_768 for _ in range(20))
