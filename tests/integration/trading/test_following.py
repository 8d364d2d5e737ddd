"""The journal followed across accounts: nothing missed when transactions commit in another order."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from apps.accounts.models import AccountEvent
from apps.trading.selectors import following
from apps.trading.selectors.following import Follower, Place
from tests.factories import rows
from tests.factories.rows import Holder

INSERT = """
    INSERT INTO accounts_accountevent (account_id, seq, type, at, command_id, fingerprint, actor, request_id,
                                       payload)
    VALUES (%s, %s, 'order_rejected', now(), %s, '', 'system:tests', '', '{"order": {"id": 1}}')
    RETURNING id
"""

# Transactions of the whole server count for what is settled: other tests beside these would hold it up.
pytestmark = pytest.mark.serial
Writer = Callable[[], psycopg.Connection[Any]]


@pytest.fixture
def writer(holder: Holder) -> Iterator[Writer]:
    """Return a maker of connections of their own, each with an open transaction."""
    opened: list[psycopg.Connection[Any]] = []

    def make() -> psycopg.Connection[Any]:
        at = connection.settings_dict
        opened.append(
            psycopg.connect(
                host=at["HOST"], port=at["PORT"], user=at["USER"], password=at["PASSWORD"], dbname=at["NAME"]
            )
        )
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def append(one: psycopg.Connection[Any], holder: Holder, seq: int) -> int:
    row = one.execute(INSERT, (holder.id, seq, uuid4())).fetchone()
    assert row is not None
    return int(row[0])


def ids(events: list[following.JournalEvent]) -> list[int]:
    return [event.place.id for event in events]


def test_a_settled_reader_waits_for_an_older_transaction_that_commits_later(holder, writer):
    place = following.present()
    early, late = writer(), writer()
    first = append(early, holder, 101)
    second = append(late, holder, 102)
    late.commit()

    assert following.settled_after(place) == []  # the second alone would put the first behind the reader
    early.commit()

    assert ids(following.settled_after(place)) == [first, second]


def test_lower_id_of_a_younger_transaction_comes_later_in_the_order(holder, writer):
    place = following.present()
    one, two = writer(), writer()
    one.execute("SELECT pg_current_xact_id()")  # older, but writes last
    lower = append(two, holder, 101)
    higher = append(one, holder, 102)
    two.commit()
    one.commit()

    assert ids(following.settled_after(place)) == [higher, lower]


def test_rolled_back_transaction_holds_nobody_up(holder, writer):
    place = following.present()
    broken, whole = writer(), writer()
    append(broken, holder, 101)
    kept = append(whole, holder, 102)
    whole.commit()
    broken.rollback()

    assert ids(following.settled_after(place)) == [kept]


def test_pages_follow_one_another_without_gap_or_repeat(holder, writer):
    place = following.present()
    one = writer()
    written = [append(one, holder, seq) for seq in range(101, 108)]
    one.commit()

    seen = []
    while page := following.settled_after(place, limit=3):
        seen += ids(page)
        place = page[-1].place

    assert seen == written


def test_reading_from_the_start_tells_the_whole_journal(holder):
    events = following.settled_after(Place())

    stored = AccountEvent.objects.order_by("id").values_list("id", "account_id", "seq", "type", "payload")
    assert [(e.place.id, e.account_id, e.seq, e.type, e.payload) for e in events] == list(stored)
    assert [e.type for e in events] == ["account_opened", "balance_changed"]


def test_present_lies_before_what_is_not_settled(holder, writer):
    one = writer()
    written = append(one, holder, 101)

    place = following.present()
    one.commit()

    assert ids(following.settled_after(place)) == [written]


def test_follower_passes_on_at_once_and_only_once(holder, writer):
    follower = Follower(following.present())
    slow, quick = writer(), writer()
    behind = append(slow, holder, 101)
    ahead = append(quick, holder, 102)
    quick.commit()

    assert ids(follower.poll()) == [ahead]
    assert follower.poll() == []
    assert follower.ahead == 1
    slow.commit()
    assert ids(follower.poll()) == [behind]
    assert follower.poll() == []
    assert follower.ahead == 0


def test_place_of_a_follower_is_where_another_one_misses_nothing(holder, writer):
    follower = Follower(following.present())
    slow, quick = writer(), writer()
    behind = append(slow, holder, 101)
    ahead = append(quick, holder, 102)
    quick.commit()
    follower.poll()
    slow.commit()

    assert ids(Follower(follower.settled).poll()) == [behind, ahead]


def test_reader_uses_the_index(holder, owner):
    owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    statement = following.SETTLED.replace("%s", "{}").format("'1'", 1, 100)

    plan = "\n".join(row[0] for row in owner.execute(f"EXPLAIN {statement}").fetchall())

    assert "event_by_transaction" in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("looks_ahead", [False, True])
def test_nothing_is_missed_while_many_write(group, writer, looks_ahead):
    holders = [rows.make_holder(group=group, balance="0") for _ in range(4)]
    place = following.present()
    follower = Follower(place)

    def write(holder: Holder) -> None:
        one = writer()
        for seq in range(100, 160):
            append(one, holder, seq)
            if seq % 3 == 0:  # several events per transaction, so that transactions overlap
                one.commit()
        one.commit()

    seen: list[int] = []

    def read() -> int:
        nonlocal place
        page = follower.poll(limit=7) if looks_ahead else following.settled_after(place, limit=7)
        if page and not looks_ahead:
            place = page[-1].place
        seen.extend(ids(page))
        return len(page)

    with ThreadPoolExecutor(len(holders)) as pool:
        works = [pool.submit(write, holder) for holder in holders]
        while not all(work.done() for work in works):
            read()
    for work in works:
        work.result()
    while read():
        pass

    written = AccountEvent.objects.filter(seq__gte=100).values_list("id", flat=True)
    assert len(written) == 240
    assert sorted(seen) == sorted(written)
