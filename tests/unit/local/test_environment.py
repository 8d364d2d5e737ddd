"""The environment of `make run`, and whether `.env.example` documents all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rtx.local.home import REPOSITORY, LocalError
from rtx.local.supervisor import environment_of_run, ports_of_run, sizes_of_run

# A variable that is read: env.str("NAME", ...) in settings, env.get("NAME") in rtx/local and tests.
_READ = re.compile(r'env(?:iron)?\.[a-z_]+\(\s*"([A-Z][A-Z0-9_]+)"')
_OF_THE_SYSTEM = {"PATH"}


def test_what_is_really_set_wins_over_the_file_and_empty_means_unset(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("REDIS_URL=redis://file\nRTX_FEED=replay\nDATABASE_URL=\n")

    env = environment_of_run({"RTX_FEED": "simulated", "RTX_TICKS_DIR": ""}, env_file)

    assert env == {"REDIS_URL": "redis://file", "RTX_FEED": "simulated"}


def test_ports_have_defaults_and_can_be_chosen() -> None:
    assert ports_of_run({"RTX_WEB_PORT": "9000"}) == {
        "web": 9000,
        "stream": 8001,
        "crm": 8010,
        "postgres": 54320,
        "redis": 63790,
    }


@pytest.mark.parametrize("text", ["0", "65536", "-1", "web", "80.5"])
def test_what_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(LocalError, match="RTX_STREAM_PORT"):
        ports_of_run({"RTX_STREAM_PORT": text})


def test_a_size_that_is_no_number_is_refused_by_name() -> None:
    assert sizes_of_run({"RTX_WEB_WORKERS": "2"}).web_workers == 2
    with pytest.raises(LocalError, match="RTX_WEB_THREADS must be a number from 1 to 512"):
        sizes_of_run({"RTX_WEB_THREADS": "many"})


def test_every_variable_is_documented() -> None:
    sources = [
        *REPOSITORY.glob("rtx/**/*.py"),
        *REPOSITORY.glob("apps/**/*.py"),
        REPOSITORY / "tests" / "conftest.py",
    ]
    read = {name for path in sources for name in _READ.findall(path.read_text(encoding="utf-8"))}
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    documented = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, flags=re.MULTILINE))

    assert read - _OF_THE_SYSTEM - documented == set()
