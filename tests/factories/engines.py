"""
Installations in which a test starts and kills engines of its own, and what it reads of their database.

Everything they make ends with them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from rtx.local.home import REPOSITORY
from rtx.local.process import Process
from rtx.local.stack import Stack
from tests.conftest import STEADY_PRICES, TEST_FOLDER, copy_installation

StartEngine = Callable[[str], Process]


@contextmanager
def installation(source: Path, *, broker: str, orders: int) -> Iterator[Stack]:
    """Run the servers of a copy of an installation, filled by the module `broker` with this many orders."""
    name = broker.rpartition(".")[2]
    home = copy_installation(source, TEST_FOLDER / f"stack-{name}-{os.getpid()}")
    env = {"DJANGO_SETTINGS_MODULE": "rtx.settings.dev", **STEADY_PRICES}
    with Stack(home=home, fast=True, temporary=True, env=env) as made:
        done = subprocess.run(
            [sys.executable, "-m", broker, str(orders)],
            env=made.env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield made


@contextmanager
def engines(stack: Stack) -> Iterator[StartEngine]:
    """Start engines by name; what still runs is ended afterwards."""
    started: list[Process] = []

    def start(name: str) -> Process:
        engine = Process(
            name=name, command=[sys.executable, "manage.py", "run_engine"], env=stack.env, home=stack.home
        )
        started.append(engine)
        engine.start()
        return engine

    yield start
    for engine in started:
        engine.stop()


def row_of(stack: Stack, statement: str, *given: Any) -> Any:
    """Return the first row that a statement finds, None without one."""
    with psycopg.connect(stack.database_url) as connection:
        return connection.execute(statement, given).fetchone()
