"""
The whole of RTX on this machine as one object: `make run`, end-to-end tests, fault tests and the benchmark
start it.

    with Stack(home=folder, fast=True, web_workers=2, env={"RTX_FEED_SPEED": "10"}) as stack:
        stack.start()
        requests.post(f"{stack.web_url}/api/auth/login", ...)
        stack.kill("web")
        stack.start("web")

Everything it starts runs as its own process; leaving the block stops them all, and a guard does so if we
are killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self, TypeVar

import psycopg
import redis

from rtx.local import guard, ports
from rtx.local.home import REPOSITORY, Home, Interrupted, LocalError, Say, write_private
from rtx.local.postgres import OWNER, Postgres
from rtx.local.process import Process, describe_exit
from rtx.local.programs import NAMES, Sizes, programs
from rtx.local.redis import Redis

Server = TypeVar("Server")

# On one machine each provider is the built-in fake, unless the environment names another.
CRM_HOSTS = tuple(
    f"CRM_{provider}{what}_URL" for provider in ("HUBSPOT", "SALESFORCE", "ZOHO") for what in ("", "_OAUTH")
)


class Stack:
    """A running RTX: database, Redis and any of the processes of `programs.NAMES`."""

    def __init__(
        self,
        *,
        home: Path,
        fast: bool = False,
        temporary: bool = False,
        env: Mapping[str, str] | None = None,
        sizes: Sizes | None = None,
        first_ports: Mapping[str, int] | None = None,
        interrupted: Event | None = None,
        say: Say = lambda text: None,
    ) -> None:
        """
        Describe a stack; `open` starts its servers.

        `home` keeps data, logs and secrets. `fast` gives up durability (tests, never a benchmark).
        `temporary` deletes `home` at the end. `env` is added to the environment of every process; a
        DATABASE_URL or REDIS_URL in it (or DATABASE_OWNER_URL, for migrations) is used instead of an
        embedded server. `first_ports` says where to look for free ports ("web", "stream", "crm",
        "postgres", "redis"; without it: anywhere).
        """
        self.home = Home(home)
        self.sizes = sizes or Sizes()
        self._temporary = temporary
        self._extra = dict(env or {})
        self._first_ports = dict(first_ports or {})
        self._interrupted = interrupted or Event()
        self._say = say
        wanted = self._first_ports.get
        self.postgres: Postgres | None = None
        self.redis: Redis | None = None
        if "DATABASE_URL" not in self._extra:
            self.postgres = Postgres(home=self.home, port=wanted("postgres"), fast=fast, say=say)
        if "REDIS_URL" not in self._extra:
            self.redis = Redis(home=self.home, port=wanted("redis"), say=say)
        self._processes: dict[str, Process] = {}
        self.web_port = 0
        self.stream_port = 0
        self.crm_port = 0

    # --- addresses and environment ----------------------------------------------------------------------

    @property
    def web_url(self) -> str:
        """Return the address of the admin and the REST interfaces, without a trailing slash."""
        return f"http://{ports.LOOPBACK}:{self.web_port}"

    @property
    def stream_url(self) -> str:
        """Return the address of the WebSocket."""
        return f"ws://{ports.LOOPBACK}:{self.stream_port}/ws"

    @property
    def crm_url(self) -> str:
        """Return the address of the fake CRM systems."""
        return f"http://{ports.LOOPBACK}:{self.crm_port}"

    @property
    def database_url(self) -> str:
        """Return the address of the database for the application role."""
        return self.postgres.url() if self.postgres else self._extra["DATABASE_URL"]

    @property
    def owner_url(self) -> str:
        """Return the address of the database for the role that owns the tables and migrates them."""
        if self.postgres:
            return self.postgres.url(role=OWNER)
        return self._extra.get("DATABASE_OWNER_URL") or self._extra["DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        """Return the address of Redis."""
        return self.redis.url() if self.redis else self._extra["REDIS_URL"]

    @property
    def env(self) -> dict[str, str]:
        """
        Return the environment of every process of this stack; also right for a script that imports RTX's
        settings.
        """
        return {
            "DJANGO_SETTINGS_MODULE": "rtx.settings.dev",
            "RTX_AUDIT_EXPORT_DIR": str(self.home.audit),
            **self._application_secrets(),
            **dict.fromkeys(CRM_HOSTS, self.crm_url),
            "RTX_PUBLIC_URL": self.web_url,
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "RTX_STREAM_URL": self.stream_url,
            **self._extra,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
        }

    def _application_secrets(self) -> dict[str, str]:
        servers_only = ("RTX_POSTGRES_", "RTX_REDIS_")
        return {
            name: value for name, value in self.home.secrets().items() if not name.startswith(servers_only)
        }

    # --- life -------------------------------------------------------------------------------------------

    def open(self, *, migrate: bool = True) -> None:
        """
        Take the folder, start the servers and (unless told not to) migrate the database.

        :raises LocalError: the folder is in use, or a server cannot be started or reached.
        """
        self.home.prepare()
        self._lock()
        guard.post(self.home)
        for name in guard.sweep(self.home):
            self._say(f"stopped {name}, left behind by an earlier run")
        try:
            self._start_servers()
            self._choose_ports()
            self._write_environment()
            if migrate:
                self.migrate()
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        """Take the folder's lock; while a guard still tidies up after a run that was killed, wait for it."""
        deadline = time.monotonic() + 60
        told = False
        while not self.home.acquire():
            holder = self.home.signature()
            if holder is not None and holder.is_alive():
                raise LocalError(
                    f"RTX already runs in this folder (process {holder.pid}); "
                    f"its addresses are in {self.home.demo_file}"
                )
            if time.monotonic() > deadline:
                raise LocalError(f"{self.home.path} is locked by a process that does not end")
            if not told:
                self._say("an earlier run was killed; waiting until its processes are stopped")
                told = True
            time.sleep(0.1)
        self.home.sign()

    def _start_servers(self) -> None:
        if self.postgres is not None:
            self.postgres.start()
        else:
            _check_database(self.owner_url)
            _check_database(self.database_url)
        if self.redis is not None:
            self.redis.start()
        else:
            _check_redis(self.redis_url)

    def _choose_ports(self) -> None:
        self.web_port = self._port("web", taken=frozenset())
        self.stream_port = self._port("stream", taken=frozenset({self.web_port}))
        self.crm_port = self._port("crm", taken=frozenset({self.web_port, self.stream_port}))

    def _port(self, name: str, *, taken: frozenset[int]) -> int:
        first = self._first_ports.get(name)
        if first is None:
            return ports.scratch(taken=taken)
        port = ports.next_free(first, taken=taken)
        if port != first:
            self._say(f"port {first} is busy, {name} takes {port}")
        return port

    def _write_environment(self) -> None:
        """Write down how the processes reach their servers, so that `manage.py` can be used beside them."""
        names = {*self._application_secrets(), "DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL"}
        names |= {"RTX_AUDIT_EXPORT_DIR", "RTX_PUBLIC_URL", *CRM_HOSTS}
        lines = [f"{name}={value}\n" for name, value in self.env.items() if name in names]
        write_private(self.home.run_env_file, "# Exists while RTX runs here.\n" + "".join(lines))

    def close(self) -> None:
        """Stop everything in order and give the folder back. Safe to repeat, and without `open`."""
        if not self.home.is_held:
            return
        self.stop()
        self.home.run_env_file.unlink(missing_ok=True)
        for server in (self.redis, self.postgres):
            if server is not None:
                server.stop()
        if self._temporary and self.home.path.exists():
            self.home.remove()
        self.home.release()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- management commands ----------------------------------------------------------------------------

    def migrate(self) -> None:
        """Bring the database up to date, as its owner."""
        self.manage("migrate", "--no-input", as_owner=True)

    def manage(self, *arguments: str, as_owner: bool = False, show: bool = False, check: bool = True) -> str:
        """
        Run one management command and return its output; with `show`, let it write to our terminal instead.

        :raises LocalError: it failed (unless `check` is off); the message carries its last lines.
        """
        name = f"manage-{arguments[0]}"
        env = self.env | ({"DATABASE_URL": self.owner_url} if as_owner else {})
        command = [sys.executable, "manage.py", *arguments]
        with open(self.home.log(name), "w+b") as log:
            target = None if show else log
            running = subprocess.Popen(
                command, env=env, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=target, stderr=target
            )
            while running.poll() is None:
                if self._interrupted.is_set():
                    running.terminate()
                    running.wait()
                    raise Interrupted
                time.sleep(0.02)
            log.seek(0)
            output = log.read().decode(errors="replace")
        if running.returncode != 0 and check:
            tail = "\n".join(output.splitlines()[-30:])
            raise LocalError(
                f"manage.py {' '.join(arguments)} failed ({describe_exit(running.returncode)})\n{tail}"
            )
        return output

    # --- processes --------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """
        Start the named processes (all of them without a name) side by side and wait until each is ready.

        :raises LocalError: one ended or did not become ready; the message carries its last lines.
        """
        known = programs(
            web_port=self.web_port,
            stream_port=self.stream_port,
            crm_port=self.crm_port,
            folder=self.home.path,
            sizes=self.sizes,
        )
        chosen = [known[name] for name in names or NAMES]
        for program in chosen:
            process = Process(
                name=program.name,
                command=program.command,
                env=self.env | dict(program.env),
                home=self.home,
                stop_timeout_s=program.stop_timeout_s,
            )
            self._processes[program.name] = process
            process.start()
        for program in chosen:
            self._processes[program.name].wait_until(
                program.ready, timeout_s=program.ready_timeout_s, interrupted=self._interrupted
            )

    def process(self, name: str) -> Process:
        """Return a process that was started: its pid, whether it runs, its output."""
        return self._processes[name]

    def stop(self, *names: str) -> None:
        """
        Stop the named processes (all without a name), in the opposite order of starting, each in bounded
        time.
        """
        chosen = [name for name in reversed(NAMES) if name in (names or NAMES) and name in self._processes]
        if chosen:
            with ThreadPoolExecutor(max_workers=len(chosen)) as pool:
                list(pool.map(lambda name: self._processes[name].stop(), chosen))

    def kill(self, name: str) -> None:
        """End a process and its children at once, as `kill -9` does."""
        self._processes[name].kill()

    def restart(self, name: str) -> None:
        """Stop a process in order and start it again."""
        self.stop(name)
        self.start(name)

    def restart_redis(self, *, crash: bool = False) -> None:
        """
        Restart Redis on the same port; everything in it is gone. With `crash`, as if it had been killed.
        """
        server = self._embedded(self.redis)
        if crash:
            server.kill()
        else:
            server.stop()
        server.start()

    def flush_redis(self) -> None:
        """Empty Redis while it runs."""
        self._embedded(self.redis).flush()

    def restart_postgres(self, *, crash: bool = False) -> None:
        """Restart PostgreSQL on the same port. With `crash`, as if it had been killed."""
        server = self._embedded(self.postgres)
        if crash:
            server.kill()
        else:
            server.stop()
        server.start()

    @staticmethod
    def _embedded(server: Server | None) -> Server:
        if server is None:
            raise LocalError("this server was given by its address, so it is not ours to restart")
        return server

    def ended(self) -> Process | None:
        """Return a process or server that ended without being asked to, if there is one."""
        servers = [server.process for server in (self.postgres, self.redis) if server is not None]
        for process in [*servers, *self._processes.values()]:
            if process.exit_code() is not None and not process.was_stopped:
                return process
        return None


def _check_database(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        raise LocalError(f"the database that was given cannot be used: {error}") from error


def _check_redis(url: str) -> None:
    try:
        redis.Redis.from_url(url, socket_connect_timeout=5).ping()
    except (redis.RedisError, ValueError) as error:
        raise LocalError(f"the Redis that was given cannot be used: {error}") from error
