"""Databases of the tests: their own, with real commits, real grants and nothing left from the test before."""

from __future__ import annotations

import threading

import psycopg
import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from rtx.local.testbed import Testbed

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_starts_from_the_template(turn: int, owner: psycopg.Connection) -> None:
    owner.execute("CREATE TABLE only_here (turn int)")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO only_here VALUES (%s)", [turn])
        cursor.execute("SELECT turn FROM only_here")

        assert cursor.fetchall() == [(turn,)]


def test_a_clone_lies_where_the_testbed_says(testbed: Testbed) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT spcname FROM pg_tablespace JOIN pg_database ON dattablespace = pg_tablespace.oid"
            " WHERE datname = current_database()"
        )

        assert cursor.fetchone() == (testbed.tablespace,)


def test_other_threads_see_what_was_committed(owner: psycopg.Connection) -> None:
    owner.execute("CREATE TABLE shown (n int)")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO shown VALUES (7)")
    seen: list[int] = []

    def look() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT n FROM shown")
            seen.extend(row[0] for row in cursor.fetchall())
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert seen == [7]


def test_the_application_does_not_own_the_tables() -> None:
    with (
        connection.cursor() as cursor,
        pytest.raises(ProgrammingError, match="must be owner of table accounts_ledgerline"),
    ):
        cursor.execute("ALTER TABLE accounts_ledgerline DISABLE TRIGGER ALL")


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_starts_with_an_empty_redis(turn: int) -> None:
    assert cache.get("left") is None

    cache.set("left", turn)

    assert cache.get("left") == turn
