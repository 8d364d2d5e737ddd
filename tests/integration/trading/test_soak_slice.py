"""Ten minutes of the recorded day at 100x, 200 accounts trading: nothing differs (`make soak`: a day)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rtx.local.home import REPOSITORY
from tests.conftest import TEST_FOLDER, copy_installation

pytestmark = pytest.mark.serial

TIMEOUT_S = 240


def test_ten_minutes_of_the_day_leave_no_difference(migrated_home: Path, tmp_path: Path) -> None:
    home = copy_installation(migrated_home, TEST_FOLDER / f"soak-{os.getpid()}")
    told = tmp_path / "soak.json"

    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--minutes", "10", "--home", str(home), "--json", str(told)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    found = json.loads(told.read_text())
    assert found["differences"] == []
    assert found["accounts"] == 200
    assert found["requests"] > 200
    assert found["openings_valued"] > 0
    assert found["verify_books"].startswith("The books agree: 200 accounts")
