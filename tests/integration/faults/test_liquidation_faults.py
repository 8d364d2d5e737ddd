"""
Faults of real processes in the middle of liquidations: nothing is closed twice, nothing is missed.

All accounts of a group come below stop-out at once because its level is raised above theirs: the engine's own
monitor finds them, whatever the prices do.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from rtx.local.home import REPOSITORY
from rtx.local.process import Process
from rtx.local.programs import says
from rtx.local.stack import Stack
from tests.factories.levels import set_levels
from tests.integration.faults.clients import Caller, eventually
from tests.integration.faults.stepped import step

pytestmark = pytest.mark.serial

ACCOUNTS = 200
POSITIONS = 3 * ACCOUNTS
WITHIN_S = 90
RAISED_PCT = 10_000_000
OPEN = """
    SELECT count(*) FROM trading_position p
    JOIN accounts_tradingaccount a ON a.id = p.account_id JOIN groups_tradinggroup g ON g.id = a.group_id
    WHERE g.name = %s
"""
CLOSED = """
    SELECT count(*), count(DISTINCT d.position_id) FROM trading_deal d
    JOIN accounts_tradingaccount a ON a.id = d.account_id JOIN groups_tradinggroup g ON g.id = a.group_id
    WHERE g.name = %s AND d.entry = 'out'
"""
LIQUIDATED = """
    SELECT sum(l.positions_closed), count(DISTINCT l.account_id) FROM risk_liquidation l
    JOIN groups_tradinggroup g ON g.id = l.group_id WHERE g.name = %s
"""
QUEUED = """
    SELECT count(*) FROM risk_queuedliquidation q
    JOIN accounts_tradingaccount a ON a.id = q.account_id JOIN groups_tradinggroup g ON g.id = a.group_id
    WHERE g.name = %s AND q.resolved_at IS NULL
"""
IS_AHEAD = """
    SELECT max(e.at) > now() + interval '30 seconds' FROM accounts_accountevent e
    JOIN accounts_tradingaccount a ON a.id = e.account_id JOIN groups_tradinggroup g ON g.id = a.group_id
    WHERE g.name = %s
"""
SWEEP = "import django; django.setup(); from apps.risk.services import sweep; print(sweep.run())"


class House:
    """A group of accounts with three positions each, as the database has it."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack, self.name = stack, name
        made = subprocess.run(
            [sys.executable, "-m", "tests.integration.faults.exposed", name, str(ACCOUNTS)],
            env=stack.env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        assert self.open == POSITIONS

    def ask(self, statement: str) -> tuple[int, ...]:
        """Return the one row of a statement about this group."""
        with psycopg.connect(self.stack.owner_url) as owner:
            row = owner.execute(statement, [self.name]).fetchone()
        assert row is not None
        return tuple(row)

    @property
    def open(self) -> int:
        """How many positions are open."""
        return self.ask(OPEN)[0]

    def crash(self) -> None:
        """Bring all accounts below stop-out."""
        with psycopg.connect(self.stack.owner_url, autocommit=True) as owner:
            set_levels(owner, self.name, call=RAISED_PCT, stop=RAISED_PCT)

    def wait(self, check: Callable[[], bool], what: str) -> None:
        """Wait for something to become true."""
        eventually(
            check,
            what,
            within_s=WITHIN_S,
            seen=lambda: (self.open, self.stack.process("engine").last_lines()),
        )

    def check_that_all_is_closed_once(self) -> None:
        """Compare deals, dossiers, queue and books."""
        self.wait(lambda: self.open == 0, "everything to be closed")
        self.wait(lambda: self.ask(QUEUED) == (0,), "the queue to be empty")
        assert self.ask(CLOSED) == (POSITIONS, POSITIONS)
        assert self.ask(LIQUIDATED) == (
            POSITIONS,
            ACCOUNTS,
        )  # in one or more steps: a symbol may wait for ticks
        assert "The books agree" in self.stack.manage("verify_books", "--workers", "1", "--verbosity", "0")


def sweep_once(stack: Stack) -> str:
    """Run the sweep in a process of its own, as a worker does."""
    made = subprocess.run(
        [sys.executable, "-c", SWEEP],
        env=stack.env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


def test_an_engine_killed_in_mid_liquidation_leaves_nothing_and_repeats_nothing(
    stack: Stack, trading: list[Caller]
):
    house = House(stack, "killed")
    house.crash()
    house.wait(lambda: house.open < POSITIONS, "the first to be closed")
    stack.kill("engine")
    left = house.open
    stack.start("engine")

    house.check_that_all_is_closed_once()
    assert left > 0  # it was in the middle


def test_liquidation_works_with_redis_down(stack: Stack, trading: list[Caller]):
    house = House(stack, "no-redis")
    assert stack.redis is not None
    stack.redis.stop()
    try:
        house.crash()
        house.wait(lambda: house.open == 0, "everything to be closed")
    finally:
        stack.redis.start()

    house.check_that_all_is_closed_once()


def test_a_frozen_engine_leaves_a_queue_and_a_dead_price_closes_nothing(stack: Stack, trading: list[Caller]):
    house = House(stack, "frozen")
    engine = stack.process("engine")
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        eventually(
            lambda: trading[0].order(f"age-{os.urandom(6).hex()}").code == "off_quotes", "age", within_s=15
        )
        house.crash()
        sweep_once(stack)
        assert house.ask(QUEUED) == (ACCOUNTS,)
        assert house.open == POSITIONS
    finally:
        os.kill(engine.pid, signal.SIGCONT)

    house.check_that_all_is_closed_once()


def test_without_an_engine_the_sweep_alone_closes_and_says_so(stack: Stack, trading: list[Caller]):
    house = House(stack, "no-engine")
    with psycopg.connect(stack.owner_url, autocommit=True) as owner:
        owner.execute("UPDATE market_symbol SET quote_age_max_s = 600")
    stack.kill("engine")
    try:
        house.crash()
        sweep_once(stack)
        house.check_that_all_is_closed_once()
        with psycopg.connect(stack.owner_url) as owner:
            raised = owner.execute(
                "SELECT kind FROM risk_riskalarm WHERE cleared_at IS NULL AND kind = 'sweep_found'"
            ).fetchall()
        assert raised == [("sweep_found",)]
    finally:
        with psycopg.connect(stack.owner_url, autocommit=True) as owner:
            owner.execute("UPDATE market_symbol SET quote_age_max_s = 3")
        stack.start("engine")


def test_a_leader_that_was_asleep_closes_nothing_after_another_took_over(stack: Stack, trading: list[Caller]):
    house = House(stack, "two-engines")
    first = stack.process("engine")
    second = Process(name="engine-2", command=first.command, env=first.env, home=stack.home)
    second.start()
    try:
        house.crash()
        house.wait(lambda: house.open < POSITIONS, "the first to be closed")
        os.kill(first.pid, signal.SIGSTOP)  # its leases run out, the second takes over
        try:
            house.wait(lambda: house.open == 0, "the second engine to close the rest")
        finally:
            os.kill(first.pid, signal.SIGCONT)  # and goes on where it stood
        house.check_that_all_is_closed_once()
    finally:
        second.stop()


def freeze_within_a_transaction(stack: Stack, process: Process, *, table: str) -> None:
    """Freeze a process right after a write to a table, with its transaction and its locks open."""
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
    with (
        psycopg.connect(stack.owner_url) as holder,
        psycopg.connect(stack.owner_url, autocommit=True) as owner,
    ):
        holder.execute(f"LOCK TABLE {table} IN SHARE MODE")
        eventually(
            lambda: owner.execute(waiting, [table]).fetchone() != (0,), f"a write to {table}", within_s=30
        )
        os.kill(process.pid, signal.SIGSTOP)


def test_a_leader_that_falls_asleep_within_a_transaction_holds_up_no_other(
    stack: Stack, trading: list[Caller]
):
    house = House(stack, "held")
    first = stack.process("engine")
    second = Process(name="engine-2", command=first.command, env=first.env, home=stack.home)
    second.start()
    try:
        second.wait_until(says("engine ready"), timeout_s=60)
        freeze_within_a_transaction(stack, first, table="market_lastquote")  # it has its lease's row
        try:
            house.crash()
            house.wait(lambda: house.open == 0, "the second engine to close all")
        finally:
            os.kill(first.pid, signal.SIGCONT)
        house.check_that_all_is_closed_once()
    finally:
        second.stop()


@contextmanager
def stepped_engine(stack: Stack) -> Iterator[Path]:
    """Run an engine in place of the usual one whose clock goes by the file that this gives."""
    offset = stack.home.path / "clock-offset"
    step(offset, seconds=0)
    command = [sys.executable, "-m", "tests.integration.faults.stepped", str(offset), "run_engine"]
    env = stack.process("engine").env
    stack.stop("engine")
    stepped = Process(name="engine-stepped", command=command, env=env, home=stack.home)
    try:
        stepped.start()
        yield offset
    finally:
        stepped.stop()
        stack.start("engine")


def test_a_clock_that_is_set_back_in_mid_liquidation_and_forward_again_repeats_and_misses_nothing(
    stack: Stack, trading: list[Caller]
):
    house = House(stack, "clock-back")
    with stepped_engine(stack) as offset:
        house.crash()
        house.wait(lambda: house.open < POSITIONS, "the first to be closed")
        step(offset, seconds=-60)  # by that clock all prices lie ahead and no tick is due
        left = house.open
        house.wait(lambda: house.ask(QUEUED) != (0,) or not house.open, "the others to wait for ticks")
        step(offset, seconds=0)

        house.check_that_all_is_closed_once()
    assert left > 0  # it was in the middle


def test_a_clock_that_leaps_ahead_in_mid_liquidation_repeats_and_misses_nothing(
    stack: Stack, trading: list[Caller]
):
    house = House(stack, "clock-ahead")
    with stepped_engine(stack) as offset:
        house.crash()
        house.wait(lambda: house.open < POSITIONS, "the first to be closed")
        step(offset, seconds=60)
        left = house.open

        house.wait(lambda: house.ask(IS_AHEAD) == (True,), "an event of the time ahead")
        house.check_that_all_is_closed_once()
    assert left > 0  # it was in the middle
