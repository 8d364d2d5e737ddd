"""
Which records of Zoho changed since a cursor, then which were deleted.

Changes are paged by time: each page asks for what changed at or after the second of the last row. So a
record that changes or is deleted meanwhile shifts no other out of sight, and neither the 2,000 rows that page
numbers reach nor the 100,000 of page tokens end a pass. Only within one second, where more rows changed than
a page holds, page tokens lead on. What Zoho shows late is read by the next pass: it begins a little before.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from apps.crm.adapters import zoho_errors as errors
from apps.crm.adapters import zoho_values as values
from apps.crm.adapters.provider import Answer, Cursor, Forbidden, Page, Record, Session, Unavailable

PAGE = 200
FIELDS_MAX = 50  # that one call reads
NUMBERED_MAX = 10  # pages of 200 that can be asked for by their number
LAG_S = 60
MODIFIED = "Modified_Time"
_EXPIRED = frozenset({"EXPIRED_VALUE", "TOKEN_BOUND_DATA_MISMATCH"})
_ENDED = frozenset({"DISCRETE_PAGINATION_LIMIT_EXCEEDED", "PAGINATION_LIMIT_EXCEEDED"})


class Changes:
    """Reads the changes of one module. `path`: of the module; `key`: the field of RTX's id."""

    def __init__(
        self, session: Session, *, path: str, object_name: str, key: str, names: Sequence[str]
    ) -> None:
        self._session, self._path, self._object = session, path, object_name
        self._key, self._names = key, names
        self._asked = asked(names, key)

    def page(self, cursor: Cursor) -> Page:
        """Return the page that a cursor begins; {} begins with all records."""
        if cursor.get("phase") == "gone":
            return self._deleted(cursor)
        if cursor.get("phase") == "rows":
            return self._changed(cursor)
        since = cursor.get("since")
        return self._changed({"phase": "rows", "from": since, "since": since, "gone": cursor.get("gone")})

    def _changed(self, cursor: Cursor) -> Page:
        since = cursor.get("since")
        params = {"fields": self._asked, "sort_by": MODIFIED, "sort_order": "asc", "per_page": str(PAGE)}
        if cursor.get("token"):
            params["page_token"] = str(cursor["token"])
        else:
            params["page"] = str(cursor.get("page", 1))
        answer = self._call(self._path, params, None if since is None else int(since))
        if answer.status == 400:
            if cursor.get("token") and errors.first(answer.body).get("code") in _EXPIRED:
                return Page([], _without(cursor, "token", "page"), False)
            raise errors.failure(answer).of("changes", self._object)
        rows, info = _rows(answer)
        records = [record(row, key=self._key, names=self._names) for row in rows]
        stamps = [_stamp(one) for one in records]
        step = {**cursor, **self._seen(cursor, answer, stamps)}
        if stamps != sorted(stamps) and not cursor.get("walk") and _is_begun(cursor):
            # Not in order: what was passed over is read once more, page by page.
            return Page(
                records, {**_without(step, "token", "page"), "since": cursor["from"], "walk": True}, False
            )
        if stamps != sorted(stamps):
            step["walk"] = True
        if not info.get("more_records"):
            return Page(records, _gone(step), False)
        if not step.get("walk") and stamps and stamps[-1] > (-1 if since is None else int(since)):
            return Page(records, {**_without(step, "token", "page"), "since": stamps[-1]}, False)
        return Page(records, _next(step, info), False)

    def _seen(self, cursor: Cursor, answer: Answer, stamps: Sequence[int]) -> dict[str, Any]:
        """Keep how far the pass has come, and the second from which on more may come to light."""
        now = _now(answer)
        last = max(stamps, default=-1)
        settled = max(0, now - LAG_S)
        kept: dict[str, Any] = {"begun": cursor.get("begun", settled)}
        high = cursor.get("high")
        if stamps:
            kept["high"] = last if high is None else max(last, int(high))
        if last >= settled:
            floor = cursor.get("floor")
            kept["floor"] = settled if floor is None else min(settled, int(floor))
        return kept

    def _deleted(self, cursor: Cursor) -> Page:
        params = {"type": "all", "per_page": str(PAGE)}
        if cursor.get("token"):
            params["page_token"] = str(cursor["token"])
        else:
            params["page"] = str(cursor.get("page", 1))
        gone = cursor.get("gone")
        answer = self._call(f"{self._path}/deleted", params, None if gone is None else int(gone))
        settled = int(cursor.get("asked", max(0, _now(answer) - LAG_S)))
        ended = {"since": cursor["since"], "gone": settled}
        if answer.status == 400:
            # What lies deeper is found when it is written to: it is gone then.
            if errors.first(answer.body).get("code") in _ENDED and cursor.get("page", 1) != 1:
                return Page([], ended, True)
            raise errors.failure(answer).of("changes", self._object)
        rows, info = _rows(answer)
        records = [
            Record(_id(row), "", {}, _instant(row.get("deleted_time")), is_deleted=True) for row in rows
        ]
        if not info.get("more_records"):
            return Page(records, ended, True)
        step = {**cursor, "asked": settled, "page": int(cursor.get("page", 1)) + 1}
        token = info.get("next_page_token")
        return Page(records, {**step, "token": token} if token else _without(step, "token"), False)

    def _call(self, path: str, params: Mapping[str, str], since: int | None) -> Answer:
        """Ask for what changed at or after a second: Zoho's word is "after"."""
        headers = {}
        if since is not None:
            before = datetime.fromtimestamp(max(0, since - 1), tz=UTC)
            headers["If-Modified-Since"] = before.isoformat(timespec="seconds")
        return self._session.call(
            "GET",
            path,
            operation="changes",
            object_name=self._object,
            params=params,
            headers=headers,
            expected=(304, 400),
        )


def asked(names: Sequence[str], key: str) -> str:
    """
    Return the fields to ask for.

    :raises Forbidden: `too_many_fields`: Zoho reads 50 at once.
    """
    wanted = list(dict.fromkeys([*(values.name(one) for one in names), key, MODIFIED]))
    if len(wanted) > FIELDS_MAX:
        raise Forbidden(f"Zoho reads {FIELDS_MAX} fields at once: map fewer.", code="too_many_fields")
    return ",".join(wanted)


def record(row: Any, *, key: str, names: Sequence[str]) -> Record:
    """
    Return a record as the API writes it.

    :raises Unavailable: it cannot be read.
    """
    row = row if isinstance(row, dict) else {}
    return Record(
        crm_id=_id(row),
        external_id=values.inward(row.get(key)) or "",
        fields={one: values.inward(row[one]) for one in names if one in row},
        changed_at=_instant(row.get(MODIFIED)),
    )


def rows_of(answer: Answer) -> list[Any]:
    """
    Return the rows of a list; Zoho answers 204 or 304 where there are none.

    :raises Unavailable: it cannot be read.
    """
    return _rows(answer)[0]


def _rows(answer: Answer) -> tuple[list[Any], Mapping[str, Any]]:
    if answer.status in (204, 304):
        return [], {}
    rows = answer.body.get("data") if isinstance(answer.body, dict) else None
    if not isinstance(rows, list):
        raise Unavailable("Zoho's list cannot be read.", code="provider_malformed")
    info = answer.body.get("info")
    return rows, info if isinstance(info, dict) else {}


def _gone(step: Cursor) -> Cursor:
    """Go on with what was deleted; the next pass begins behind the last change that has settled."""
    high, since = step.get("high"), step.get("from")
    begin = max(int(high) + 1, int(since or 0)) if high is not None else since
    if begin is None:
        begin = step["begun"]
    if step.get("floor") is not None:
        begin = min(begin, int(step["floor"]))
    return {"phase": "gone", "since": begin, "gone": step.get("gone")}


def _next(step: Cursor, info: Mapping[str, Any]) -> Cursor:
    page = int(step.get("page", 1)) + 1
    token = info.get("next_page_token")
    if isinstance(token, str) and token:
        return {**step, "page": page, "token": token}
    if page > NUMBERED_MAX:
        raise Unavailable("Zoho's list does not say how it goes on.", code="provider_malformed")
    return {**_without(step, "token"), "page": page}


def _is_begun(cursor: Cursor) -> bool:
    return (
        cursor.get("since") != cursor.get("from") or bool(cursor.get("token")) or cursor.get("page", 1) != 1
    )


def _without(cursor: Cursor, *names: str) -> Cursor:
    return {name: value for name, value in cursor.items() if name not in names}


def _now(answer: Answer) -> int:
    """Return Zoho's clock; 0 where it does not tell: then all is read once more."""
    try:
        return int(parsedate_to_datetime(answer.headers.get("date", "")).timestamp())
    except (TypeError, ValueError):
        return 0


def _id(row: Any) -> str:
    given = row.get("id") if isinstance(row, dict) else None
    if not isinstance(given, int | str) or not str(given).isdigit():
        raise Unavailable("A record of Zoho cannot be read.", code="provider_malformed")
    return str(given)


def _instant(given: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _stamp(one: Record) -> int:
    if one.changed_at is None:
        raise Unavailable("A record of Zoho names no time of change.", code="provider_malformed")
    return int(one.changed_at.timestamp())
