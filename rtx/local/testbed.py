"""
Databases for tests: one PostgreSQL shared by everybody who tests in this clone, a migrated template, a
clone per test.

Cloning takes some 20 ms and gives a test real commits, real grants and real triggers, with nothing to clean
up after it. Clones lie in memory where the machine has some to spare: each is 800 files, and a disk's file
system that has just deleted thousands of them may take most of a second to find room for the next.

The server runs while anybody holds the shared lock of its folder; when the last one is gone, the guard stops
it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from rtx.local import guard
from rtx.local.home import REPOSITORY, Home, LocalError, exclusively, write_private
from rtx.local.postgres import APP, OWNER, SUPERUSER, Postgres, create_database, create_roles
from rtx.local.process import describe_exit

_SCRATCH_PREFIX = "rtx_t_"
_TEMPLATE_PREFIX = "rtx_template_"
_TEMPLATES_KEPT = 3
_CLONES = "rtx_clones"  # the tablespace in memory
_ADVISORY_LOCK = 5_201_314
_MIGRATED_FROM = (
    "requirements.lock",
    "rtx/settings/*.py",
    "apps/*/apps.py",
    "apps/*/permissions.py",
    "apps/*/receivers.py",
    "apps/*/migrations/*.py",
    "apps/*/models.py",
    "apps/*/models/*.py",
)


@dataclass(kw_only=True)
class Testbed:
    """
    A PostgreSQL server for tests, reached as superuser, with the names and passwords of RTX's two roles.
    """

    __test__ = False  # the name begins with Test, but pytest must not collect it

    superuser_url: str
    passwords: dict[str, str]
    tablespace: str = "pg_default"
    _made: int = field(default=0)
    _to_drop: list[str] = field(default_factory=list)

    def url(self, *, role: str, database: str) -> str:
        """Return the address of a database for the owner or the application role."""
        parts = urlsplit(self.superuser_url)
        address = f"{role}:{self.passwords[role]}@{parts.hostname}:{parts.port or 5432}"
        return urlunsplit((parts.scheme, address, f"/{database}", parts.query, ""))

    def _maintain(self) -> psycopg.Connection:
        return psycopg.connect(self.superuser_url, autocommit=True)

    # --- the template -----------------------------------------------------------------------------------

    def template(self) -> str:
        """
        Return the name of a database migrated to this state of the code, making it on the first call.

        :raises LocalError: the migrations fail.
        """
        name = f"{_TEMPLATE_PREFIX}{fingerprint()}"
        with self._maintain() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
            state = connection.execute(
                "SELECT datistemplate FROM pg_database WHERE datname = %s", [name]
            ).fetchone()
            if state is None or not state[0]:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
                self._migrate(connection, name)
                self._drop_old_templates(connection)
        return name

    def _migrate(self, connection: psycopg.Connection, name: str) -> None:
        create_database(connection, name, owner_url=self.url(role=OWNER, database=name))
        migrated = subprocess.run(
            [sys.executable, "manage.py", "migrate", "--no-input", "--skip-checks"],
            env=os.environ
            | {
                "DATABASE_URL": self.url(role=OWNER, database=name),
                "DJANGO_SETTINGS_MODULE": "rtx.settings.test",
            },
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if migrated.returncode != 0:
            raise LocalError(
                f"migrating the test template failed ({describe_exit(migrated.returncode)})\n"
                f"{migrated.stdout[-1000:]}{migrated.stderr[-4000:]}"
            )
        # Nobody can connect to a template, so cloning it never meets "is being accessed by other users".
        connection.execute(
            sql.SQL("ALTER DATABASE {} IS_TEMPLATE true ALLOW_CONNECTIONS false").format(sql.Identifier(name))
        )

    @staticmethod
    def _drop_old_templates(connection: psycopg.Connection) -> None:
        old = connection.execute(
            "SELECT datname FROM pg_database WHERE datistemplate AND starts_with(datname, %s)"
            " ORDER BY oid DESC OFFSET %s",
            [_TEMPLATE_PREFIX, _TEMPLATES_KEPT],
        ).fetchall()
        for (name,) in old:
            connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))

    # --- clones -----------------------------------------------------------------------------------------

    def clone(self, template: str) -> str:
        """Return the name of a new database with the contents of the template."""
        self._made += 1
        name = f"{_SCRATCH_PREFIX}{os.getpid()}_{self._made}"
        with self._maintain() as connection:
            self._drop_pending(connection)
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy OWNER {} TABLESPACE {}").format(
                    *map(sql.Identifier, (name, template, OWNER, self.tablespace))
                )
            )
        return name

    def give_back(self, name: str) -> None:
        """
        Mark a clone as done with. It is dropped later: dropping waits for connections that are just ending.
        """
        self._to_drop.append(name)

    def drop_all(self) -> None:
        """Drop every clone that was given back."""
        with self._maintain() as connection:
            self._drop_pending(connection)

    def _drop_pending(self, connection: psycopg.Connection) -> None:
        while self._to_drop:
            name = self._to_drop.pop()
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def fingerprint(root: Path = REPOSITORY) -> str:
    """Return a short name for the state of everything that a migrated database depends on."""
    digest = hashlib.sha256()
    for pattern in _MIGRATED_FROM:
        for path in sorted(root.glob(pattern)):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@contextmanager
def provide(folder: Path, *, given_url: str = "") -> Iterator[Testbed]:
    """
    Provide the server of the tests for as long as the block lasts.

    `given_url` is the address of a disposable server for a role that may create roles and databases;
    without it the embedded server of `folder` is joined, or started when nobody uses it yet.
    """
    if given_url:
        passwords = {OWNER: "rtx-owner-in-tests", APP: "rtx-app-in-tests"}
        with psycopg.connect(given_url, autocommit=True) as connection:
            create_roles(connection, passwords)
        bed = Testbed(superuser_url=given_url, passwords=passwords)
        yield bed
        bed.drop_all()
        return
    home = Home(folder)
    home.prepare()
    home.acquire(shared=True, wait=True)
    try:
        with exclusively(home.path / "starting"):
            bed = _join_or_start(home)
        yield bed
        bed.drop_all()
    finally:
        home.release()


def _join_or_start(home: Home) -> Testbed:
    """Find the running server of the folder, or start it together with the guard that ends it."""
    known = home.path / "testbed.json"
    running = [one for one in home.recorded() if one.name == "postgres" and one.identity.is_alive()]
    if running and known.exists():
        return Testbed(**json.loads(known.read_text(encoding="utf-8")))
    server = Postgres(home=home, fast=True)
    guard.post(home)
    server.start()
    server.process.leave_running()
    _drop_left_clones(server)
    bed = Testbed(
        superuser_url=server.url(role=SUPERUSER, database=SUPERUSER),
        passwords={role: server.password(role) for role in (OWNER, APP)},
        tablespace=_make_tablespace(server, home),
    )
    noted = {
        "superuser_url": bed.superuser_url,
        "passwords": bed.passwords,
        "tablespace": bed.tablespace,
    }
    write_private(known, json.dumps(noted))
    return bed


def _drop_left_clones(server: Postgres) -> None:
    """Drop the clones of test runs that were killed."""
    with server.connect() as connection:
        left = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [_SCRATCH_PREFIX]
        ).fetchall()
        for (name,) in left:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _make_tablespace(server: Postgres, home: Home) -> str:
    """Make the place of clones anew, in memory if there is room; return the name of its tablespace."""
    folder = home.claim_memory()
    with server.connect() as connection:
        connection.execute(sql.SQL("DROP TABLESPACE IF EXISTS {}").format(sql.Identifier(_CLONES)))
        if folder is None:
            return "pg_default"
        server.give(folder)
        connection.execute(
            sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(
                sql.Identifier(_CLONES), sql.Literal(str(folder))
            )
        )
    return _CLONES
