"""
Finding free TCP ports on the loopback interface.

A port is free when it can be bound at the moment of the question; nothing here reserves it.
"""

from __future__ import annotations

import os
import socket

LOOPBACK = "127.0.0.1"

# Below the range that Linux and macOS hand out to outgoing connections, so that a load test cannot take a
# server's port.
_SCRATCH_FIRST = 20_000
_SCRATCH_LAST = 29_999


class NoFreePort(RuntimeError):
    """No port could be bound in the range that was searched."""


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def next_free(first: int, *, taken: frozenset[int] = frozenset(), tries: int = 200) -> int:
    """
    Return the first free port from `first` upwards, passing over those in `taken`.

    :raises NoFreePort: none of the next `tries` ports can be bound.
    """
    last = min(first + tries - 1, 65_535)
    for port in range(first, last + 1):
        if port not in taken and is_free(port):
            return port
    raise NoFreePort(f"no free port between {first} and {last}")


def scratch(*, taken: frozenset[int] = frozenset()) -> int:
    """
    Return a free port for a server that lives briefly; callers in different processes start looking at
    different places.
    """
    first = _SCRATCH_FIRST + int.from_bytes(os.urandom(2)) % (_SCRATCH_LAST - _SCRATCH_FIRST - 200)
    return next_free(first, taken=taken)
