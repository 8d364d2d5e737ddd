"""
Reads what changed in Salesforce since a cursor, without a gap: records by SystemModstamp, their pages by
nextRecordsUrl, deletions by `deleted/`, and by `updated/` the instant up to which all is committed.

The cursor: `since` (records from there on), `deleted_since`; while a query is being read also `next` (its
next page), `high` (how far it came), `started` (the provider's clock when it began). A record written by a
transaction that takes long has a stamp older than the query that missed it: the next one begins where
`updated/` says that all is covered, not where the last one ended.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from apps.crm.adapters import salesforce_errors
from apps.crm.adapters import salesforce_soql as soql
from apps.crm.adapters.provider import Answer, Cursor, Page, Record, Session, Unavailable
from rtx.kernel import clock

STAMP = "SystemModstamp"
PAGE = 2000  # records; Salesforce may give fewer
OVERLAP = timedelta(minutes=5)  # read again where `updated/` does not say what is covered
DELETED_KEPT = timedelta(days=15)
UPDATED_KEPT = timedelta(days=30)
_PAGED = {"Sforce-Query-Options": f"batchSize={PAGE}"}


class Changes:
    """The changes of one object. `key`: the field of RTX's id."""

    def __init__(self, session: Session, *, data: str, object_name: str, key: str) -> None:
        self._session = session
        self._data = data
        self._object = soql.name(object_name)
        self._key = key

    def page(self, cursor: Cursor, names: Sequence[str]) -> Page:
        """Return the page at a cursor."""
        answer = self._query(cursor, names)
        if answer.status != 200:
            if not cursor.get("next"):
                raise salesforce_errors.failure(answer)
            # Salesforce keeps a query two days: begin again where it stood.
            cursor = {
                "since": cursor.get("high") or cursor["since"],
                "deleted_since": cursor["deleted_since"],
            }
            return self.page(cursor, names)
        body = _checked(answer.body)
        started = soql.read_instant(cursor.get("started")) or _their_clock(answer)
        records = [as_record(row, key=self._key, names=names) for row in body["records"]]
        stamps = [record.changed_at for record in records if record.changed_at is not None]
        high = max(stamps, default=None)
        reached = soql.instant(high) if high is not None else cursor.get("high", "")
        if not body["done"]:
            going_on = {
                "since": cursor.get("since", ""),
                "deleted_since": cursor.get("deleted_since", ""),
                "started": soql.instant(started),
                "high": reached,
                "next": soql.next_page(str(body.get("nextRecordsUrl"))),
            }
            return Page(records=records, cursor=going_on, is_last=False)
        deleted, deleted_until = self._deleted(cursor, started)
        records = sorted([*records, *deleted], key=lambda record: record.changed_at or started)
        covered = self._covered(cursor, started)
        done = {"since": soql.instant(covered), "deleted_since": soql.instant(deleted_until)}
        return Page(records=records, cursor=done, is_last=True)

    def _query(self, cursor: Cursor, names: Sequence[str]) -> Answer:
        if cursor.get("next"):
            # 400 or 404: INVALID_QUERY_LOCATOR, the query was forgotten.
            return self._session.call(
                "GET",
                soql.next_page(str(cursor["next"])),
                operation="changes",
                object_name=self._object,
                headers=_PAGED,
                expected=(400, 404),
            )
        since = soql.read_instant(cursor.get("since"))
        query = soql.select(
            self._object,
            ["Id", self._key, STAMP, *names],
            where=f"{STAMP} >= {soql.instant(since)}" if since is not None else "",
            order_by=f"{STAMP}, Id",
        )
        return self._session.call(
            "GET",
            f"{self._data}/query",
            operation="changes",
            object_name=self._object,
            params={"q": query},
            headers=_PAGED,
        )

    def _covered(self, cursor: Cursor, started: datetime) -> datetime:
        """Return from where the next query must read so that nothing committed late is missed."""
        since = soql.read_instant(cursor.get("since"))
        if since is None or started - since >= UPDATED_KEPT - timedelta(hours=1):
            return started - OVERLAP
        window = self._window("updated", since, started)
        if window is None:
            return since  # less than a minute passed: the same once more
        return max(since, min(window[1], started)) if window[0] is not None else started - OVERLAP

    def _deleted(self, cursor: Cursor, started: datetime) -> tuple[list[Record], datetime]:
        oldest = started - DELETED_KEPT + timedelta(hours=1)
        since = max(soql.read_instant(cursor.get("deleted_since")) or oldest, oldest)
        window = self._window("deleted", since, started)
        if window is None:
            return [], since
        body, until = window
        if body is None:
            return [], started  # the recycle bin was emptied: what was deleted before cannot be told
        found = [
            Record(
                crm_id=soql.record_id(str(one.get("id"))),
                external_id="",
                fields={},
                changed_at=soql.read_instant(one.get("deletedDate")),
                is_deleted=True,
            )
            for one in body.get("deletedRecords") or []
        ]
        return found, max(since, min(until, started))

    def _window(
        self, what: str, since: datetime, until: datetime
    ) -> tuple[dict[str, Any] | None, datetime] | None:
        """
        Ask `updated/` or `deleted/` for full minutes (seconds are ignored) and return the answer and up to
        when it covers; no answer where Salesforce cannot tell; None for less than a minute. A window with
        more than 600,000 ids is halved: the rest comes with the next cursor.
        """
        start, end = soql.minute(since), soql.minute(until)
        while end - start > timedelta(minutes=1):
            answer = self._session.call(
                "GET",
                f"{self._data}/sobjects/{self._object}/{what}/",
                operation=what,
                object_name=self._object,
                params={"start": soql.instant(start), "end": soql.instant(end)},
                expected=(400,),
            )
            if answer.status == 200 and isinstance(answer.body, dict):
                told = soql.read_instant(answer.body.get("latestDateCovered"))
                return answer.body, told if told is not None else end - OVERLAP
            code = salesforce_errors.code_of(answer.body)
            if code == "INVALID_REPLICATION_DATE":
                return None, start
            if code != "EXCEEDED_ID_LIMIT":
                raise salesforce_errors.failure(answer).of(what, self._object)
            end = soql.minute(start + (end - start) / 2)
        return None


def as_record(row: Any, *, key: str, names: Sequence[str]) -> Record:
    """Read one record of an answer."""
    if not isinstance(row, dict):
        raise _unreadable()
    return Record(
        crm_id=soql.record_id(str(row.get("Id"))),
        external_id=soql.as_text(row.get(key)) or "",
        fields={name: soql.as_text(row.get(name)) for name in names},
        changed_at=soql.read_instant(row.get(STAMP)),
        is_deleted=row.get("IsDeleted") is True,
    )


def _checked(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict) or not isinstance(body.get("records"), list) or "done" not in body:
        raise _unreadable()
    return body


def _unreadable() -> Unavailable:
    return Unavailable("The answer of a query cannot be read.", code="provider_malformed")


def _their_clock(answer: Answer) -> datetime:
    """Return the provider's time of an answer; stamps of records are by that clock."""
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).astimezone(UTC)
    except (TypeError, ValueError):
        return clock.now() - OVERLAP
