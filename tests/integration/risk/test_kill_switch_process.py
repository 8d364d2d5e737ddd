"""
A real engine that is killed in the middle of a kill switch's work: the next one goes on, nothing is done
twice.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from rtx.local.home import REPOSITORY
from rtx.local.process import Process
from rtx.local.stack import Stack
from tests.conftest import TEST_FOLDER, copy_installation
from tests.factories.triggering import eventually
from tests.integration.risk.kill_switch_broker import ACCOUNTS, POSITIONS_EACH

pytestmark = pytest.mark.serial

ORDERS = 1_500
POSITIONS = ACCOUNTS * POSITIONS_EACH
DEMO = {
    "DJANGO_SETTINGS_MODULE": "rtx.settings.dev",
    "RTX_SESSIONS_ALWAYS_OPEN": "1",
    "RTX_FEED": "simulated",
    "RTX_FEED_BY_SYMBOL": "",
}
CANCELED = "SELECT orders_canceled FROM risk_killswitch"
STANDS = "SELECT orders_canceled, positions_closed, failures, work_done_at IS NOT NULL FROM risk_killswitch"
LEFT = """
    SELECT (SELECT count(*) FROM trading_order WHERE status = 'working'),
           (SELECT count(*) FROM trading_position)
"""
EVENTS = """
    SELECT count(*) FILTER (WHERE type = 'order_canceled'),
           count(*) FILTER (WHERE type = 'positions_closed') FROM accounts_accountevent
"""


@pytest.fixture
def stack(migrated_home, tmp_path) -> Iterator[Stack]:
    """An installation with working orders and positions; its engines are the test's."""
    home = copy_installation(migrated_home, TEST_FOLDER / f"stack-kill-{os.getpid()}")
    with Stack(home=home, fast=True, temporary=True, env=DEMO) as made:
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.risk.kill_switch_broker", str(ORDERS)],
            env=made.env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture
def start(stack) -> Iterator[Callable[[str], Process]]:
    """Start engines by name; what still runs is ended afterwards."""
    started: list[Process] = []

    def make(name: str) -> Process:
        engine = Process(
            name=name, command=[sys.executable, "manage.py", "run_engine"], env=stack.env, home=stack.home
        )
        started.append(engine)
        engine.start()
        return engine

    yield make
    for engine in started:
        engine.stop()


def asked(stack: Stack, statement: str) -> Any:
    """Return the row that a statement finds."""
    with psycopg.connect(stack.database_url) as connection:
        return connection.execute(statement).fetchone()


def test_an_engine_killed_in_the_middle_is_continued(stack, start):
    told = stack.manage(
        "kill_switch", "on", "--cancel-orders", "--close-positions", "--reason", "test of the engine"
    )
    assert "engaged #1" in told
    first = start("first")
    eventually(lambda: asked(stack, CANCELED)[0] > 0, timeout_s=60)
    first.kill()
    canceled = asked(stack, CANCELED)[0]
    assert 0 < canceled < ORDERS

    start("second")
    eventually(lambda: asked(stack, STANDS)[3], timeout_s=60)

    assert asked(stack, STANDS) == (ORDERS, POSITIONS, 0, True)
    assert asked(stack, LEFT) == (0, 0)
    assert asked(stack, EVENTS) == (ORDERS, ACCOUNTS)
    assert "The books agree" in stack.manage("verify_books", "--verbosity", "0")
