"""
HubSpot as its reference describes it: contacts and deals of the v3 objects API (single, batch, search,
list, privacy deletion) and v4 associations. The portal around them is `tests.fakes.hubspot_portal`.
"""

from collections.abc import Callable
from operator import ge, gt, le, lt
from typing import Any

from tests.fakes.fake import Reply, Request
from tests.fakes.hubspot_portal import Portal, api
from tests.fakes.hubspot_store import Kept, Refused, Store, iso, millis

BATCH_MAX, SEARCH_PAGE_MAX, LIST_MAX = 100, 200, 100
OBJECT = "/crm/v3/objects/{object}"


class HubSpotFake(Portal):
    """One portal with its records."""

    # One record.
    @api("POST", OBJECT)
    def create(self, request: Request) -> Reply:
        """Create a record."""
        store = self._open(request, "write")
        kept = store.write(None, request.json["properties"], self.now_ms())
        self._tell(store, kept, request.json["properties"], is_new=True)
        return Reply(201, store.shown(kept, list(request.json["properties"])))

    @api("GET", OBJECT + "/{id}")
    def get(self, request: Request) -> Reply:
        """Return a record by its id or a unique property."""
        store = self._open(request, "read")
        kept = self._one(store, request.params["id"], request.query.get("idProperty", ""))
        names = [name for name in request.query.get("properties", "").split(",") if name]
        return Reply(200, store.shown(kept, names))

    @api("PATCH", OBJECT + "/{id}")
    def update(self, request: Request) -> Reply:
        """Change a record."""
        store = self._open(request, "write")
        kept = self._one(store, request.params["id"], request.query.get("idProperty", ""))
        store.write(kept, request.json["properties"], self.now_ms())
        self._tell(store, kept, request.json["properties"], is_new=False)
        return Reply(200, store.shown(kept, list(request.json["properties"])))

    @api("DELETE", OBJECT + "/{id}")
    def archive(self, request: Request) -> Reply:
        """Delete a record; an unknown one is fine too."""
        store = self._open(request, "write")
        kept = store.find(request.params["id"])
        if kept is not None:
            store.archive(kept, self.now_ms())
            self.note("deletion", store.name, kept, by_us=True)
        return Reply(204)

    @api("POST", OBJECT + "/gdpr-delete")
    def gdpr_delete(self, request: Request) -> Reply:
        """Delete a contact for good, with all that is personal."""
        store = self._open(request, "write")
        if store is not self.contacts:
            raise Refused(400, "VALIDATION_ERROR", "Only contacts can be deleted in this way")
        kept = self._one(store, request.json["objectId"], request.json.get("idProperty") or "")
        store.purge(kept)
        self.note("privacyDeletion", store.name, kept, by_us=True)
        return Reply(204)

    # Lists.
    @api("GET", OBJECT)
    def list_records(self, request: Request) -> Reply:
        """List records by id, a page at a time."""
        store = self._open(request, "read")
        limit, after = int(request.query.get("limit", 10)), int(request.query.get("after", 0))
        if not 1 <= limit <= LIST_MAX:
            raise Refused(400, "VALIDATION_ERROR", f"limit must be at most {LIST_MAX}")
        is_archived = request.query.get("archived") == "true"
        found = sorted(
            (one for one in store.records.values() if one.is_archived == is_archived),
            key=lambda one: int(one.id),
        )
        rest = [one for one in found if int(one.id) >= after]
        names = [name for name in request.query.get("properties", "").split(",") if name]
        self.carries(len(rest[:limit]))
        body: dict[str, Any] = {"results": [store.shown(one, names) for one in rest[:limit]]}
        if len(rest) > limit:
            body["paging"] = {"next": {"after": rest[limit].id, "link": f"?after={rest[limit].id}"}}
        return Reply(200, body)

    @api("POST", OBJECT + "/search")
    def search(self, request: Request) -> Reply:
        """Search: at most five filters a group, one sort, 200 a page and 10,000 in all."""
        self.carries(0)
        store = self._open(request, "read")
        if self._is_searched_out():
            return self.over_limit(request, 1, "SECONDLY")
        asked = request.json
        limit, after = int(asked.get("limit") or 10), int(asked.get("after") or 0)
        if limit > SEARCH_PAGE_MAX:
            raise Refused(400, "VALIDATION_ERROR", f"limit must be at most {SEARCH_PAGE_MAX}")
        if after + limit > self.search_max:
            raise Refused(400, "VALIDATION_ERROR", "The search exceeds the 10,000 results that can be paged.")
        found = self._found(store, asked)
        page = found[after : after + limit]
        self.carries(len(page))
        names = asked.get("properties") or []
        body: dict[str, Any] = {"total": len(found), "results": [store.shown(one, names) for one in page]}
        if after + limit < len(found):
            body["paging"] = {"next": {"after": str(after + limit)}}
        return Reply(200, body)

    # Batches.
    @api("POST", OBJECT + "/batch/read")
    def batch_read(self, request: Request) -> Reply:
        """Return records by id or a unique property; those that are not there are errors of a 207."""
        store, inputs = self._open(request, "read"), self._inputs(request)
        by = request.json.get("idProperty") or ""
        if by:
            store.check_unique(by)
        found = [(one["id"], store.find(str(one["id"]), by)) for one in inputs]
        lost = [wanted for wanted, kept in found if kept is None]
        names = request.json.get("properties") or []
        results = list({kept.id: store.shown(kept, names) for _, kept in found if kept is not None}.values())
        if not lost:
            return Reply(200, self._batch(results))
        error = self._record_error("OBJECT_NOT_FOUND", "Could not get some objects.", {"ids": lost})
        return Reply(207, self._batch(results, [error]))

    @api("POST", OBJECT + "/batch/create")
    def batch_create(self, request: Request) -> Reply:
        """Create records."""
        return self._write_batch(request, lambda store, one: None)

    @api("POST", OBJECT + "/batch/update")
    def batch_update(self, request: Request) -> Reply:
        """Change records by id or a unique property."""
        return self._write_batch(
            request, lambda store, one: self._one(store, str(one["id"]), one.get("idProperty") or "")
        )

    @api("POST", OBJECT + "/batch/upsert")
    def batch_upsert(self, request: Request) -> Reply:
        """Create or change records by a unique property."""
        store = self._open(request, "write")
        for by in {one.get("idProperty") or "" for one in self._inputs(request)}:
            if not by:
                raise Refused(400, "VALIDATION_ERROR", "idProperty is required")
            store.check_unique(by)
        values = [one["id"] for one in self._inputs(request)]
        if len(set(values)) != len(values):
            raise Refused(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input")
        return self._write_batch(
            request, lambda store, one: store.find(one["id"], one["idProperty"]), is_upsert=True
        )

    @api("POST", "/crm/v4/associations/{from}/{to}/batch/associate/default")
    def associate(self, request: Request) -> Reply:
        """Associate records in the usual way; doing it again changes nothing."""
        source, target = self.store(request.params["from"]), self.store(request.params["to"])
        results = []
        for one in self._inputs(request):
            start, end = self._one(source, str(one["from"]["id"])), self._one(target, str(one["to"]["id"]))
            start.associated.add((target.name, end.id))
            end.associated.add((source.name, start.id))
            spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}
            results.append({"from": {"id": start.id}, "to": {"id": end.id}, "associationSpec": spec})
        return Reply(200, self._batch(results))

    @api("GET", "/crm/v4/objects/{object}/{id}/associations/{to}")
    def associations(self, request: Request) -> Reply:
        """List what a record is associated with."""
        kept = self._one(self.store(request.params["object"]), request.params["id"])
        to = self.store(request.params["to"]).name
        types = [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
        found = sorted(int(record_id) for name, record_id in kept.associated if name == to)
        return Reply(200, {"results": [{"toObjectId": one, "associationTypes": types} for one in found]})

    # Parts.
    def _open(self, request: Request, access: str) -> Store:
        store = self.store(request.params["object"])
        self.needs(f"crm.objects.{store.name}.{access}")
        return store

    def _one(self, store: Store, value: str, by: str = "") -> Kept:
        if by:
            store.check_unique(by)
        kept = store.find(value, by)
        if kept is None:
            raise Refused(404, "OBJECT_NOT_FOUND", f"Object not found. objectId are usually numeric: {value}")
        return kept

    def _inputs(self, request: Request) -> list[dict[str, Any]]:
        inputs: list[dict[str, Any]] = request.json["inputs"]
        self.carries(len(inputs))
        if not 1 <= len(inputs) <= BATCH_MAX:
            raise Refused(400, "VALIDATION_ERROR", f"The maximum batch size is {BATCH_MAX}")
        return inputs

    def _write_batch(self, request: Request, find: Any, *, is_upsert: bool = False) -> Reply:
        store, inputs = self._open(request, "write"), self._inputs(request)
        for one in inputs:
            store.check_names(one["properties"])
        traced = self.multi_status and all(one.get("objectWriteTraceId") for one in inputs)
        if not traced:
            self._rehearse(store, inputs, find)
        results, errors = [], []
        for one in inputs:
            properties = {**one["properties"], **({one["idProperty"]: one["id"]} if is_upsert else {})}
            try:
                known = find(store, one)
                kept = store.write(known, properties, self.now_ms())
            except Refused as refused:
                context = {"objectWriteTraceId": [one.get("objectWriteTraceId") or ""]}
                errors.append(self._record_error(refused.category, refused.message, context, refused.details))
                continue
            self._tell(store, kept, properties, is_new=known is None)
            shown = store.shown(kept, list(properties))
            if is_upsert:
                shown["new"] = known is None
            if one.get("objectWriteTraceId"):
                shown["objectWriteTraceId"] = one["objectWriteTraceId"]
            results.append(shown)
        status = 207 if errors else 201 if request.path.endswith("create") else 200
        return Reply(status, self._batch(results, errors))

    def _rehearse(self, store: Store, inputs: list[dict[str, Any]], find: Any) -> None:
        """Refuse the whole batch for its first bad record, before anything is written."""
        for one in inputs:
            known = find(store, one)
            for name, value in one["properties"].items():
                text = str("" if value is None else value).strip()
                store.properties[name].check(text)
                store.check_free(name, text, known)

    def _batch(self, results: list[Any], errors: list[Any] | None = None) -> dict[str, Any]:
        now = iso(self.now_ms())
        body = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        return {**body, "numErrors": len(errors), "errors": errors} if errors else body

    def _record_error(
        self, category: str, message: str, context: dict[str, list[Any]], errors: list[Any] | None = None
    ) -> dict[str, Any]:
        return {
            "status": "error",
            "category": category,
            "message": message,
            "context": context,
            "errors": errors or [],
            "links": {},
        }

    def _tell(self, store: Store, kept: Kept, properties: dict[str, Any], *, is_new: bool) -> None:
        if is_new:
            self.note("creation", store.name, kept, by_us=True)
            return
        for name, value in properties.items():
            self.note("propertyChange", store.name, kept, by_us=True, name=name, value=str(value))

    def _is_searched_out(self) -> bool:
        if self.search_limit is None:
            return False
        now = self.clock()
        self.searched = [at for at in self.searched if at > now - self.search_limit.window_s]
        self.searched.append(now)
        return len(self.searched) > self.search_limit.calls_max

    def _found(self, store: Store, asked: dict[str, Any]) -> list[Kept]:
        groups = asked.get("filterGroups") or []
        if len(groups) > 5 or any(len(one["filters"]) > 6 for one in groups):
            raise Refused(400, "VALIDATION_ERROR", "too many filters")
        store.check_names({rule["propertyName"]: "" for group in groups for rule in group["filters"]})
        tests = [[_test(store, rule) for rule in group["filters"]] for group in groups] or [[]]
        found = [
            one
            for one in store.records.values()
            if not one.is_archived and any(all(fits(one) for fits in group) for group in tests)
        ]
        sorts = asked.get("sorts") or []
        if len(sorts) > 1:
            raise Refused(400, "VALIDATION_ERROR", "only one sort is allowed")
        by, is_down = _sort(sorts[0]) if sorts else ("hs_object_id", False)
        store.check_names({by: ""})
        return sorted(found, key=lambda one: _number(store.value(one, by)), reverse=is_down)


def _number(value: str | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0


def _sort(asked: Any) -> tuple[str, bool]:
    """Read a sort: "name" and "-name" as the description has it, or an object as the guide has it."""
    if isinstance(asked, str):
        return asked.removeprefix("-"), asked.startswith("-")
    return asked["propertyName"], asked.get("direction") == "DESCENDING"


def _test(store: Store, rule: dict[str, Any]) -> Callable[[Kept], bool]:
    """Return how one filter of a search decides."""
    name, operator = rule["propertyName"], rule["operator"]
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return lambda kept: (store.value(kept, name) is not None) == (operator == "HAS_PROPERTY")
    if operator in ("EQ", "IN"):
        wanted = {str(one).lower() for one in rule.get("values") or [rule.get("value")]}
        return lambda kept: (store.value(kept, name) or "").lower() in wanted
    bound = float(millis(str(rule["value"])))
    compare = {"GT": gt, "GTE": ge, "LT": lt, "LTE": le}[operator]
    return lambda kept: compare(_number(store.value(kept, name)), bound)
