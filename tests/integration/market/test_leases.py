"""One engine leads: lease, fencing number, takeover."""

import threading

import pytest
from django.db import OperationalError, connection, transaction

from apps.market.models import EngineLease
from apps.market.services.feed_leases import FeedLease
from apps.market.services.leases import Lease, NotLeading


def test_first_one_leads_and_the_second_waits(db):
    first, second = Lease("feed"), Lease("feed")

    assert first.renew() is True
    assert second.renew() is False
    assert (first.is_held, second.is_held) == (True, False)
    assert first.renew() is True
    assert first.fence == 1


def test_released_lease_is_taken_with_a_higher_fence(db):
    first, second = Lease("feed"), Lease("feed")
    first.renew()
    first.release()

    assert first.is_held is False
    assert second.renew() is True
    assert second.fence == 2
    assert EngineLease.objects.get().holder == second.holder


def test_expired_lease_is_taken_and_the_old_leader_may_not_write(db):
    first, second = Lease("feed", ttl_s=0.0), Lease("feed")
    first.renew()
    assert second.renew() is True

    with pytest.raises(NotLeading), transaction.atomic():
        first.verify()
    with transaction.atomic():
        second.verify()
    assert first.renew() is False


def test_leases_of_different_services_are_independent(db):
    assert Lease("feed").renew() is True
    assert Lease("monitor").renew() is True


def test_lease_is_only_proven_inside_a_transaction(db):
    lease = Lease("feed")
    lease.renew()

    with pytest.raises(transaction.TransactionManagementError):
        lease.verify()


def test_a_lease_that_follows_the_feed_is_given_up_where_another_process_leads_it(db):
    ours, waiting = FeedLease("triggers"), FeedLease("triggers")
    assert ours.follow() is True  # nobody leads the feed
    elsewhere = Lease("feed")
    elsewhere.holder = "other-host:1:00000000"
    elsewhere.renew()

    assert ours.follow() is False
    assert ours.is_held is False

    elsewhere.release()
    assert waiting.follow() is True
    assert waiting.fence == 2


def test_a_lease_that_follows_the_feed_is_taken_where_this_process_leads_it(db):
    Lease("feed").renew()

    assert FeedLease("triggers").follow() is True


def test_a_lease_is_kept_through_an_error_of_the_database(db):
    lease, stopping, turns = FeedLease("triggers"), threading.Event(), []

    def before() -> None:
        turns.append(lease.is_held)
        if len(turns) == 2:
            stopping.set()
            raise OperationalError("away")

    stopping.wait = lambda _: stopping.is_set()
    lease.keep(stopping, before=before)

    assert turns == [False, True]
    assert lease.is_held


def test_a_leader_that_stands_still_in_a_transaction_keeps_its_row_for_ten_seconds(db):
    lease = Lease("feed")
    lease.renew()

    with transaction.atomic(), connection.cursor() as cursor:
        lease.verify()
        cursor.execute("SELECT current_setting('idle_in_transaction_session_timeout')")
        assert cursor.fetchone() == ("10s",)
