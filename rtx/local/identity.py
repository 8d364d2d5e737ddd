"""
Telling processes apart, so that only our own are ever stopped.

A pid alone is not enough: it is used again after the process is gone. Pid and start time together name one
process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_POLL_S = 0.02
_ORPHANS_GRACE_S = 1.0
_KILLED_GRACE_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """
    One process of this machine: its pid and the instant it started, in the words of the operating system.
    """

    pid: int
    started: str

    def is_alive(self) -> bool:
        """Tell whether exactly this process still runs (a zombie does not)."""
        return identify(self.pid) == self


def identify(pid: int) -> Identity | None:
    """Return the identity of the process that has this pid now, or None when there is none."""
    started = _started_linux(pid) if (_PROC / "self" / "stat").exists() else _started_elsewhere(pid)
    return None if started is None else Identity(pid=pid, started=started)


def _stat_fields(pid: int) -> list[str] | None:
    """
    Return the fields of /proc/<pid>/stat from the third (state) on; the second may hold blanks and brackets.
    """
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _started_linux(pid: int) -> str | None:
    fields = _stat_fields(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    boot = (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    return f"{boot}:{fields[19]}"


def _started_elsewhere(pid: int) -> str | None:
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = listing.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def working_folder(pid: int) -> Path | None:
    """Return the folder a process works in, where the operating system tells (Linux), else None."""
    try:
        return Path(os.readlink(_PROC / str(pid) / "cwd"))
    except OSError:
        return None


def group_members(group: int) -> list[int]:
    """List the pids of a process group whose leader may be gone already (Linux; elsewhere none are found)."""
    members = []
    for entry in _PROC.glob("[0-9]*") if _PROC.exists() else []:
        fields = _stat_fields(int(entry.name))
        if fields and fields[0] not in ("Z", "X") and fields[2] == fields[3] == str(group):
            members.append(int(entry.name))
    return members


def signal_group(leader: Identity, signum: int) -> bool:
    """
    Send a signal to the process group of a process that leads its own session.

    Return whether anything was left to receive it. A group whose number passed to another process is never
    touched.
    """
    if not _is_left(leader):
        return False
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signum)
        return True
    return False


def _is_left(leader: Identity) -> bool:
    """Tell whether the process or anything of its group runs; a group under a number used again is not it."""
    now_there = identify(leader.pid)
    if now_there is None:
        return bool(group_members(leader.pid))
    return now_there == leader


def stop_group(leader: Identity, *, signum: int = signal.SIGTERM, timeout_s: float = 10.0) -> bool:
    """
    Ask a process to end, wait, then kill what remains of its group. Return whether all ended by themselves.

    Only the leader is asked: it knows in which order its own children should end.
    """
    if leader.is_alive():
        with suppress(ProcessLookupError):
            os.kill(leader.pid, signum)
    deadline = time.monotonic() + timeout_s
    while leader.is_alive() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if _is_gone(leader, timeout_s=_ORPHANS_GRACE_S):
        return True
    signal_group(leader, signal.SIGKILL)
    _is_gone(leader, timeout_s=_KILLED_GRACE_S)
    return False


def _is_gone(leader: Identity, *, timeout_s: float) -> bool:
    """Tell whether nothing of a process group is left, or ceases to be within some time."""
    deadline = time.monotonic() + timeout_s
    while _is_left(leader):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
