"""One running broker for all fault tests: web and engine as real processes, some traders with money."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtx.local.home import REPOSITORY
from rtx.local.stack import Stack
from tests.conftest import STEADY_PRICES, TEST_FOLDER, copy_installation
from tests.integration.faults.clients import Answer, Caller, eventually

ACCOUNTS = 6


@pytest.fixture(scope="module")
def stack(migrated_home: Path) -> Iterator[Stack]:
    """A stack whose servers run; web and engine come with the clients."""
    home = copy_installation(migrated_home, TEST_FOLDER / f"faults-{os.getpid()}")
    env = {
        "DJANGO_SETTINGS_MODULE": "rtx.settings.dev",  # the tests' own would be inherited
        **STEADY_PRICES,
        "RTX_RATE_API_PER_S": "10000",
        "RTX_RATE_API_BURST": "10000",
    }
    running = Stack(home=home, fast=True, temporary=True, env=env)
    running.open(migrate=False)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def callers(stack: Stack) -> list[Caller]:
    """Clients of the running broker, each with an account."""
    made = subprocess.run(
        [sys.executable, "-m", "tests.integration.faults.broker", str(ACCOUNTS)],
        env=stack.env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout.splitlines()[-1])
    stack.start("web", "engine")
    return [Caller(stack.web_url, login=one["login"], token=one["token"]) for one in found]


@pytest.fixture
def trading(stack: Stack, callers: list[Caller]) -> list[Caller]:
    """The clients, once the broker fills orders again after whatever the test before did to it."""
    last: list[Answer] = []

    def fills() -> bool:
        last[:] = [callers[0].order(f"probe-{os.urandom(8).hex()}")]
        return last[0].body.get("status") == "filled"

    eventually(fills, "the broker to fill an order", within_s=30, seen=lambda: last)
    return callers
