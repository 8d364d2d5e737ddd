"""
The processes of RTX as command lines, and how to see that each is ready.

A command line here is what a deployment runs too; only addresses and sizes differ.
"""

from __future__ import annotations

import http.client
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rtx.local.ports import LOOPBACK
from rtx.local.process import Process, Ready

# In the order of starting. They stop in the opposite order. `crm` stands in for HubSpot, Salesforce and Zoho:
# no deployment has it.
NAMES = ("crm", "web", "stream", "engine", "prompt", "worker", "sync", "beat")

# What must never wait (seals, sweeps, rollover) has workers of its own: an import or a check of all seals
# keeps only the others busy.
PROMPT_QUEUES = "audit,risk,trading"
QUEUES = "default,market"

# What calls CRMs spends its time waiting for them: threads of one process, so that nothing else waits too.
# Each of three connections keeps three busy at most (a run, a push, its webhooks); the others serve them all.
SYNC_QUEUES = "crm"
SYNC_THREADS = 12

WEBSOCKET_FRAME_MAX_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large each process is made."""

    web_workers: int = 1
    web_threads: int = 16
    stream_workers: int = 1
    task_workers: int = 2


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process of RTX: how it is started, when it is ready, how long it may take to end."""

    name: str
    command: list[str]
    ready: Ready
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 10.0
    env: Mapping[str, str] = field(default_factory=dict)


def answers(port: int, path: str = "/health") -> Ready:
    """Make a check that is true once a GET of the path is answered with 200."""

    def check(_process: Process) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def says(pattern: str) -> Ready:
    """Make a check that is true once the output of the process matches."""
    expression = re.compile(pattern)

    def check(process: Process) -> bool:
        return expression.search(process.output()) is not None

    return check


def programs(
    *, web_port: int, stream_port: int, crm_port: int, folder: Path, sizes: Sizes
) -> dict[str, Program]:
    """Describe every process of RTX for these ports; `folder` takes the files that beat keeps."""
    python = [sys.executable, "-m"]
    all_of_them = [
        Program(
            name="crm",
            command=[
                *python,
                *("tests.fakes", "--port", str(crm_port), "--keep", str(folder / "crm.state")),
            ],
            ready=answers(crm_port, "/"),
        ),
        Program(
            name="web",
            command=[
                *python,
                *("granian", "--interface", "wsgi", "rtx.wsgi:application", "--no-ws"),
                *("--host", LOOPBACK, "--port", str(web_port), "--workers", str(sizes.web_workers)),
                *("--blocking-threads", str(sizes.web_threads), "--workers-kill-timeout", "8"),
            ],
            ready=answers(web_port),
        ),
        Program(
            name="stream",
            command=[
                *python,
                *("uvicorn", "rtx.asgi:application", "--host", LOOPBACK, "--port", str(stream_port)),
                *(
                    "--workers",
                    str(sizes.stream_workers),
                    "--no-access-log",
                    "--timeout-graceful-shutdown",
                    "5",
                ),
                *("--ws", "rtx.stream:StreamWebSocket", "--ws-per-message-deflate", "false"),
                *("--ws-max-size", str(WEBSOCKET_FRAME_MAX_BYTES)),
            ],
            ready=answers(stream_port),
        ),
        Program(
            name="engine",
            command=[sys.executable, "manage.py", "run_engine"],
            ready=says(r"(?i)engine ready"),
        ),
        _worker("prompt", queues=PROMPT_QUEUES, size=sizes.task_workers),
        _worker("worker", queues=QUEUES, size=sizes.task_workers),
        _worker("sync", "--pool", "threads", queues=SYNC_QUEUES, size=SYNC_THREADS),
        Program(
            name="beat",
            command=[
                *python,
                *("celery", "-A", "rtx", "beat", "--loglevel", "INFO"),
                *("--schedule", str(folder / "beat-schedule"), "--pidfile="),
            ],
            ready=says(r"beat: Starting"),
        ),
    ]
    return {program.name: program for program in all_of_them}


def _worker(name: str, *more: str, queues: str, size: int) -> Program:
    return Program(
        name=name,
        command=[
            *(sys.executable, "-m", "celery", "-A", "rtx", "worker", "--hostname", f"{name}@%h"),
            *("--loglevel", "INFO", "--queues", queues, "--concurrency", str(size), *more),
            *("--without-gossip", "--without-mingle"),
        ],
        ready=says(rf"{name}@\S+ ready"),
    )
