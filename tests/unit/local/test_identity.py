"""Telling our processes from others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

from rtx.local.identity import identify, signal_group, stop_group
from rtx.local.process import describe_exit


def test_a_process_is_recognized_by_pid_and_start() -> None:
    here = identify(os.getpid())

    assert here is not None
    assert here.is_alive()
    assert not replace(here, started="another time").is_alive()


def test_a_process_that_took_over_the_number_is_never_touched() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as child:
        real = identify(child.pid)
        assert real is not None

        assert not signal_group(replace(real, started="before"), signal.SIGKILL)

        assert real.is_alive()
        child.kill()


def test_stopping_ends_the_children_of_a_process_too() -> None:
    script = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as child:
        assert child.stdout is not None
        grandchild = identify(int(child.stdout.readline()))
        leader = identify(child.pid)
        assert grandchild is not None
        assert leader is not None

        stop_group(leader, timeout_s=5)

        assert not grandchild.is_alive()
        assert not leader.is_alive()


def test_the_end_of_a_process_is_told_in_words() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "killed by SIGKILL"
