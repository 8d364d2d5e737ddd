"""README's walk-through, run exactly as it is written there against a demo broker."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtx.local import demo
from rtx.local.home import REPOSITORY
from rtx.local.stack import Stack
from tests.conftest import TEST_FOLDER, copy_installation

pytestmark = pytest.mark.serial


@pytest.fixture
def folder(migrated_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder like a clone in which `make run` runs."""
    home = copy_installation(migrated_home, TEST_FOLDER / f"readme-{os.getpid()}")
    env = {"DJANGO_SETTINGS_MODULE": "rtx.settings.dev", "RTX_FEED": "simulated"}
    running = Stack(home=home, fast=True, temporary=True, env=env)
    try:
        running.open(migrate=False)
        running.manage("seed_demo", "--logins-file", str(running.home.logins_file))
        running.start("web", "stream", "engine")
        (tmp_path / ".rtx").mkdir()
        demo.write(
            tmp_path / ".rtx" / "demo.json",
            web_url=running.web_url,
            stream_url=running.stream_url,
            crm_url=running.crm_url,
            logins_file=running.home.logins_file,
        )
        (tmp_path / "clients").symlink_to(REPOSITORY / "clients")
        (tmp_path / ".venv").symlink_to(Path(sys.prefix))
        yield tmp_path
    finally:
        running.close()


def walk_through() -> str:
    section = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("## Walk-through")[2]
    found = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found.group(1)


def walked(folder: Path) -> list[str]:
    """Walk through; return the lines that were printed."""
    done = subprocess.run(
        ["bash", "-e", "-c", walk_through()],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_walk_through_does_what_it_says_any_number_of_times(folder: Path) -> None:
    account = json.loads((folder / ".rtx" / "demo.json").read_text())["traders"][0]["accounts"][0]
    orders = set()
    for _ in range(2):
        account_line, first, second, canceled, position, *watched = walked(folder)
        assert account_line.startswith(f"Account(login={account},")
        assert first == second
        assert " filled " in first
        assert (canceled, "trailing_points=500" in position) == ("canceled", True)
        assert "type='positions_closed'" in watched[-1]
        orders.add(first)

    assert len(orders) == 2
