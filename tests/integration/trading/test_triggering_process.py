"""Triggers of real engine processes: killed in the middle of a burst, with a standby and without one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtx.local.process import Process
from rtx.local.stack import Stack
from tests.factories.engines import StartEngine, engines, installation, row_of
from tests.factories.triggering import eventually

pytestmark = pytest.mark.serial

BROKER = "tests.integration.trading.trigger_broker"
ORDERS = 1_600
FILLED = "SELECT count(*) FROM trading_order WHERE status = 'filled'"
LEADER = "SELECT holder FROM market_enginelease WHERE name = 'triggers' AND expires_at > clock_timestamp()"
MORE_THAN_ONCE = """
    SELECT count(*) FROM (SELECT order_id FROM trading_deal GROUP BY order_id HAVING count(*) > 1) twice
"""
UNWATCHED = "SELECT count(*) FROM trading_order WHERE (trigger->>'unwatched_ms')::bigint > 0"
WORSE = "SELECT count(*) FROM trading_order WHERE average_price > price"
OUT_OF_ORDER = """
    SELECT count(*) FROM (
        SELECT o.id, lag(o.id) OVER (ORDER BY d.id) AS earlier,
               o.price, lag(o.price) OVER (ORDER BY d.id) AS before
        FROM trading_order o JOIN trading_deal d ON d.order_id = o.id WHERE d.id < %s
    ) ordered WHERE price > before OR (price = before AND id < earlier)
"""


@pytest.fixture
def stack(migrated_home: Path) -> Iterator[Stack]:
    """An installation with many orders about to be hit; its engines are the test's."""
    with installation(migrated_home, broker=BROKER, orders=ORDERS) as made:
        yield made


@pytest.fixture
def start(stack: Stack) -> Iterator[StartEngine]:
    """Start engines by name."""
    with engines(stack) as starting:
        yield starting


def asked(stack: Stack, statement: str, *given: Any) -> Any:
    """Return the first value that a statement finds, None without a row."""
    row = row_of(stack, statement, *given)
    return row[0] if row else None


def killed_in_the_middle(stack: Stack, engines: list[Process]) -> Process:
    """Kill the engine that leads once it has filled some orders and not all; return it."""
    eventually(lambda: asked(stack, FILLED) > 100, timeout_s=60)
    leader = asked(stack, LEADER)
    engine = next(one for one in engines if f":{one.pid}:" in leader)
    engine.kill()
    assert asked(stack, FILLED) < ORDERS  # else nothing was interrupted
    return engine


def all_once(stack: Stack) -> None:
    """Check that each order was filled once, at a price that was quoted, and that the books agree."""
    eventually(lambda: asked(stack, FILLED) == ORDERS, timeout_s=60)
    assert asked(stack, "SELECT count(*) FROM trading_deal") == ORDERS
    assert asked(stack, MORE_THAN_ONCE) == 0
    assert asked(stack, WORSE) == 0  # a gap: all of them below the price they waited for
    assert "The books agree" in stack.manage("verify_books", "--workers", "1", "--verbosity", "0")


def test_engine_killed_in_a_burst_and_started_again_fills_each_order_once(stack, start):
    killed_in_the_middle(stack, [start("engine-a")])
    before = asked(stack, FILLED)

    start("engine-b")

    all_once(stack)
    assert before < ORDERS
    assert asked(stack, "SELECT fence FROM market_enginelease WHERE name = 'triggers'") == 2
    assert asked(stack, UNWATCHED) >= ORDERS - before  # the gap is told


def test_standby_goes_on_where_a_killed_leader_stood(stack, start):
    engines = [start("engine-a"), start("engine-b")]
    killed = killed_in_the_middle(stack, engines)
    last = asked(stack, "SELECT max(id) FROM trading_deal")

    all_once(stack)

    assert asked(stack, OUT_OF_ORDER, last + 1) == 0
    assert all(engine.is_running() for engine in engines if engine is not killed)
