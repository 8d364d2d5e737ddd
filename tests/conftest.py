"""
What all tests share: where Redis will be, and stacks of real processes. Starts nothing by itself.

Unit tests need no server. Integration tests get theirs from `tests/integration/conftest.py`, started on
first use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from rtx.local import ports
from rtx.local.home import REPOSITORY, Home, exclusively
from rtx.local.postgres import outside_folder
from rtx.local.programs import Sizes
from rtx.local.stack import Stack
from rtx.local.testbed import fingerprint

TEST_FOLDER = REPOSITORY / ".rtx" / "test"

MakeStack = Callable[..., Stack]

# Made-up prices that move several times a second at any hour, whatever feed this machine's environment names:
# recorded ones have pauses in which orders are refused.
STEADY_PRICES = {
    "RTX_FEED": "simulated",
    "RTX_FEED_BY_SYMBOL": "",
    "RTX_FEED_SPEED": "5",
    "RTX_SESSIONS_ALWAYS_OPEN": "1",
}


def pytest_configure() -> None:
    """
    Point the settings at the Redis of this test process before anything reads them; it is started on demand.
    """
    url = (
        os.environ.get("TEST_REDIS_URL", "")
        or f"redis://:{os.urandom(12).hex()}@127.0.0.1:{ports.scratch()}/0"
    )
    settings.REDIS_URL = url
    settings.CELERY_BROKER_URL = url
    settings.CACHES["default"]["LOCATION"] = url
    settings.CHANNEL_LAYERS["default"]["CONFIG"] |= {"hosts": [url]}


@pytest.fixture(scope="session")
def migrated_home() -> Path:
    """
    Return a stopped installation whose database is migrated: copied, it spares each stack half a minute of
    setting up.

    It is kept between test runs for as long as the migrations stay the same.
    """
    TEST_FOLDER.mkdir(parents=True, exist_ok=True)
    TEST_FOLDER.parent.chmod(0o711)
    TEST_FOLDER.chmod(0o711)
    made = TEST_FOLDER / f"installation-{fingerprint()}"
    with exclusively(TEST_FOLDER / "installation.lock"):
        if not (made / "complete").exists():
            for old in TEST_FOLDER.glob("installation-*"):
                Home(old).remove()
            with Stack(home=made, fast=True):
                pass
            (made / "complete").touch()
    return made


@pytest.fixture
def make_stack(migrated_home: Path) -> Iterator[MakeStack]:
    """
    Return a factory of running stacks (servers up, database migrated, no process started yet).

    `make_stack(env={...}, sizes=Sizes(web_workers=2))`; everything stops and goes at the end of the test.
    """
    made: list[Stack] = []

    def make(
        *, env: dict[str, str] | None = None, sizes: Sizes | None = None, durable: bool = False
    ) -> Stack:
        target = TEST_FOLDER / f"stack-{os.getpid()}-{len(made)}"
        home = copy_installation(migrated_home, target, in_memory=not durable)
        demo = {"DJANGO_SETTINGS_MODULE": "rtx.settings.dev"}  # open on every day, boards follow the bus
        stack = Stack(home=home, fast=not durable, temporary=True, env=demo | (env or {}), sizes=sizes)
        made.append(stack)
        stack.open(migrate=False)
        return stack

    yield make
    for stack in made:
        stack.close()


def copy_installation(source: Path, target: Path, *, in_memory: bool = True) -> Path:
    """
    Copy a stopped installation, owners included, and return the copy.

    `in_memory` puts its data there, if there is room: making and removing its files is quick then.
    """
    if target.exists():
        Home(target).remove()
    data = Home(source).postgres_data
    copy = Home(target)
    copy.prepare()
    shutil.copy2(source / "secrets.env", target / "secrets.env")
    memory = copy.claim_memory() if in_memory else None
    if memory is not None:
        copy.place_postgres_data(memory / "postgres")
    elif data.parent != source:  # PostgreSQL cannot reach this clone, so the data lies outside
        copy.place_postgres_data(outside_folder(target) / "postgres")
    subprocess.run(["cp", "-a", str(data), str(copy.postgres_data)], check=True)
    return target
