"""An installation's secrets, lock and records, and the files of variables."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from rtx.local.home import Home, LocalError, Record, read_env
from rtx.local.identity import Identity, identify


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "installation")
    made.prepare()
    return made


def test_secrets_are_made_once_and_private(home: Home) -> None:
    first = home.secrets()

    assert home.secrets() == first
    assert stat.S_IMODE(home.secrets_file.stat().st_mode) == 0o600
    assert len(set(first.values())) == len(first)


def test_the_encryption_key_is_named_and_has_32_bytes(home: Home) -> None:
    name, _, key = home.secrets()["RTX_ENCRYPTION_KEYS"].partition(":")

    assert name == "local1"
    assert len(base64.b64decode(key)) == 32


def test_a_secret_that_is_new_joins_those_that_exist(home: Home) -> None:
    home.secrets_file.write_text("SECRET_KEY=kept\n")

    assert home.secrets()["SECRET_KEY"] == "kept"
    assert "RTX_SEARCH_HASH_KEY" in read_env(home.secrets_file)


def test_one_holder_at_a_time(home: Home) -> None:
    other = Home(home.path)
    assert home.acquire()

    assert not other.acquire()

    home.release()
    assert other.acquire()
    other.release()


def test_the_lock_tells_who_holds_it(home: Home) -> None:
    home.acquire()
    home.sign()

    assert Home(home.path).signature() == identify(os.getpid())
    home.release()


def test_records_survive_their_writer(home: Home) -> None:
    record = Record(name="web", identity=Identity(pid=4711, started="then"), stop_signal=15)
    home.record(record)

    assert Home(home.path).recorded() == [record]

    home.forget("web")
    assert home.recorded() == []


def test_variables_are_read_as_shells_do(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# comment\n\nA=1\nexport B = 'two words'\nC=\"x=y\"\nD=\n")

    assert read_env(path) == {"A": "1", "B": "two words", "C": "x=y", "D": ""}


def test_a_line_that_is_no_variable_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\nnonsense\n")

    with pytest.raises(LocalError, match="line 2"):
        read_env(path)


def test_a_lock_given_back_names_nobody(home: Home) -> None:
    home.acquire()
    home.sign()

    home.release()

    assert home.signature() is None


def test_a_lock_that_went_with_its_installation_is_not_made_again(home: Home) -> None:
    with pytest.raises(FileNotFoundError):
        home.acquire(create=False)

    assert not (home.path / "lock").exists()


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the machine's memory, with room."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr("rtx.local.home._MEMORY", folder)
    monkeypatch.setattr("rtx.local.home._MEMORY_FREE_MIN", 0)
    return folder


def test_memory_is_claimed_empty_and_goes_with_the_installation(home: Home, memory: Path) -> None:
    first = home.claim_memory()
    assert first is not None
    (first / "left").touch()

    assert home.claim_memory() == first
    assert list(memory.iterdir()) == [first]
    assert not list(first.iterdir())

    home.remove()
    assert not list(memory.iterdir())


def test_memory_without_room_is_not_claimed(
    home: Home, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtx.local.home._MEMORY_FREE_MIN", 1 << 60)

    assert home.claim_memory() is None
    assert not list(memory.iterdir())


def test_memory_that_this_machine_does_not_have_is_not_claimed(home: Home, memory: Path) -> None:
    memory.rmdir()

    assert home.claim_memory() is None


def test_a_folder_of_somebody_else_is_not_taken(home: Home, memory: Path) -> None:
    home.memory.symlink_to("/nowhere")  # what cannot be removed as a folder stays

    assert home.claim_memory() is None
