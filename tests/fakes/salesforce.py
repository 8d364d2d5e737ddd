"""
Salesforce as its reference describes it: sObject rows, external ids, collections, SOQL with its pages,
`updated/` and `deleted/`, describe, limits. The organization around them is `tests.fakes.salesforce_portal`.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes import salesforce_query
from tests.fakes.fake import Reply, Request
from tests.fakes.salesforce_portal import Portal, api
from tests.fakes.salesforce_store import Kept, Refused, Store, Unparsed, stamp_text

COLLECTION_MAX, RETRIEVE_MAX, COMPOSITE_MAX, QUERIES_MAX = 200, 2000, 25, 5
DATA = "/services/data/{version}"
OBJECT = DATA + "/sobjects/{object}"


class SalesforceFake(Portal):
    """One organization with its records."""

    # Rows.
    @api("GET", OBJECT + "/describe")
    def describe(self, request: Request) -> Reply:
        """Describe an object."""
        store = self._store(request)
        return Reply(200, {"name": store.name, "fields": [one.as_json() for one in store.fields.values()]})

    @api("GET", OBJECT + "/{id}")
    def get(self, request: Request) -> Reply:
        """Return a record."""
        store = self._store(request)
        kept = store.get(request.params["id"])
        return Reply(200, store.shown(kept, self._names(store, request)))

    @api("GET", OBJECT + "/{field}/{value}")
    def get_by_external(self, request: Request) -> Reply:
        """Return a record by an external id; 300 when several have it."""
        store = self._store(request)
        found = store.matching(request.params["field"], request.params["value"])
        if len(found) > 1:
            return self._several(store, found)
        if not found:
            raise Refused("NOT_FOUND", "The requested resource does not exist", status=404)
        return Reply(200, store.shown(found[0], self._names(store, request)))

    @api("POST", DATA + "/sobjects/{object}")
    @api("POST", DATA + "/sobjects/{object}/")
    def create(self, request: Request) -> Reply:
        """Create a record."""
        store = self._store(request)
        kept = self._write(request, store, None, store.parsed(request.json))
        return Reply(201, {"id": kept.id, "success": True, "errors": []})

    @api("PATCH", OBJECT + "/{id}")
    def update(self, request: Request) -> Reply:
        """Change a record."""
        store = self._store(request)
        self._write(request, store, store.get(request.params["id"]), store.parsed(request.json))
        return Reply(204)

    @api("PATCH", OBJECT + "/{field}/{value}")
    def upsert(self, request: Request) -> Reply:
        """Create or change by an external id."""
        store = self._store(request)
        name, value = request.params["field"], request.params["value"]
        found = store.matching(name, value)
        if len(found) > 1:
            return self._several(store, found)
        kept = self._write(
            request, store, found[0] if found else None, {**store.parsed(request.json), name: value}
        )
        body = {"id": kept.id, "success": True, "errors": [], "created": not found}
        return Reply(200 if found else 201, body)

    @api("DELETE", OBJECT + "/{id}")
    def delete(self, request: Request) -> Reply:
        """Put a record into the recycle bin."""
        store = self._store(request)
        kept = store.get(request.params["id"])
        store.delete(kept)
        self.note(store, kept, "DELETE", {}, request)
        return Reply(204)

    # Collections.
    @api("PATCH", DATA + "/composite/sobjects")
    def collection_update(self, request: Request) -> Reply:
        """Change up to 200 records by their ids."""
        records = self._collection(request)
        read = [(self._typed(one), str(one.get("Id") or one.get("id") or ""), one) for one in records]
        parsed = [(store, crm_id, store.parsed(one)) for store, crm_id, one in read]

        def change(store: Store, crm_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
            kept = self._write(request, store, store.get(crm_id), values)
            return {"id": kept.id, "success": True, "errors": []}

        return Reply(200, [self._tried(change, *one) for one in parsed])

    @api("PATCH", DATA + "/composite/sobjects/{object}/{field}")
    def collection_upsert(self, request: Request) -> Reply:
        """Create or change up to 200 records of one object by an external id."""
        store, name = self._store(request), request.params["field"]
        records = self._collection(request)
        if any(one["attributes"]["type"] != store.name or "Id" in one or "id" in one for one in records):
            raise Refused("INVALID_FIELD", "Only external ids are supported")
        parsed = [store.parsed(one) for one in records]
        asked = [str(one.get(name) or "").lower() for one in parsed]

        def put(values: Mapping[str, Any]) -> dict[str, Any]:
            value = str(values.get(name) or "")
            if not value:
                raise Refused("MISSING_ARGUMENT", f"{name} not specified")
            found = store.matching(name, value)
            if len(found) > 1 or asked.count(value.lower()) > 1:
                raise Refused("DUPLICATE_EXTERNAL_ID", f"duplicate external id specified: {value}", (name,))
            kept = self._write(request, store, found[0] if found else None, values)
            return {"id": kept.id, "success": True, "errors": [], "created": not found}

        store.matching(name, "")  # refuses a field that is no external id
        return Reply(200, [self._tried(put, one) for one in parsed])

    @api("POST", DATA + "/composite/sobjects/{object}")
    def collection_get(self, request: Request) -> Reply:
        """Return records by their ids; null for those that are not there."""
        store, asked = self._store(request), request.json
        if len(asked["ids"]) > RETRIEVE_MAX:
            raise Refused("INVALID_BATCH_SIZE", "Too many ids")
        store.check(asked["fields"])
        self.carries(len(asked["ids"]))
        rows: list[dict[str, Any] | None] = []
        for crm_id in asked["ids"]:
            try:
                rows.append(store.shown(store.get(crm_id), asked["fields"]))
            except Refused as error:
                if error.code == "MALFORMED_ID":
                    raise
                rows.append(None)
        return Reply(200, rows)

    @api("POST", DATA + "/composite")
    @api("POST", DATA + "/composite/")
    def composite(self, request: Request) -> Reply:
        """Carry out up to 25 requests, five of them queries, in one call."""
        asked = request.json["compositeRequest"]
        urls = [urlsplit(one["url"]) for one in asked]
        if len(asked) > COMPOSITE_MAX or sum("/query" in url.path for url in urls) > QUERIES_MAX:
            raise Refused("LIMIT_EXCEEDED", "Composite API limit exceeded")
        answers = []
        for one, url in zip(asked, urls, strict=True):
            inner = Request(
                method=one["method"],
                path=url.path,
                query=dict(parse_qsl(url.query, keep_blank_values=True)),
                headers=request.headers,
                body=json.dumps(one.get("body")).encode(),
                target=one["url"],
            )
            function = self._find(inner)[2]
            reply = function(self, inner) if function else self.not_found(inner)
            answers.append(
                {
                    "body": reply.body,
                    "httpHeaders": reply.headers,
                    "httpStatusCode": reply.status,
                    "referenceId": one["referenceId"],
                }
            )
        return Reply(200, {"compositeResponse": answers})

    # Queries.
    @api("GET", DATA + "/query")
    @api("GET", DATA + "/query/")
    def query(self, request: Request) -> Reply:
        """Run a query and return its first page."""
        return self._queried(request, Store.alive)

    @api("GET", DATA + "/queryAll")
    def query_all(self, request: Request) -> Reply:
        """Run a query over records in the bin too."""
        return self._queried(request, Store.committed)

    def _queried(self, request: Request, seen: Callable[[Store], list[Kept]]) -> Reply:
        try:
            asked = salesforce_query.read(request.query.get("q", ""))
        except salesforce_query.Malformed as error:
            raise Refused("MALFORMED_QUERY", str(error)) from error
        store = self.organization.stores.get(asked.object_name)
        if store is None:
            raise Refused("INVALID_TYPE", f"sObject type '{asked.object_name}' is not supported.")
        store.check(asked.fields)
        found = [(kept, store.row(kept)) for kept in seen(store)]
        found = [one for one in found if asked.condition(one[1])]
        for name, is_down in reversed(asked.order):
            found.sort(key=lambda one: (one[1][name] is not None, one[1][name] or ""), reverse=is_down)
        ids = [kept.id for kept, _ in found][: asked.limit]
        if asked.is_count:
            return Reply(200, {"totalSize": len(ids), "done": True, "records": []})
        locator = f"01g{next(self.numbers):012d}AAA"
        self.queries[locator] = (store.name, ids, asked.selected)
        return self._page(request, locator, 0)

    @api("GET", DATA + "/query/{place}")
    def query_more(self, request: Request) -> Reply:
        """Return the next page of a query."""
        locator, _, start = request.params["place"].rpartition("-")
        if locator not in self.queries or not start.isdigit():
            raise Refused("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(request, locator, int(start))

    # Replication, limits.
    @api("GET", OBJECT + "/updated/")
    def updated(self, request: Request) -> Reply:
        """Return ids of records that were made or changed within full minutes."""
        store = self._store(request)
        start, end = self._window(request, days=30)
        ids = [one.id for one in store.alive() if start <= int(one.stamp) < end]
        if len(ids) > self.ids_max:
            raise Refused("EXCEEDED_ID_LIMIT", "Too many ids")
        return Reply(200, {"ids": ids, "latestDateCovered": stamp_text(self._covered(store, end))})

    @api("GET", OBJECT + "/deleted/")
    def deleted(self, request: Request) -> Reply:
        """Return ids of records that were deleted within full minutes."""
        store = self._store(request)
        start, end = self._window(request, days=15)
        found = [one for one in store.records.values() if start <= (one.deleted_at or 0) < end]
        if len(found) > self.ids_max:
            raise Refused("EXCEEDED_ID_LIMIT", "Too many ids")
        return Reply(
            200,
            {
                "deletedRecords": [
                    {"id": one.id, "deletedDate": stamp_text(one.deleted_at or 0)} for one in found
                ],
                "earliestDateAvailable": stamp_text(self.clock() - 15 * 86_400),
                "latestDateCovered": stamp_text(self._covered(store, end)),
            },
        )

    @api("GET", DATA + "/limits")
    @api("GET", DATA + "/limits/")
    def limits(self, request: Request) -> Reply:
        """Return the day's allocation."""
        most = self.limit.calls_max if self.limit else 0
        return Reply(200, {"DailyApiRequests": {"Max": most, "Remaining": most - len(self._recent)}})

    def _store(self, request: Request) -> Store:
        if not re.fullmatch(r"v\d{2}\.0", request.params["version"]):
            raise Refused("NOT_FOUND", "The requested resource does not exist", status=404)
        return self.organization.store(request.params["object"])

    def _names(self, store: Store, request: Request) -> list[str]:
        names = [name for name in request.query.get("fields", "").split(",") if name]
        store.check(names)
        return names or list(store.fields)

    def _write(self, request: Request, store: Store, kept: Kept | None, values: Mapping[str, Any]) -> Kept:
        self.carries(max(1, self._records))
        written = store.write(kept, values)
        self.note(store, written, "UPDATE" if kept else "CREATE", values, request)
        return written

    def _tried(self, function: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
        try:
            return function(*given)
        except Unparsed:
            raise
        except Refused as error:
            told = {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}
            return {"success": False, "errors": [told]}

    def _collection(self, request: Request) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = request.json["records"]
        if len(records) > COLLECTION_MAX:
            raise Refused("INVALID_BATCH_SIZE", "record limit reached: 200")
        if any("type" not in one.get("attributes", {}) for one in records):
            raise Refused("INVALID_INPUT", "Include an attributes map with a type for each record")
        self.carries(len(records))
        return records

    def _typed(self, given: Mapping[str, Any]) -> Store:
        return self.organization.store(given["attributes"]["type"])

    def _several(self, store: Store, found: list[Kept]) -> Reply:
        return Reply(300, [f"/services/data/v62.0/sobjects/{store.name}/{one.id}" for one in found])

    def _page(self, request: Request, locator: str, start: int) -> Reply:
        object_name, ids, names = self.queries[locator]
        store = self.organization.store(object_name)
        asked = re.search(r"batchSize=(\d+)", request.headers.get("sforce-query-options", ""))
        size = min(self.page_max, max(200, int(asked[1])) if asked else 2000)
        page = [store.shown(store.records[one], names) for one in ids[start : start + size]]
        body: dict[str, Any] = {"totalSize": len(ids), "done": start + size >= len(ids), "records": page}
        if not body["done"]:
            version = request.params["version"]
            body["nextRecordsUrl"] = f"/services/data/{version}/query/{locator}-{start + size}"
        self.carries(len(page))
        return Reply(200, body)

    def _window(self, request: Request, *, days: int) -> tuple[float, float]:
        def minute(name: str) -> datetime:
            return (
                datetime.fromisoformat(request.query[name]).astimezone(UTC).replace(second=0, microsecond=0)
            )

        start, end = minute("start"), minute("end")
        now = datetime.fromtimestamp(self.clock(), UTC)
        if end - start < timedelta(minutes=1) or start < now - timedelta(days=days):
            raise Refused("INVALID_REPLICATION_DATE", "startDate or endDate is not allowed")
        return start.timestamp(), end.timestamp()

    def _covered(self, store: Store, end: float) -> float:
        return min([end, *(one.stamp for one in store.records.values() if not one.is_committed)])
