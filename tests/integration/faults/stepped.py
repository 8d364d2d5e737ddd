"""
Runs a management command under a clock that a test steps: `python -m tests.integration.faults.stepped FILE
COMMAND...`. FILE holds by how many seconds the clock is off; it is read whenever the time is asked for. Knows
nothing of the command.
"""

import sys
from datetime import timedelta
from pathlib import Path

from rtx.kernel import clock


def step(offset: Path, *, seconds: int) -> None:
    """Let the clocks that read this file be off by so much from now on."""
    written = offset.with_suffix(".new")
    written.write_text(str(seconds))
    written.replace(offset)


def _step_by(offset: Path) -> None:
    """Replace this process's clock."""
    true_now, true_now_ms = clock.now, clock.now_ms
    clock.now = lambda: true_now() + timedelta(seconds=int(offset.read_text()))
    clock.now_ms = lambda: true_now_ms() + 1000 * int(offset.read_text())


def main(offset: str, *command: str) -> None:
    """Run the command."""
    _step_by(Path(offset))
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *command])


if __name__ == "__main__":
    main(*sys.argv[1:])
