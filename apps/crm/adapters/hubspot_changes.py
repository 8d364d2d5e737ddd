"""
Which records of HubSpot changed since a cursor. The first time all records are listed, then those that were
deleted; from then on changes are searched.

A search is paged by time, never by number: each page asks for what changed at or after the instant of the
last. So a record that changes meanwhile shifts no other out of sight, and the 10,000 results that a search
can be paged through are never reached. Where a whole page changed in the same millisecond, that millisecond
is gone through by id. The index of searches lags behind: the next pass begins a little before what was seen.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from apps.crm.adapters.provider import Answer, Cursor, Page, Record, Session, Unavailable

SEARCH_PAGE, LIST_PAGE = 200, 100
LAG_MS = 60_000  # of the index of searches, at most
MERGED = "hs_merged_object_ids"  # of every object; ids with semicolons between them


class Changes:
    """Reads the changes of one object. `id_property`: where RTX's id stands."""

    def __init__(self, session: Session, object_name: str, id_property: str, names: Sequence[str]) -> None:
        self._session, self._object, self._id_property = session, object_name, id_property
        self._modified = "lastmodifieddate" if object_name == "contacts" else "hs_lastmodifieddate"
        self._names = list(dict.fromkeys([*names, id_property, MERGED]))

    def page(self, cursor: Cursor) -> Page:
        """Return the page that a cursor begins; {} begins the listing of all."""
        phase = cursor.get("phase")
        if not cursor or phase in ("list", "gone"):
            return self._listed(cursor)
        if "tie" in cursor:
            return self._tied(cursor)
        return self._searched(cursor)

    def _listed(self, cursor: Cursor) -> Page:
        """List all records, then (phase `gone`) those in the bin."""
        is_gone = cursor.get("phase") == "gone"
        params = {
            "limit": str(LIST_PAGE),
            "archived": "true" if is_gone else "false",
            "properties": ",".join(self._names),
            **({"after": str(cursor["after"])} if cursor.get("after") else {}),
        }
        answer = self._call("GET", f"/crm/v3/objects/{self._object}", params=params)
        since = cursor.get("since")
        if since is None:  # what changes from now on is searched afterwards
            since = max(0, self._now_ms(answer) - LAG_MS)
        records = [record(one, self._id_property) for one in _rows(answer)]
        after = _after(answer)
        if after:
            return Page(
                records, {"phase": "gone" if is_gone else "list", "since": since, "after": after}, False
            )
        if is_gone:
            return Page(records, {"since": since}, False)
        return Page(records, {"phase": "gone", "since": since}, False)

    def _searched(self, cursor: Cursor) -> Page:
        since, floor = int(cursor["since"]), cursor.get("floor")
        answer = self._search([("GTE", self._modified, since)], by=self._modified)
        rows = _rows(answer)
        settled = max(0, self._now_ms(answer) - LAG_MS)
        stamps = [self._changed_ms(row) for row in rows]
        if stamps != sorted(stamps):  # what lies between would be missed
            raise Unavailable("HubSpot's search is not in order.", code="provider_malformed")
        last = stamps[-1] if stamps else since - 1
        if last > settled:
            floor = min(settled, settled if floor is None else int(floor))
        records = [record(row, self._id_property) for row in rows]
        if not _after(answer) and len(rows) < SEARCH_PAGE:
            begin = max(since, last + 1)
            return Page(records, {"since": begin if floor is None else min(begin, int(floor))}, True)
        held = {} if floor is None else {"floor": floor}
        if last > since:
            return Page(records, {"since": last, **held}, False)
        return Page(records, {"since": since, "tie": "0", **held}, False)

    def _tied(self, cursor: Cursor) -> Page:
        """Go through one millisecond by id."""
        since = int(cursor["since"])
        rules = [
            ("GTE", self._modified, since),
            ("LTE", self._modified, since),
            ("GT", "hs_object_id", int(cursor["tie"])),
        ]
        answer = self._search(rules, by="hs_object_id")
        rows = _rows(answer)
        records = [record(row, self._id_property) for row in rows]
        held = {name: cursor[name] for name in ("floor",) if name in cursor}
        if len(rows) < SEARCH_PAGE:
            return Page(records, {"since": since + 1, **held}, False)
        return Page(records, {"since": since, "tie": records[-1].crm_id, **held}, False)

    def _search(self, rules: Sequence[tuple[str, str, int]], *, by: str) -> Answer:
        filters = [
            {"propertyName": name, "operator": operator, "value": str(value)}
            for operator, name, value in rules
        ]
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [by],  # upwards; the API's description knows no other form
            "properties": [*self._names, self._modified],
            "limit": SEARCH_PAGE,
            "after": "0",
        }
        return self._call("POST", f"/crm/v3/objects/{self._object}/search", json=body)

    def _call(self, method: str, path: str, **options: Any) -> Answer:
        answer = self._session.call(method, path, operation="changes", object_name=self._object, **options)
        if not isinstance(answer.body, dict) or not isinstance(answer.body.get("results"), list):
            raise Unavailable("HubSpot's list cannot be read.", code="provider_malformed")
        return answer

    def _changed_ms(self, row: Mapping[str, Any]) -> int:
        properties = row.get("properties")
        told = properties.get(self._modified) if isinstance(properties, dict) else None
        at = _instant(told) or _instant(row.get("updatedAt"))
        if at is None:
            raise Unavailable("A record of HubSpot names no time of change.", code="provider_malformed")
        return (int(at.timestamp()) * 1000) + at.microsecond // 1000

    def _now_ms(self, answer: Answer) -> int:
        """Return HubSpot's clock; 0 (search from the beginning of time) where it does not tell."""
        try:
            return int(parsedate_to_datetime(answer.headers.get("date", "")).timestamp() * 1000)
        except (TypeError, ValueError):
            return 0


def record(row: Mapping[str, Any], id_property: str) -> Record:
    """
    Return a record as the API writes it.

    :raises Unavailable: it cannot be read.
    """
    properties = row.get("properties")
    crm_id = row.get("id")
    if not isinstance(crm_id, str) or not crm_id or not isinstance(properties, dict):
        raise Unavailable("A record of HubSpot cannot be read.", code="provider_malformed")
    return Record(
        crm_id=crm_id,
        external_id=str(properties.get(id_property) or ""),
        fields={name: str(value) if value not in (None, "") else None for name, value in properties.items()},
        changed_at=_instant(row.get("updatedAt")),
        is_deleted=bool(row.get("archived")),
        merged_ids=tuple(one for one in str(properties.get(MERGED) or "").split(";") if one.isdigit()),
    )


def _rows(answer: Answer) -> list[Mapping[str, Any]]:
    return [row for row in answer.body["results"] if isinstance(row, dict)]


def _after(answer: Answer) -> str:
    paging = answer.body.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    return str(following.get("after") or "") if isinstance(following, dict) else ""


def _instant(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
