"""
A second process for races, with its own executor, books and clock.

It starts from nothing, as RTX's processes do. Never a fork of the tests' process: that has threads and
connections to servers, and a copy of them blocks or breaks. Every wait for it ends. Imports no model: the
process is set up first.
"""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
from multiprocessing.connection import Connection
from typing import Any

import django
from django.conf import settings
from django.db import connections

START_S = 60
WAIT_S = 20


class SecondProcess:
    """Runs `work(pipe)`, named as "module:function", against the database and Redis of the test."""

    def __init__(self, work: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_begin, args=(_addresses(), work, theirs), daemon=True)
        self._process.start()
        theirs.close()
        assert self.receive(START_S) == "ready"

    def send(self, message: object) -> None:
        """Hand over a message; its answer is not waited for."""
        self._pipe.send(message)

    def receive(self, timeout_s: float = WAIT_S) -> Any:
        """Return the next answer."""
        assert self._pipe.poll(timeout_s), "the other process does not answer"
        return self._pipe.recv()

    def close(self) -> None:
        """Let it end; one that does not is killed and fails the test."""
        self._pipe.send(None)
        self._process.join(WAIT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        assert self._process.exitcode == 0


def _addresses() -> dict[str, str]:
    """Return the variables that name the servers of the test."""
    known = connections["default"].settings_dict
    database = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format_map(known)
    return {"DATABASE_URL": database, "REDIS_URL": settings.REDIS_URL}


def _begin(addresses: dict[str, str], work: str, pipe: Connection) -> None:
    os.environ.update(addresses)
    django.setup()
    from tests.factories import rows

    rows.show()
    pipe.send("ready")
    pkgutil.resolve_name(work)(pipe)
    connections.close_all()
