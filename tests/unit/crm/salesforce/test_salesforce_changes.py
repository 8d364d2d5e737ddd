"""What changed in Salesforce since a cursor: nothing is missed, pages go on after a crash, deletions come."""

import json
from datetime import UTC, datetime

import pytest

from apps.crm.adapters.provider import Cursor, Forbidden, Record, Unavailable
from apps.crm.adapters.salesforce import Salesforce
from tests.fakes.fake import Fault
from tests.fakes.salesforce import SalesforceFake
from tests.unit.crm.salesforce.conftest import customer

NAMES = ["LastName"]
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def fake() -> SalesforceFake:
    fake = SalesforceFake()
    fake.clock.stop(NOON)
    return fake


def read(salesforce: Salesforce, cursor: Cursor, pages: int = 100) -> tuple[list[Record], Cursor]:
    """Read pages to the end (or so many); the cursor goes through JSON, as it is stored."""
    found: list[Record] = []
    for _ in range(pages):
        page = salesforce.changes("Contact", json.loads(json.dumps(cursor)), NAMES)
        found += page.records
        cursor = page.cursor
        if page.is_last:
            break
    return found, cursor


def names(records: list[Record]) -> list[str | None]:
    return [record.fields.get("LastName") for record in records if not record.is_deleted]


def test_the_first_reading_pages_through_everything_oldest_first(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    fake.page_max = 200
    for number in range(450):
        fake.add("Contact", LastName=f"P{number:03d}", RTX_Client_Id__c=f"id-{number}")
        fake.clock.advance(1)

    found, cursor = read(salesforce, {})

    assert names(found) == [f"P{number:03d}" for number in range(450)]
    assert found[7].external_id == "id-7"
    assert found[7].changed_at == datetime(2026, 11, 21, 12, 0, 7, tzinfo=UTC)
    assert (fake.count("query"), fake.count("query_more")) == (1, 2)
    assert cursor == {
        "since": "2026-11-21T12:02:30.000Z",  # five minutes are read again after the first reading
        "deleted_since": "2026-11-21T12:07:00.000Z",
    }


def test_later_readings_bring_only_what_changed(salesforce: Salesforce, fake: SalesforceFake) -> None:
    first = fake.add("Contact", LastName="One")
    fake.add("Contact", LastName="Two")
    fake.clock.advance(600)
    _, cursor = read(salesforce, {})
    fake.clock.advance(600)
    fake.change("Contact", first.id, LastName="Changed")

    found, cursor = read(salesforce, cursor)
    fake.clock.advance(120)
    again, cursor = read(salesforce, cursor)

    assert names(found) == ["Changed"]
    assert again == [] or names(again) == ["Changed"]
    fake.clock.advance(120)
    assert read(salesforce, cursor)[0] == []


def test_a_change_of_the_same_second_as_the_reading_is_not_missed(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    fake.clock.advance(600.2)
    fake.add("Contact", LastName="Before")
    found, cursor = read(salesforce, {})
    fake.clock.advance(0.3)
    fake.add("Contact", LastName="Same second")

    later, _ = read(salesforce, cursor)

    assert names(found) == ["Before"]
    assert "Same second" in names(later)


def test_a_record_of_a_long_transaction_is_found_once_it_is_committed(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    _, cursor = read(salesforce, {})
    fake.clock.advance(600)
    with fake.organization.long_transaction("Contact"):
        fake.add("Contact", LastName="Slow")
        for _ in range(5):  # readings go on past its stamp
            fake.clock.advance(600)
            fake.organization.store("Contact").is_held = False
            fake.add("Contact", LastName="Quick")
            missed, cursor = read(salesforce, cursor)
            assert "Slow" not in names(missed)

    found, cursor = read(salesforce, cursor)
    fake.clock.advance(600)
    read(salesforce, cursor)

    assert "Slow" in names(found)


def test_a_query_that_ran_out_goes_on_where_it_stood(salesforce: Salesforce, fake: SalesforceFake) -> None:
    fake.page_max = 200
    for number in range(450):
        fake.add("Contact", LastName=f"P{number:03d}")
        fake.clock.advance(1)
    found, cursor = read(salesforce, {}, pages=1)
    fake.forget_queries()

    rest, cursor = read(salesforce, cursor)

    assert set(names([*found, *rest])) == {f"P{number:03d}" for number in range(450)}
    assert names(rest)[0] == "P199"  # from the last stamp on, not from the start
    assert "next" not in cursor


def test_what_changes_behind_a_long_reading_is_read_by_the_next(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    fake.page_max = 200
    kept = [fake.add("Contact", LastName=f"P{number:03d}") for number in range(450)]
    fake.clock.advance(600)
    _, cursor = read(salesforce, {}, pages=1)
    fake.change("Contact", kept[0].id, LastName="Changed")  # its page was read
    fake.clock.advance(1800)

    rest, cursor = read(salesforce, cursor)
    later, _ = read(salesforce, cursor)

    assert "Changed" not in names(rest)
    assert names(later) == ["Changed"]


def test_a_crash_between_pages_loses_nothing(salesforce: Salesforce, fake: SalesforceFake) -> None:
    fake.page_max = 200
    for number in range(450):
        fake.add("Contact", LastName=f"P{number:03d}")
        fake.clock.advance(1)
    first, cursor = read(salesforce, {}, pages=1)
    fake.fail(Fault(kind="drop"), path="/query/")
    with pytest.raises(Unavailable):
        salesforce.changes("Contact", cursor, NAMES)

    rest, _ = read(salesforce, cursor)

    assert names([*first, *rest]) == [f"P{number:03d}" for number in range(450)]


def test_deletions_come_with_their_instant(salesforce: Salesforce, fake: SalesforceFake) -> None:
    kept = fake.add("Contact", LastName="Doe", RTX_Client_Id__c="id-1")
    _, cursor = read(salesforce, {})
    fake.clock.advance(30)
    fake.remove("Contact", kept.id)
    fake.clock.advance(20)
    early, cursor = read(salesforce, cursor)  # seconds are ignored: the minute is not over
    fake.clock.advance(90)

    found, cursor = read(salesforce, cursor)

    assert [record for record in early if record.is_deleted] == []
    (gone,) = found
    assert (gone.crm_id, gone.is_deleted, gone.fields) == (kept.id, True, {})
    assert gone.changed_at == datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
    fake.clock.advance(120)
    assert read(salesforce, cursor)[0] == []


def test_what_is_asked_within_a_minute_costs_one_call(salesforce: Salesforce, fake: SalesforceFake) -> None:
    _, cursor = read(salesforce, {})
    fake.clock.advance(600)
    _, cursor = read(salesforce, cursor)
    calls = len(fake.calls)
    fake.clock.advance(10)

    read(salesforce, cursor)

    assert len(fake.calls) - calls == 1


def test_a_cursor_of_long_ago_still_brings_every_record(salesforce: Salesforce, fake: SalesforceFake) -> None:
    kept = fake.add("Contact", LastName="Old")
    fake.clock.advance(600)
    _, cursor = read(salesforce, {})
    fake.clock.advance(86_400)
    fake.change("Contact", kept.id, LastName="Changed")
    fake.clock.advance(40 * 86_400)  # updated/ reaches 30 days back, deleted/ 15
    salesforce._session.token, _ = fake.grants.give()  # type: ignore[attr-defined]

    found, cursor = read(salesforce, cursor)

    assert names(found) == ["Changed"]
    assert cursor["deleted_since"][:10] == "2027-01-01"
    assert fake.count("updated", status=400) == fake.count("deleted", status=400) == 0


def test_an_emptied_recycle_bin_does_not_stop_the_reading(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    _, cursor = read(salesforce, {})
    fake.clock.advance(600)
    fake.add("Contact", LastName="New")
    error = [{"errorCode": "INVALID_REPLICATION_DATE", "message": "startDate before purge"}]
    fake.fail(Fault(status=400, body=error), path="/deleted/|/updated/", times=2)

    found, cursor = read(salesforce, cursor)

    assert names(found) == ["New"]
    assert cursor == {"since": "2026-11-21T12:05:00.000Z", "deleted_since": "2026-11-21T12:10:00.000Z"}


@pytest.mark.parametrize("what", ["deleted", "updated"])
def test_a_window_that_is_refused_names_its_call(
    what: str, salesforce: Salesforce, fake: SalesforceFake
) -> None:
    _, cursor = read(salesforce, {})
    fake.clock.advance(600)
    error = [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]
    fake.fail(Fault(status=400, body=error), path=f"/{what}/")

    with pytest.raises(Forbidden) as refused:
        read(salesforce, cursor)

    assert (refused.value.code, refused.value.during) == ("missing_rights", f"{what} Contact")


def test_too_many_deletions_come_in_parts(salesforce: Salesforce, fake: SalesforceFake) -> None:
    _, cursor = read(salesforce, {})
    kept = [fake.add("Contact", LastName=f"P{number}") for number in range(8)]
    for one in kept:
        fake.clock.advance(300)
        fake.remove("Contact", one.id)
    fake.clock.advance(300)
    fake.ids_max = 3

    gone: list[str] = []
    for _ in range(8):
        found, cursor = read(salesforce, cursor)
        gone += [record.crm_id for record in found if record.is_deleted]

    assert set(gone) == {one.id for one in kept}
    assert fake.count("deleted", status=400) > 0


def test_a_field_that_is_gone_is_said_and_not_taken_for_a_lost_query(
    salesforce: Salesforce, fake: SalesforceFake
) -> None:
    fake.organization.lacks("Contact", "LastName")

    with pytest.raises(Forbidden) as refused:
        salesforce.changes("Contact", {}, NAMES)

    assert (refused.value.code, fake.count("query")) == ("field_missing", 1)


def test_rtx_names_itself_as_the_origin_of_its_changes(salesforce: Salesforce, fake: SalesforceFake) -> None:
    salesforce.upsert("Contact", [customer("id-1")])

    (event,) = fake.events
    assert event["payload"]["ChangeEventHeader"]["changeOrigin"].endswith(";client=RTX")
