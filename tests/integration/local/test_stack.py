"""The supervisor with real servers and tiny processes in the place of RTX's own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import psycopg
import pytest

from rtx.local import ports, stack
from rtx.local.home import REPOSITORY, Home, LocalError
from rtx.local.identity import Identity
from rtx.local.programs import Program, says
from rtx.local.stack import Stack
from rtx.local.supervisor import watch
from rtx.local.testbed import Testbed
from tests.conftest import TEST_FOLDER

pytestmark = pytest.mark.serial

Tiny = Callable[..., None]

STEADY = "import time; print('up', flush=True); time.sleep(600)"
NEVER_READY = "print('no database', flush=True); raise SystemExit(3)"


def program(name: str, script: str) -> Program:
    return Program(name=name, command=[sys.executable, "-c", script], ready=says("^up"), ready_timeout_s=20)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = TEST_FOLDER / f"supervisor-{os.getpid()}-{time.monotonic_ns()}"
    yield path
    if path.exists():
        Home(path).remove()


@pytest.fixture(autouse=True)
def empty_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the tables out: nothing here reads them."""
    monkeypatch.setattr(Stack, "migrate", lambda self: None)


@pytest.fixture
def given(testbed: Testbed) -> dict[str, str]:
    """Name the tests' own PostgreSQL, which spares a stack that does not use it the making of one."""
    return {"DATABASE_URL": testbed.superuser_url}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Put tiny scripts in the place of the processes of RTX."""

    def use(**scripts: str) -> None:
        known = {name: program(name, script) for name, script in scripts.items()}
        monkeypatch.setattr(stack, "programs", lambda **_kwargs: known)

    return use


def test_a_process_that_ends_by_itself_is_named_with_its_last_lines(
    folder: Path, given: dict[str, str], tiny: Tiny
) -> None:
    tiny(web=STEADY, engine=STEADY)
    with Stack(home=folder, env=given) as running:
        running.start("web", "engine")
        web = running.process("web")
        os.kill(running.process("engine").pid, signal.SIGTERM)

        with pytest.raises(LocalError, match=r"engine ended \(killed by SIGTERM\), so RTX stops(?s:.*)up"):
            watch(running, interrupted=Event())

        assert web.is_running()
    assert not web.is_running()


def test_a_server_that_ends_by_itself_is_named_too(folder: Path, given: dict[str, str]) -> None:
    with Stack(home=folder, env=given) as running:
        assert running.redis is not None
        os.kill(running.redis.process.pid, signal.SIGKILL)

        with pytest.raises(LocalError, match=r"redis ended \(killed by SIGKILL\)"):
            watch(running, interrupted=Event())


def test_a_process_that_does_not_start_shows_why(folder: Path, given: dict[str, str], tiny: Tiny) -> None:
    tiny(engine=NEVER_READY)
    with (
        Stack(home=folder, env=given) as running,
        pytest.raises(
            LocalError, match=r"engine ended \(exit code 3\) before it was ready(?s:.*)no database"
        ),
    ):
        running.start("engine")


def test_a_process_can_be_killed_and_started_again(folder: Path, given: dict[str, str], tiny: Tiny) -> None:
    tiny(web=STEADY)
    with Stack(home=folder, env=given) as running:
        running.start("web")
        first = running.process("web").pid
        running.kill("web")

        running.start("web")

        assert running.process("web").pid != first
        assert running.ended() is None


def test_a_second_stack_in_the_same_folder_is_refused(folder: Path, given: dict[str, str]) -> None:
    with (
        Stack(home=folder, env=given) as first,
        pytest.raises(LocalError, match=f"already runs in this folder \\(process {os.getpid()}\\)"),
    ):
        Stack(home=folder, env=given).open()
    assert first.ended() is None


def test_busy_ports_are_passed_over_and_named(folder: Path) -> None:
    said: list[str] = []
    with socket.create_server((ports.LOOPBACK, 0)) as busy:
        port = busy.getsockname()[1]
        wanted = dict.fromkeys(("postgres", "redis", "web", "stream"), port)
        with Stack(home=folder, fast=True, first_ports=wanted, say=said.append) as running:
            assert running.postgres is not None
            assert running.redis is not None
            used = {running.postgres.port, running.redis.port, running.web_port, running.stream_port}

    assert port not in used
    assert {f"port {port} is busy, PostgreSQL takes {running.postgres.port}"} <= set(said)
    assert {f"port {port} is busy, web takes {running.web_port}"} <= set(said)


@pytest.mark.parametrize("crash", [False, True])
def test_postgres_restarts_with_its_data_on_the_same_port(folder: Path, crash: bool) -> None:
    with Stack(home=folder, fast=True) as running:
        address = running.owner_url
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS n")

        running.restart_postgres(crash=crash)

        assert running.owner_url == address
        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT n FROM kept").fetchall() == [(42,)]


def test_redis_restarts_empty_on_the_same_port(folder: Path, given: dict[str, str]) -> None:
    with Stack(home=folder, env=given) as running:
        assert running.redis is not None
        address = running.redis_url
        assert running.redis.command("SET", "a", "1") == b"+OK"

        running.restart_redis(crash=True)

        assert running.redis_url == address
        assert running.redis.command("GET", "a") == b"$-1"


def test_data_and_secrets_are_used_again_by_the_next_start(folder: Path) -> None:
    with (
        Stack(home=folder, fast=True) as first,
        psycopg.connect(first.owner_url, autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
        key = first.env["RTX_ENCRYPTION_KEYS"]

    with Stack(home=folder, fast=True) as second, psycopg.connect(second.owner_url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(42,)]
        assert second.env["RTX_ENCRYPTION_KEYS"] == key


def test_after_kill_9_nothing_is_left_and_the_next_start_works(folder: Path) -> None:
    script = (
        "import sys, time, pathlib; from rtx.local.stack import Stack\n"
        "stack = Stack(home=pathlib.Path(sys.argv[1]), fast=True); stack.open(migrate=False)\n"
        "print('open', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "open\n"
        servers: list[Identity] = [record.identity for record in Home(folder).recorded()]
        supervisor.kill()

    stack_after = Stack(home=folder, fast=True)
    stack_after.open(migrate=False)

    assert len(servers) == 2
    assert not any(server.is_alive() for server in servers)
    stack_after.close()
