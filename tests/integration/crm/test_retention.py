"""What is old goes, portion by portion; what staff have not decided on stays without its body."""

from datetime import datetime, timedelta

import pytest

from apps.crm.models import Connection, DeadLetter, Link, SyncEntry, SyncRun, WebhookDelivery
from apps.crm.services import connections, dead_letters, retention
from rtx.kernel import clock
from rtx.kernel.errors import Conflict
from tests.factories.crm import STAFF, MemoryCrm, make_client, settle

pytestmark = pytest.mark.django_db


def days(count: int) -> datetime:
    return clock.now() - timedelta(days=count)


def delivery(connection: Connection, status: str, *, age_days: int = 0) -> WebhookDelivery:
    row = WebhookDelivery(
        connection=connection, digest=f"{status}-{age_days}", status=status, due_at=clock.now()
    )
    row.received_at = days(age_days)
    row.seal(b"{}")
    row.save()
    return row


def letter(connection: Connection, row: WebhookDelivery, **values: object) -> DeadLetter:
    given = {"delivery": row, "direction": "webhook", "error_code": "x", "created_at": row.received_at}
    return DeadLetter.objects.create(connection=connection, **given | values)


def bodies() -> list[str]:
    return sorted(row.digest for row in WebhookDelivery.objects.all() if row.body())


def test_old_logs_are_dropped(connection: Connection, crm: MemoryCrm, monkeypatch) -> None:
    monkeypatch.setattr(retention, "PORTION", 2)
    for number in range(5):
        make_client(number)
    settle(connection, crm)
    SyncEntry.objects.update(at=days(91))

    assert retention.purge() == 5

    assert SyncEntry.objects.count() == 0


def test_bodies_that_have_served_are_dropped(connection: Connection, monkeypatch) -> None:
    monkeypatch.setattr(retention, "PORTION", 1)
    for status in ("received", "done", "failed"):
        delivery(connection, status)
    delivery(connection, "done", age_days=1)
    letter(connection, delivery(connection, "failed", age_days=1))

    retention.purge()

    assert bodies() == ["failed-1", "received-0"]


def test_nothing_keeps_its_body_longer_than_the_connection_says(connection: Connection) -> None:
    for status in ("received", "failed"):
        letter(connection, delivery(connection, status, age_days=91))
    delivery(connection, "done", age_days=91)

    assert retention.purge() == 1

    assert bodies() == []


def test_what_nobody_decided_on_outlives_its_delivery_and_its_link(
    connection: Connection, crm: MemoryCrm
) -> None:
    old = delivery(connection, "failed", age_days=91)
    undecided = letter(connection, old)
    make_client()
    settle(connection, crm)
    of_link = letter(connection, old, delivery=None, link=Link.objects.get(), direction="push")

    retention.purge()

    assert DeadLetter.objects.filter(status="open").count() == 2
    with pytest.raises(Conflict) as refused:
        dead_letters.replay(dead_letter_id=undecided.pk, actor=STAFF)
    assert refused.value.code == "nothing_to_replay"
    dead_letters.drop(dead_letter_id=undecided.pk, actor=STAFF)
    retention.purge()
    assert not WebhookDelivery.objects.exists()
    Link.objects.all().delete()
    of_link.refresh_from_db()
    assert (of_link.status, of_link.link) == ("open", None)


def test_a_decision_drops_the_body(connection: Connection) -> None:
    row = delivery(connection, "failed")

    dead_letters.drop(dead_letter_id=letter(connection, row).pk, actor=STAFF)

    assert bodies() == []


def test_runs_that_live_stay(connection: Connection) -> None:
    for status in ("done", "queued"):
        SyncRun.objects.create(
            connection=connection, kind="full", status=status, asked_by="x", created_at=days(91)
        )

    assert retention.purge() == 1

    assert SyncRun.objects.get().status == "queued"


def test_a_removed_connection_keeps_no_body_and_no_open_letter(connection: Connection) -> None:
    for status in ("received", "done", "failed"):
        letter(connection, delivery(connection, status))

    connections.remove(connection_id=connection.pk, actor=STAFF)

    assert bodies() == []
    assert not WebhookDelivery.objects.filter(status="received").exists()
    assert set(DeadLetter.objects.values_list("status", flat=True)) == {"dropped"}
    delivery(connection, "received", age_days=2)  # it came while the connection went
    retention.purge()
    assert bodies() == []
