"""A broker with some entries in its journal, sealed by a key of its own; an attacker who owns the tables."""

import base64
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from apps.audit.domain.signing import SigningKey
from apps.audit.selectors import checkpoints, logs
from apps.audit.services import exporting, sealing
from tests.factories.rows import Holder, deposit, make_group, make_holder
from tests.factories.triggering import eventually

HOUSE_KEY = SigningKey("house", bytes(range(32)))
THIEF_KEY = SigningKey("thief", bytes(range(100, 132)))
CHUNK = 4


def key_text(key: SigningKey) -> str:
    """Return a private key as the settings write it."""
    return f"{key.id}:{base64.b64encode(key.seed).decode()}"


@pytest.fixture(autouse=True)
def signing(settings: object) -> None:
    """Sign with a key of this test."""
    settings.AUDIT_SIGNING_KEY = key_text(HOUSE_KEY)  # type: ignore[attr-defined]
    settings.AUDIT_PUBLIC_KEYS = []  # type: ignore[attr-defined]


@pytest.fixture
def holder(db: None) -> Holder:
    """One account with ten entries in the journal: its seq runs from 1 to 10."""
    held = make_holder(group=make_group(), balance="100")
    for amount in range(1, 9):
        deposit(held.id, str(amount))
    return held


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """The folder outside the database."""
    return tmp_path / "outside"


def await_settled(count: int, name: str = "journal") -> None:
    """
    Wait until exactly `count` entries of a log can be sealed: until no transaction runs that is older than
    they are. One of another test, in another database of the same server, counts too.
    """
    log = logs.sealed_logs()[name]
    after = logs.START if (last := checkpoints.latest(name)) is None else last.body.last
    eventually(lambda: logs.entries_in(logs.records_between(log, after, form=len(log.forms))) == count)


def seal_settled(count: int, *, chunk: int = CHUNK) -> None:
    """Seal exactly `count` entries of the journal, as soon as they settled."""
    await_settled(count)
    assert sealing.seal(logs.sealed_logs()["journal"], chunk=chunk) == count


@pytest.fixture
def sealed(holder: Holder, outside: Path) -> Holder:
    """The journal sealed in three checkpoints of 4, 4 and 2 entries, each given out."""
    seal_settled(10)
    exporting.export_new(outside)
    return holder


Attack = Callable[[str], None]


@pytest.fixture
def attack(owner: psycopg.Connection) -> Attack:
    """Return a function that runs SQL as the tables' owner, with every trigger of theirs switched off."""
    tables = ("accounts_accountevent", "accounts_ledgerline", "audit_checkpoint")
    for table in tables:
        owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    owner.execute("DELETE FROM accounts_ledgerline")  # so that events may go

    def run(statement: str) -> None:
        owner.execute(statement)

    return run
