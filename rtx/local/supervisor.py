"""
What `make run` does: start everything, say where it is, watch it, stop everything.

If one process ends by itself the rest are stopped too: half a broker is worse than none.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from types import FrameType

from rtx.local import demo, guard, otp
from rtx.local.home import REPOSITORY, Home, Interrupted, LocalError, Say, read_env
from rtx.local.postgres import remove_outside_leftovers
from rtx.local.process import describe_exit, relative
from rtx.local.programs import NAMES, Sizes
from rtx.local.stack import Stack

_WATCH_EVERY_S = 0.2
_FIRST_PORTS = {"web": 8000, "stream": 8001, "crm": 8010, "postgres": 54320, "redis": 63790}


def environment_of_run(environ: Mapping[str, str], env_file: Path) -> dict[str, str]:
    """
    Return the variables that reach every process: those of `.env`, overruled by those really set; empty
    ones count as unset.
    """
    from_file = read_env(env_file) if env_file.is_file() else {}
    return {name: value for name, value in (from_file | dict(environ)).items() if value != ""}


def ports_of_run(environ: Mapping[str, str]) -> dict[str, int]:
    """
    Return where the search for free ports begins.

    The variables are RTX_WEB_PORT, RTX_STREAM_PORT, RTX_CRM_PORT, RTX_POSTGRES_PORT and RTX_REDIS_PORT.

    :raises LocalError: a value is not a port.
    """
    return {
        name: _number(environ, f"RTX_{name.upper()}_PORT", default=default, at_most=65_535)
        for name, default in _FIRST_PORTS.items()
    }


def sizes_of_run(environ: Mapping[str, str]) -> Sizes:
    """
    Return how many web processes run and with how many threads: RTX_WEB_WORKERS, RTX_WEB_THREADS.

    :raises LocalError: a value is not a small positive number.
    """
    return Sizes(
        web_workers=_number(environ, "RTX_WEB_WORKERS", default=1, at_most=64),
        web_threads=_number(environ, "RTX_WEB_THREADS", default=16, at_most=512),
    )


def _number(environ: Mapping[str, str], name: str, *, default: int, at_most: int) -> int:
    text = environ.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= at_most:
        raise LocalError(f"{name} must be a number from 1 to {at_most}, not {text!r}")
    return int(text)


def watch(stack: Stack, *, interrupted: Event) -> None:
    """
    Return when we are asked to stop.

    :raises LocalError: a process ended by itself; the message names it and shows its last lines.
    """
    while not interrupted.wait(_WATCH_EVERY_S):
        process = stack.ended()
        if process is not None:
            code = process.exit_code()
            how = "" if code is None else describe_exit(code)
            raise LocalError(f"{process.name} ended ({how}), so RTX stops.\n{process.last_lines()}")


def run(*, home: Path, say: Say = print) -> None:
    """
    Run the demo broker until Ctrl-C or SIGTERM.

    :raises LocalError: something could not be started, or ended by itself.
    """
    interrupted = Event()

    def ask_to_stop(signum: int, _frame: FrameType | None) -> None:
        interrupted.set()

    signal.signal(signal.SIGINT, ask_to_stop)
    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGHUP, ask_to_stop)
    env = environment_of_run(os.environ, REPOSITORY / ".env")
    stack = Stack(
        home=home,
        env=env,
        sizes=sizes_of_run(env),
        first_ports=ports_of_run(env),
        interrupted=interrupted,
        say=say,
    )
    try:
        own = [name for name, server in (("PostgreSQL", stack.postgres), ("Redis", stack.redis)) if server]
        say(f"starting {' and '.join(own)}" if own else "using the servers that were given")
        stack.open()
        say("seeding the demo broker (only the first time takes long)")
        stack.manage("seed_demo", "--logins-file", str(stack.home.logins_file), show=True)
        say(f"starting {', '.join(NAMES)} (logs in {relative(stack.home.logs)})")
        stack.start()
        described = demo.write(
            stack.home.demo_file,
            web_url=stack.web_url,
            stream_url=stack.stream_url,
            crm_url=stack.crm_url,
            logins_file=stack.home.logins_file,
        )
        say(demo.announcement(described, path=relative(stack.home.demo_file)))
        watch(stack, interrupted=interrupted)
        say("stopping")
    except Interrupted:
        say("stopping")
    finally:
        stack.close()
    say("stopped")


def clean(home: Path, *, say: Say = print) -> None:
    """
    Delete the installation of this clone, and those of its tests: data, secrets, logs.

    :raises LocalError: one of them is in use.
    """
    found = sorted({secrets.parent for secrets in home.rglob("secrets.env")}, reverse=True)
    for path in found:  # inner ones first
        installation = Home(path)
        if not installation.acquire():
            raise LocalError(f"{relative(path)} is in use; stop RTX or the tests first")
        guard.sweep(installation)
        installation.remove()
        installation.release()
        say(f"removed {relative(path)}")
    remove_outside_leftovers()


def manage(home: Path, arguments: list[str]) -> int:
    """
    Run a management command against the RTX that runs in this folder and return its exit code.

    :raises LocalError: none runs.
    """
    env_file = Home(home).run_env_file
    if not env_file.exists():
        raise LocalError("RTX does not run in this folder; start it with `make run`")
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, **read_env(env_file)}, check=False
    ).returncode


def main(arguments: list[str]) -> int:
    """Run one command of `python -m rtx.local` and return the exit code."""
    home = REPOSITORY / ".rtx"
    try:
        if arguments == ["run"]:
            run(home=home, say=_say)
        elif arguments == ["clean"]:
            clean(home, say=_say)
        elif arguments[:1] == ["manage"] and len(arguments) > 1:
            return manage(home, arguments[1:])
        elif arguments[:1] == ["otp"] and len(arguments) == 2:
            print(otp.code_of(Home(home).demo_file, arguments[1]))
        else:
            usage = "run | clean | manage COMMAND ... | otp EMAIL-OR-ROLE"
            print(f"usage: python -m rtx.local {usage}", file=sys.stderr)
            return 2
    except LocalError as error:
        print(f"\nrtx: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _say(text: str) -> None:
    print(text, flush=True)
