"""Symbols for the tests of the market."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from apps.market.models import Symbol
from apps.market.services.symbols import seed_demo_symbols


@pytest.fixture
def symbols(db) -> dict[str, Symbol]:
    """Seed the demo's symbols and return them by name."""
    return {symbol.name: symbol for symbol in seed_demo_symbols()}


@pytest.fixture
def eurusd(symbols) -> Symbol:
    """Return one symbol."""
    return symbols["EURUSD"]


def at(text: str) -> datetime:
    """Return an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def eventually(check: Callable[[], object], *, timeout_s: float = 15.0) -> None:
    """Poll until the check is true; fail with its last value after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"still {found!r} after {timeout_s} s"
        time.sleep(0.02)
