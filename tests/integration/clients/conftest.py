"""A running broker (web, stream and engine as real processes) and the Python client, logged in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rtx_client import RtxClient, Tokens

from rtx.local.home import REPOSITORY
from rtx.local.stack import Stack
from tests.conftest import STEADY_PRICES, TEST_FOLDER, copy_installation
from tests.integration.faults.clients import eventually


@dataclass(frozen=True)
class Trader:
    """One client's program with its account."""

    broker: RtxClient
    login: int
    stack: Stack

    @property
    def stream_url(self) -> str:
        """The address of the stream."""
        return self.stack.stream_url


@pytest.fixture(scope="module")
def stack(migrated_home: Path) -> Iterator[Stack]:
    """Servers, web, stream and engine."""
    home = copy_installation(migrated_home, TEST_FOLDER / f"clients-{os.getpid()}")
    env = {"DJANGO_SETTINGS_MODULE": "rtx.settings.dev", **STEADY_PRICES}
    running = Stack(home=home, fast=True, temporary=True, env=env)
    try:
        running.open(migrate=False)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def trader(stack: Stack) -> Iterator[Trader]:
    """A trader with 100,000 USD on a netting account, once there are prices."""
    made = subprocess.run(
        [sys.executable, "-m", "tests.integration.faults.broker", "1"],
        env=stack.env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (one,) = json.loads(made.stdout.splitlines()[-1])
    stack.start("web", "stream", "engine")
    with RtxClient(stack.web_url) as broker:
        broker.use(Tokens(access=one["token"], refresh="", expires_in=900))
        eventually(lambda: len(broker.quotes()) == 4, "prices", within_s=30, seen=broker.quotes)
        yield Trader(broker=broker, login=one["login"], stack=stack)
