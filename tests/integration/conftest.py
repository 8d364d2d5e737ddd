"""
Servers and databases of the integration tests.

`db` (or the mark `django_db`) gives a test a database of its own: a clone of the migrated template, reached
as the application role, with real commits. No transaction is wrapped around the test, because the executor
refuses to run inside one and works in threads of its own. `owner` reaches the same database as the role
that owns the tables.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from pytest_django.plugin import DjangoDbBlocker

from apps.groups import selectors as group_terms
from apps.market.services.board import board
from apps.trading.selectors import markets as trading_markets
from apps.trading.services import executor
from rtx.local.guard import guarded
from rtx.local.postgres import APP, OWNER
from rtx.local.redis import Redis
from rtx.local.testbed import Testbed, provide
from tests.conftest import TEST_FOLDER

_opened: weakref.WeakSet[BaseDatabaseWrapper] = weakref.WeakSet()


def _remember(connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
    _opened.add(connection)


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """
    Provide the PostgreSQL of all tests: TEST_DATABASE_URL when set, else an embedded one, shared and
    started once.
    """
    with provide(TEST_FOLDER / "postgres", given_url=os.environ.get("TEST_DATABASE_URL", "")) as bed:
        yield bed


@pytest.fixture(scope="session")
def database_template(testbed: Testbed) -> str:
    """Return the name of the migrated template."""
    return testbed.template()


@pytest.fixture(scope="session")
def django_db_setup(database_template: str) -> Iterator[None]:
    """Take the place of pytest-django's: no test database is made here, each test gets a clone."""
    connection_created.connect(_remember)
    connections["default"].settings_dict["OPTIONS"].pop("pool", None)  # a pool would outlive its database
    yield
    connection_created.disconnect(_remember)


@pytest.fixture
def _django_db_helper(
    django_db_setup: None,
    testbed: Testbed,
    database_template: str,
    django_db_blocker: DjangoDbBlocker,
    redis_server: None,
) -> Iterator[None]:
    """Take the place of pytest-django's: a clone and real commits, whatever the mark asks for."""
    name = testbed.clone(database_template)
    address = urlsplit(testbed.url(role=APP, database=name))
    connections["default"].settings_dict.update(
        NAME=name, USER=APP, PASSWORD=address.password, HOST=address.hostname, PORT=str(address.port)
    )
    _forget_previous_test()
    with django_db_blocker.unblock():
        yield
        _close_connections()
    testbed.give_back(name)


def _forget_previous_test() -> None:
    """Empty what a process keeps in memory about its database: numbers of rows begin again in every clone."""
    board().clear()
    executor._executor._runner.forget()
    group_terms._current = None
    trading_markets._conversions = None


def _close_connections() -> None:
    """
    Close what any thread has opened: threads that live on (the executor's) then reconnect to the next clone.
    """
    for wrapper in list(_opened):
        wrapper.inc_thread_sharing()
        try:
            wrapper.close()
        finally:
            wrapper.dec_thread_sharing()
    _opened.clear()


@pytest.fixture
def owner(db: None, testbed: Testbed) -> Iterator[psycopg.Connection]:
    """Open a connection to the test's database as the role that owns the tables; each statement commits."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(testbed.url(role=OWNER, database=name), autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="session")
def redis_process() -> Iterator[Redis | None]:
    """Start the Redis of this test process where the settings expect it (None: TEST_REDIS_URL is used)."""
    if os.environ.get("TEST_REDIS_URL"):
        yield None
        return
    address = urlsplit(settings.REDIS_URL)
    with guarded(TEST_FOLDER / f"redis-{os.getpid()}", temporary=True) as home:
        server = Redis(home=home, port=address.port, password=address.password or "")
        server.start()
        assert server.port == address.port, (
            "the port chosen for Redis was taken meanwhile; run the tests again"
        )
        yield server
        server.stop()


@pytest.fixture
def redis_server(redis_process: Redis | None) -> Redis | None:
    """Give the test an empty Redis."""
    if redis_process is None:
        cache.clear()
    else:
        redis_process.flush()
    return redis_process
