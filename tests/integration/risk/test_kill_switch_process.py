"""
A real engine that is killed in the middle of a kill switch's work: the next one goes on, nothing is done
twice.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rtx.local.stack import Stack
from tests.factories.engines import StartEngine, engines, installation, row_of
from tests.factories.triggering import eventually
from tests.integration.risk.kill_switch_broker import ACCOUNTS, POSITIONS_EACH

pytestmark = pytest.mark.serial

BROKER = "tests.integration.risk.kill_switch_broker"
ORDERS = 1_500
POSITIONS = ACCOUNTS * POSITIONS_EACH
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
def stack(migrated_home: Path) -> Iterator[Stack]:
    """An installation with working orders and positions; its engines are the test's."""
    with installation(migrated_home, broker=BROKER, orders=ORDERS) as made:
        yield made


@pytest.fixture
def start(stack: Stack) -> Iterator[StartEngine]:
    """Start engines by name."""
    with engines(stack) as starting:
        yield starting


def test_an_engine_killed_in_the_middle_is_continued(stack, start):
    told = stack.manage(
        "kill_switch", "on", "--cancel-orders", "--close-positions", "--reason", "test of the engine"
    )
    assert "engaged #1" in told
    first = start("first")
    eventually(lambda: row_of(stack, CANCELED)[0] > 0, timeout_s=60)
    first.kill()
    canceled = row_of(stack, CANCELED)[0]
    assert 0 < canceled < ORDERS

    start("second")
    eventually(lambda: row_of(stack, STANDS)[3], timeout_s=60)

    assert row_of(stack, STANDS) == (ORDERS, POSITIONS, 0, True)
    assert row_of(stack, LEFT) == (0, 0)
    assert row_of(stack, EVENTS) == (ORDERS, ACCOUNTS)
    assert "The books agree" in stack.manage("verify_books", "--verbosity", "0")
