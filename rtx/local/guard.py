"""
The guard of an installation: a tiny process that outlives everybody who uses it, then stops what they left
running.

It waits for the installation's lock. The kernel gives the lock back when its holders end, even by `kill
-9`, and then the guard stops the processes that are still on record, only those, and goes. After an orderly
end nothing is on record.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtx.local.home import REPOSITORY, Home, LocalError
from rtx.local.identity import stop_group


def post(home: Home) -> None:
    """
    Start the guard of an installation whose lock we hold. It is in its own session and dies last.

    A shell starts it and ends: a guard is nobody's child, so nobody has to wait for it.
    """
    with open(home.log("guard"), "ab") as log:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-m", "rtx.local.guard", str(home.path)],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=True,
        )


def sweep(home: Home) -> list[str]:
    """Stop every process on record, newest first, and return the names of those that still ran."""
    stopped = []
    for record in home.recorded():
        if record.identity.is_alive():
            stopped.append(record.name)
        stop_group(record.identity, signum=record.stop_signal)
        home.forget(record.name)
    return stopped


@contextmanager
def guarded(path: Path, *, temporary: bool = False) -> Iterator[Home]:
    """Hold an installation alone, with its guard on duty; a temporary one is deleted at the end."""
    home = Home(path)
    home.prepare()
    if not home.acquire():
        raise LocalError(f"{path} is in use")
    post(home)
    try:
        yield home
    finally:
        sweep(home)
        if temporary:
            home.remove()
        home.release()


def main(path: Path) -> None:
    """Wait until nobody uses the installation, then stop what is left."""
    home = Home(path)
    try:
        home.acquire(wait=True, create=False)
    except FileNotFoundError:  # the installation went before its guard came
        return
    if path.exists():
        for name in sweep(home):
            print(
                f"the guard stopped {name}, left behind by a process that ended without stopping it",
                flush=True,
            )
    home.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
