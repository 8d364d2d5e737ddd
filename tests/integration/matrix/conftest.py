"""The seeded broker: made once per test process in a database of its own; every test gets a clone of it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.db import connections
from django.template.response import SimpleTemplateResponse
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker
from unfold.sites import UnfoldAdminSite

from apps.accounts.selectors import tokens as token_states
from apps.console.selectors import dashboard as console_selectors
from apps.risk.selectors import snapshot
from apps.risk.selectors.kept import kept
from rtx.kernel.rest import UserThrottle
from rtx.local.postgres import APP
from rtx.local.testbed import Testbed
from tests.integration import conftest as base
from tests.integration.matrix import broker as brokers
from tests.integration.matrix.broker import Broker


@pytest.fixture(scope="session")
def seeded_database(
    django_db_setup: None,
    testbed: Testbed,
    database_template: str,
    redis_process: object,
    django_db_blocker: DjangoDbBlocker,
) -> str:
    """Return the name of a database that holds the broker and that nobody is connected to."""
    name = testbed.clone(database_template)
    address = urlsplit(testbed.url(role=APP, database=name))
    connections["default"].settings_dict.update(
        NAME=name, USER=APP, PASSWORD=address.password, HOST=address.hostname, PORT=str(address.port)
    )
    base._forget_previous_test()
    with django_db_blocker.unblock():
        brokers.seed()
        base._close_connections()
    with testbed._maintain() as maintenance:
        maintenance.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    return name


@pytest.fixture(autouse=True)
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Decide, but write no pages: rights are decided before a template is rendered, and rendering takes most of
    the time. That pages can be rendered is for `tests/integration/admin` and the browser.
    """
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", property(lambda self: ""))
    monkeypatch.setattr(UnfoldAdminSite, "get_sidebar_list", lambda *_args: [])


@pytest.fixture
def broker(
    seeded_database: str, testbed: Testbed, django_db_blocker: DjangoDbBlocker, redis_server: object
) -> Iterator[Broker]:
    """Give the test a clone of the broker."""
    name = testbed.clone(seeded_database)
    connections["default"].settings_dict["NAME"] = name
    base._forget_previous_test()
    token_states.forget()
    kept.forget()
    snapshot.forget()
    console_selectors.kept.forget()
    UserThrottle._bucket._levels.clear()
    with django_db_blocker.unblock():
        yield brokers.load()
        base._close_connections()
    testbed.give_back(name)
