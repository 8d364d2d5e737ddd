"""
The folder of one installation (`.rtx/` of a clone, or a temporary one in tests): data, logs, secrets,
process records.

The folder may be entered by others (PostgreSQL runs as `nobody` when we are root) but not listed; every
secret in it is a file that only its owner can read.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

from rtx.local.identity import Identity, identify

REPOSITORY = Path(__file__).resolve().parent.parent.parent

_LOCATION = "postgres.location"
_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is refused when it is not ours
_MEMORY_FREE_MIN = 4 << 30  # bytes; PostgreSQL's log of changes alone may grow to half of it

Say = Callable[[str], None]


class LocalError(RuntimeError):
    """Something that a person must know to run RTX here; shown without a traceback."""


class Interrupted(Exception):
    """A person or the system asked us to stop while something was being started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A process that was started here, as written to disk so that it can be stopped after its parent died."""

    name: str
    identity: Identity
    stop_signal: int


class Home:
    """Paths of one installation, its secrets, its lock, and the records of the processes it started."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None
        self._is_signed = False

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def records(self) -> Path:
        return self.path / "run"

    @property
    def secrets_file(self) -> Path:
        return self.path / "secrets.env"

    @property
    def audit(self) -> Path:
        """Where checkpoints leave the database: on one machine, a folder beside it."""
        return self.path / "audit"

    @property
    def demo_file(self) -> Path:
        return self.path / "demo.json"

    @property
    def run_env_file(self) -> Path:
        """Where the environment of a running stack is written, for management commands."""
        return self.path / "run.env"

    @property
    def logins_file(self) -> Path:
        return self.path / "demo-logins.json"

    def prepare(self) -> None:
        """Create the folders. Safe to repeat."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711)
        for folder in (self.logs, self.records):
            folder.mkdir(mode=0o700, exist_ok=True)

    def log(self, name: str) -> Path:
        """Return where a process writes its output."""
        return self.logs / f"{name}.log"

    # --- one user at a time -----------------------------------------------------------------------------

    def acquire(self, *, shared: bool = False, wait: bool = False, create: bool = True) -> bool:
        """
        Take the installation's lock; it lasts until `release` or the end of this process, however it ends.

        A shared lock lets others share it and keeps the guard away. Returns False when somebody else holds
        it.

        :raises FileNotFoundError: there is none, and it is not to be created.
        """
        mode = "a+" if create else "r+"
        lock = open(self.path / "lock", mode, encoding="utf-8")  # noqa: SIM115 - kept open for as long as it is held
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(lock, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    @property
    def is_held(self) -> bool:
        """Tell whether we hold the lock."""
        return self._lock is not None

    def sign(self) -> None:
        """Write into the lock file, which we hold alone, who holds it."""
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.write(json.dumps(asdict(cast(Identity, identify(os.getpid())))))
            self._lock.flush()
            self._is_signed = True

    def signature(self) -> Identity | None:
        """Return who last signed the lock; they may be gone."""
        text = (self.path / "lock").read_text(encoding="utf-8")
        return Identity(**json.loads(text)) if text else None

    def release(self) -> None:
        """Give the lock back. Safe to repeat."""
        if self._lock is None:
            return
        if self._is_signed:  # the next holder may be a guard that never signs
            self._lock.truncate(0)
            self._is_signed = False
        self._lock.close()
        self._lock = None

    # --- processes --------------------------------------------------------------------------------------

    def record(self, record: Record) -> None:
        """Write down a process that was started, before anything else can happen to us."""
        write_private(self.records / f"{record.name}.json", json.dumps(asdict(record)))

    def forget(self, name: str) -> None:
        """Remove the record of a process that ended."""
        (self.records / f"{name}.json").unlink(missing_ok=True)

    def recorded(self) -> list[Record]:
        """List the processes written down here, newest first; some may be long gone."""
        found = []
        for path in sorted(self.records.glob("*.json"), key=lambda one: one.stat().st_mtime_ns, reverse=True):
            raw = json.loads(path.read_text(encoding="utf-8"))
            found.append(
                Record(name=raw["name"], identity=Identity(**raw["identity"]), stop_signal=raw["stop_signal"])
            )
        return found

    @property
    def postgres_data(self) -> Path:
        """Return where PostgreSQL's data lies: inside, unless `place_postgres_data` said otherwise."""
        note = self.path / _LOCATION
        return Path(note.read_text(encoding="utf-8").strip()) if note.exists() else self.path / "postgres"

    def place_postgres_data(self, folder: Path) -> None:
        """Note that PostgreSQL's data lies outside the installation, in a folder that belongs to it alone."""
        write_private(self.path / _LOCATION, f"{folder}\n")

    @property
    def memory(self) -> Path:
        """Return where `claim_memory` makes its folder."""
        return _MEMORY / f"rtx-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]}"

    def claim_memory(self) -> Path | None:
        """
        Make an empty folder in memory for data that nobody misses after a restart (None: no room for it).

        It goes with the installation.
        """
        if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _MEMORY_FREE_MIN:
            return None
        shutil.rmtree(self.memory, ignore_errors=True)
        try:
            self.memory.mkdir(mode=0o711)
        except OSError:  # closed to us, or somebody else's folder has the name
            return None
        return self.memory

    def remove(self) -> None:
        """
        Delete the installation: data, secrets and logs, also what lies outside the folder. Nothing may run.
        """
        shutil.rmtree(self.memory, ignore_errors=True)
        if self.postgres_data.parent != self.path:
            shutil.rmtree(self.postgres_data.parent, ignore_errors=True)
        shutil.rmtree(self.path)

    # --- secrets ----------------------------------------------------------------------------------------

    def secrets(self) -> dict[str, str]:
        """Return the random secrets of this installation, making those that do not exist yet."""
        known = read_env(self.secrets_file) if self.secrets_file.exists() else {}
        missing = {name: make() for name, make in _SECRETS.items() if name not in known}
        if missing:
            known |= missing
            note = (
                "# Random secrets of this installation. Without them the data beside them cannot be read.\n"
            )
            lines = "".join(f"{name}={value}\n" for name, value in known.items())
            write_private(self.secrets_file, note + lines)
        return known


def _key_32() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _password() -> str:
    return secrets.token_urlsafe(24)


_SECRETS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "RTX_TOKEN_SIGNING_KEY": lambda: secrets.token_urlsafe(48),
    "RTX_SEARCH_HASH_KEY": lambda: secrets.token_urlsafe(32),
    "RTX_ENCRYPTION_KEYS": lambda: f"local1:{_key_32()}",
    "RTX_AUDIT_SIGNING_KEY": lambda: f"local1:{_key_32()}",
    "RTX_METRICS_TOKEN": _password,
    "RTX_POSTGRES_SUPERUSER_PASSWORD": _password,
    "RTX_POSTGRES_OWNER_PASSWORD": _password,
    "RTX_POSTGRES_APP_PASSWORD": _password,
    "RTX_REDIS_PASSWORD": _password,
}


def read_env(path: Path) -> dict[str, str]:
    """
    Read a file of NAME=value lines; blank lines and lines that start with # are passed over, quotes are
    taken off.

    :raises LocalError: a line is neither.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, found, value = text.removeprefix("export ").partition("=")
        if not found or not name.strip().isidentifier():
            raise LocalError(f"{path}, line {number}: expected NAME=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return values


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Hold a lock file for a short piece of work that only one process may do at a time."""
    with open(path, "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step with text that only its owner can read."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
