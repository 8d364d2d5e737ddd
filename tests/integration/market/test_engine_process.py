"""The engine as a real process: readiness, signals, takeover after a crash, outages of both servers."""

import os
import time
from collections.abc import Iterator

import psycopg
import pytest
import redis

from apps.market.adapters.bus import LATEST_KEY, _quote_decoder
from rtx.local.home import LocalError
from rtx.local.stack import Stack
from tests.conftest import TEST_FOLDER, copy_installation
from tests.integration.market.conftest import eventually

# Sessions open on every day, unlike those of tests; the default feed, whatever the tests' own settings say.
DEMO = {"DJANGO_SETTINGS_MODULE": "rtx.settings.dev", "RTX_FEED": "simulated", "RTX_FEED_BY_SYMBOL": ""}

pytestmark = pytest.mark.serial
SEED = "from apps.market.services.symbols import seed_demo_symbols; seed_demo_symbols()"

PRODUCTION = """
from django.conf import settings
from django.core.management import call_command
settings.DEMO = False
call_command("run_engine")
"""


@pytest.fixture(scope="module")
def stack(migrated_home, tmp_path_factory) -> Iterator[Stack]:
    """Run one installation with an engine for all tests of this module."""
    home = copy_installation(migrated_home, TEST_FOLDER / f"stack-engine-{os.getpid()}")
    with Stack(home=home, fast=True, temporary=True, env=DEMO) as made:
        made.manage("shell", "-c", SEED)
        made.start("engine")
        yield made


def newest_ms(stack: Stack, symbol: str = "EURUSD") -> int:
    """Return the time of the latest quote on the bus; 0 while there is none."""
    try:
        with redis.Redis.from_url(stack.redis_url) as client:
            found = client.hget(LATEST_KEY, symbol)
    except redis.RedisError:
        return 0
    return _quote_decoder.decode(found).time_ms if found else 0


def is_fresh(stack: Stack) -> bool:
    return time.time() * 1000 - newest_ms(stack) < 3_000


def query(stack: Stack, statement: str) -> object:
    with psycopg.connect(stack.database_url) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]


def is_stored(stack: Stack, since_s: float) -> bool:
    return bool(
        query(stack, f"SELECT count(*) FROM market_tick WHERE time > to_timestamp({since_s})")
        and query(stack, f"SELECT count(*) FROM market_lastquote WHERE time > to_timestamp({since_s})")
    )


def test_prices_flow_and_are_kept(stack):
    started = time.time()

    eventually(lambda: is_fresh(stack))
    eventually(lambda: is_stored(stack, started))
    assert query(stack, "SELECT count(*) FROM market_lastquote WHERE simulated") == 12


@pytest.mark.parametrize("crash", [False, True])
def test_restart_of_redis_heals_by_itself(stack, crash):
    eventually(lambda: is_fresh(stack))
    stack.restart_redis(crash=crash)

    eventually(lambda: is_fresh(stack), timeout_s=10)
    assert stack.process("engine").is_running()


def test_flush_of_redis_heals_by_itself(stack):
    stack.flush_redis()

    eventually(lambda: is_fresh(stack), timeout_s=5)


@pytest.mark.parametrize("crash", [False, True])
def test_restart_of_postgresql_heals_by_itself(stack, crash):
    eventually(lambda: is_fresh(stack))
    stack.restart_postgres(crash=crash)
    back = time.time()

    eventually(lambda: is_fresh(stack) and is_stored(stack, back), timeout_s=15)
    assert stack.process("engine").is_running()


def test_engine_after_a_crash_takes_the_lease_over(stack):
    fence = query(stack, "SELECT fence FROM market_enginelease WHERE name = 'feed'")
    stack.kill("engine")
    stack.start("engine")
    back = time.time()

    eventually(lambda: is_fresh(stack) and is_stored(stack, back), timeout_s=20)
    assert query(stack, "SELECT fence FROM market_enginelease WHERE name = 'feed'") == fence + 1


def test_signal_ends_it_in_order_and_the_next_one_leads_at_once(stack):
    eventually(lambda: is_fresh(stack))
    stack.stop("engine")
    assert stack.process("engine").exit_code() == 0
    assert "engine stopped" in stack.process("engine").output()

    stack.start("engine")
    back = time.time()

    eventually(lambda: is_fresh(stack) and is_stored(stack, back), timeout_s=5)


def test_production_refuses_demo_feeds(stack):
    with pytest.raises(LocalError, match="the simulated feed only runs in a demo"):
        stack.manage("shell", "-c", PRODUCTION)
