"""
One child process with its own session, a log file and a record on disk.

The child leads its process group, so that stopping it takes its own children along and nothing else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from rtx.local.home import REPOSITORY, Home, Interrupted, LocalError, Record
from rtx.local.identity import Identity, identify, signal_group, stop_group

_left_running: list[subprocess.Popen[bytes]] = []  # kept: Python complains about a child that is forgotten

Ready = Callable[["Process"], bool]


class Process:
    """A process that RTX started on this machine."""

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        home: Home,
        stop_signal: int = signal.SIGTERM,
        stop_timeout_s: float = 10.0,
        user: tuple[int, int] | None = None,
        stdin: bytes | None = None,
    ) -> None:
        """Describe the process; `user` is (uid, gid) to run as, `stdin` is fed to it and closed."""
        self.name = name
        self.command = list(command)
        self.env = dict(env)
        self.home = home
        self.stop_signal = stop_signal
        self.stop_timeout_s = stop_timeout_s
        self._user = user
        self._stdin = stdin
        self._popen: subprocess.Popen[bytes] | None = None
        self._identity: Identity | None = None
        self._log_start = 0
        self.was_stopped = False

    @property
    def pid(self) -> int:
        """Return the pid of the started process."""
        if self._identity is None:
            raise LocalError(f"{self.name} was not started")
        return self._identity.pid

    def start(self) -> None:
        """Start the process; its output is appended to its log file."""
        with open(self.home.log(self.name), "ab") as log:
            self._log_start = log.tell()
            as_user: dict[str, Any] = {}
            if self._user is not None:
                as_user = {"user": self._user[0], "group": self._user[1], "extra_groups": []}
            self._popen = subprocess.Popen(
                self.command,
                env=self.env,
                cwd="/" if self._user else REPOSITORY,
                stdin=subprocess.DEVNULL if self._stdin is None else subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **as_user,
            )
        self._identity = identify(self._popen.pid)
        if self._identity is not None:
            self.home.record(Record(name=self.name, identity=self._identity, stop_signal=self.stop_signal))
        if self._stdin is not None and self._popen.stdin is not None:
            self._popen.stdin.write(self._stdin)
            self._popen.stdin.close()

    def exit_code(self) -> int | None:
        """Return how the process ended, or None while it runs. What is left of its group is killed first."""
        if self._popen is None or self._popen.returncode is not None:
            return None if self._popen is None else self._popen.returncode
        ended = os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        if (
            self._identity is not None
        ):  # the zombie still holds the number of the group, so it is certainly ours
            signal_group(self._identity, signal.SIGKILL)
        code = self._popen.wait()
        self.home.forget(self.name)
        return code

    def is_running(self) -> bool:
        """Tell whether the process was started and has not ended."""
        return self._popen is not None and self.exit_code() is None

    def stop(self) -> None:
        """Ask the process to end, wait, and kill its group if it does not. Safe to repeat."""
        self.was_stopped = True
        if self.is_running() and self._identity is not None:
            stop_group(self._identity, signum=self.stop_signal, timeout_s=self.stop_timeout_s)
        self._reap()

    def kill(self) -> None:
        """End the process and its children at once, as `kill -9` does."""
        self.was_stopped = True
        if self.is_running() and self._identity is not None:
            signal_group(self._identity, signal.SIGKILL)
        self._reap()

    def leave_running(self) -> None:
        """Let the process outlive us; the guard of its installation ends it."""
        if self._popen is not None:
            _left_running.append(self._popen)

    def _reap(self) -> None:
        if self._popen is not None and self._popen.returncode is None:
            self._popen.wait()
        self.home.forget(self.name)

    def wait_until(self, ready: Ready, *, timeout_s: float, interrupted: Event | None = None) -> None:
        """
        Wait for the process to become ready.

        :raises LocalError: it ended first, or took too long; the message carries its last lines.
        :raises Interrupted: somebody asked us to stop meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            code = self.exit_code()
            if code is not None:
                raise LocalError(
                    f"{self.name} ended ({describe_exit(code)}) before it was ready.\n{self.last_lines()}"
                )
            if ready(self):
                return
            if interrupted is not None and interrupted.is_set():
                raise Interrupted
            if time.monotonic() > deadline:
                raise LocalError(f"{self.name} was not ready after {timeout_s:g} s.\n{self.last_lines()}")
            time.sleep(0.05)

    def output(self) -> str:
        """Return what the process has written since it was started."""
        with open(self.home.log(self.name), "rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def last_lines(self, count: int = 20) -> str:
        """Return the end of the output, indented, with the name of the file it is in."""
        lines = self.output().splitlines()[-count:]
        text = "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"
        return f"Last lines of {relative(self.home.log(self.name))}:\n{text}"


def relative(path: Path) -> Path:
    """Return a path as a person in the clone would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def describe_exit(code: int) -> str:
    """Say in words how a process ended: its exit code, or the signal that ended it."""
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"
