"""
Zoho CRM v8 as its reference describes it: records of modules (single, batches of 100, upsert by fields that
check for duplicates), lists with page numbers and page tokens, If-Modified-Since, deleted records, COQL. The
organization around them is `tests.fakes.zoho_portal`.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.fakes.fake import Reply, Request
from tests.fakes.zoho_portal import API, Portal, api
from tests.fakes.zoho_store import USER, Kept, Module, Refused, shown_time

BATCH_MAX, PAGE_MAX, FIELDS_MAX, IN_MAX = 100, 200, 50, 50
TOKEN_S = 86_400
SYSTEM_CHECKS = ("Email",)
QUERY = re.compile(
    r"select (?P<names>[\w, ]+) from (?P<module>\w+) where \((?P<where>.*)\)"
    r" order by Created_Time asc limit (?P<limit>\d+)(?: offset (?P<offset>\d+))?",
    re.DOTALL,
)
TERM = re.compile(r"(?P<name>\w+) in \((?P<list>'(?:[^'\\]|\\.)*'(?:, '(?:[^'\\]|\\.)*')*)\)", re.DOTALL)
LITERAL = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
MODULE = API + "/{module}"


class ZohoFake(Portal):
    """
    One organization with its records. `multi_status`: whether a batch with a bad record answers 207 (all bad:
    400) or 200; both are told. `discrete_max`, `token_max`: rows that page numbers and page tokens reach.
    """

    def __init__(self) -> None:
        super().__init__()
        self.multi_status = True
        self.discrete_max, self.token_max = 2000, 100_000
        self.tokens: dict[str, tuple[str, int, float]] = {}  # page token -> request, first row, end

    # One record.
    @api("GET", MODULE + "/{id}")
    def get(self, request: Request) -> Reply:
        """Return a record; 204 where there is none."""
        module = self.module(request.params["module"])
        kept = module.find(request.params["id"])
        if kept is None:
            return Reply(204)
        return Reply(200, {"data": [module.shown(kept, self._names(request))]})

    @api("PUT", MODULE + "/{id}")
    def update(self, request: Request) -> Reply:
        """Change a record."""
        one = {**request.json["data"][0], "id": request.params["id"]}
        return self._written(request, [one], self._change)

    @api("DELETE", MODULE + "/{id}")
    def delete(self, request: Request) -> Reply:
        """Put a record into the recycle bin."""
        module = self.module(request.params["module"])
        kept = module.find(request.params["id"])
        if kept is None:
            raise Refused("INVALID_DATA", "the id given seems to be invalid", id=request.params["id"])
        module.delete(kept)
        self.note(module.name, [kept.id], "delete")
        return Reply(200, {"data": [self._success(kept, "record deleted")]})

    # Batches.
    @api("POST", MODULE)
    def create(self, request: Request) -> Reply:
        """Create up to 100 records."""

        def make(module: Module, one: dict[str, Any], place: int) -> tuple[Kept, dict[str, Any]]:
            return module.write(None, one, place), {}

        return self._written(request, request.json["data"], make)

    @api("PUT", MODULE)
    def update_batch(self, request: Request) -> Reply:
        """Change up to 100 records by their ids."""
        return self._written(request, request.json["data"], self._change)

    @api("POST", MODULE + "/upsert")
    def upsert(self, request: Request) -> Reply:
        """Create or change up to 100 records by fields that check for duplicates, in their order."""
        checks = request.json.get("duplicate_check_fields") or list(SYSTEM_CHECKS)
        known = self.module(request.params["module"], "UPDATE").fields
        for name in checks:
            if name not in SYSTEM_CHECKS and not (name in known and known[name].is_unique):
                raise Refused("INVALID_DATA", "invalid data", api_name="duplicate_check_fields")

        def put(module: Module, one: dict[str, Any], place: int) -> tuple[Kept, dict[str, Any]]:
            for name in checks:
                found = module.matching(name, one[name]) if one.get(name) else None
                if found is not None:
                    told = {"action": "update", "duplicate_field": name}
                    return module.write(found, one, place), told
            return module.write(None, one, place), {"action": "insert", "duplicate_field": None}

        return self._written(request, request.json["data"], put)

    # Lists.
    @api("GET", MODULE)
    def list_records(self, request: Request) -> Reply:
        """List records: by ids, or all, or those that changed after an instant."""
        module, query = self.module(request.params["module"]), request.query
        names = self._names(request)
        found = module.alive()
        if "ids" in query:
            ids = query["ids"].split(",")
            if len(ids) > BATCH_MAX:
                raise Refused("LIMIT_EXCEEDED", "limit exceeded", limit=BATCH_MAX, param_name="ids")
            found = [one for one in found if one.id in ids]
        after = self._after(request)
        found = [one for one in found if after is None or one.modified_at > after]
        by = {"id": "id", "Created_Time": "created_at", "Modified_Time": "modified_at"}[
            query.get("sort_by", "id")
        ]
        found.sort(
            key=lambda one: (getattr(one, by), one.id), reverse=query.get("sort_order", "desc") == "desc"
        )
        return self._page(request, found, after, lambda one: module.shown(one, names), reaches=True)

    @api("GET", MODULE + "/deleted")
    def list_deleted(self, request: Request) -> Reply:
        """List records that were deleted, the last first."""
        module, after = self.module(request.params["module"]), self._after(request)
        found = [
            one
            for one in module.records.values()
            if one.deleted_at is not None and (after is None or one.deleted_at > after)
        ]
        found.sort(key=lambda one: (one.deleted_at or 0, one.id), reverse=True)
        return self._page(request, found, after, _gone, reaches=False)

    @api("POST", API + "/coql")
    def query(self, request: Request) -> Reply:
        """Answer a query: `in` lists of at most 50 values, combined by `or`."""
        asked = QUERY.fullmatch(request.json["select_query"])
        if asked is None:
            raise Refused("SYNTAX_ERROR", "error occurred while parsing the query")
        module = self.module(asked["module"])
        tests = self._terms(module, asked["where"])
        found = [one for one in module.alive() if any(fits(one) for fits in tests)]
        found.sort(key=lambda one: (one.created_at, one.id))
        first, most = int(asked["offset"] or 0), int(asked["limit"])
        page = found[first : first + most]
        self.carries(len(page))
        if not page:
            return Reply(204)
        names = [one.strip() for one in asked["names"].split(",")]
        more = first + most < len(found)
        return Reply(
            200,
            {
                "data": [module.shown(one, names) for one in page],
                "info": {"count": len(page), "more_records": more},
            },
        )

    # Parts.
    def _terms(self, module: Module, text: str) -> list[Callable[[Kept], bool]]:
        tests, place = [], 0
        while True:
            term = TERM.match(text, place)
            if term is None or term["name"] not in {"id", *module.fields}:
                raise Refused("INVALID_QUERY", "column given seems to be invalid")
            tests.append(_test(term["name"], LITERAL.findall(term["list"])))
            place = term.end()
            if place == len(text):
                return tests
            if not text.startswith(" or ", place):
                raise Refused("SYNTAX_ERROR", "error occurred while parsing the query")
            place += 4

    def _names(self, request: Request) -> list[str]:
        if "fields" not in request.query:
            raise Refused("REQUIRED_PARAM_MISSING", "required param is missing", param_name="fields")
        names = request.query["fields"].split(",")
        if len(names) > FIELDS_MAX:
            raise Refused("LIMIT_EXCEEDED", "limit exceeded", limit=FIELDS_MAX, param_name="fields")
        return names

    def _after(self, request: Request) -> int | None:
        given = request.headers.get("if-modified-since")
        return int(datetime.fromisoformat(given).timestamp()) if given else None

    def _page(
        self, request: Request, found: list[Kept], after: int | None, shown: Any, *, reaches: bool
    ) -> Reply:
        """Return one page. `reaches`: page tokens lead on behind the rows that page numbers reach."""
        per_page = int(request.query.get("per_page", PAGE_MAX))
        if not 1 <= per_page <= PAGE_MAX:
            raise Refused("INVALID_DATA", "invalid data", param_name="per_page")
        number = int(request.query.get("page", 1))
        first = (number - 1) * per_page
        bound = {name: value for name, value in request.query.items() if name not in ("page", "page_token")}
        known = f"{request.path} {sorted(bound.items())} {after}"
        if "page_token" in request.query:
            first = self._row(request.query["page_token"], known)
        elif first + per_page > self.discrete_max:
            message = "You can only get the first 2000 records without using page_token param"
            raise Refused("DISCRETE_PAGINATION_LIMIT_EXCEEDED", message, limit=self.discrete_max)
        page = found[first : first + per_page]
        self.carries(len(page))
        if not page:
            return Reply(304 if after is not None and not found else 204)
        info: dict[str, Any] = {"per_page": per_page, "count": len(page), "page": first // per_page + 1}
        info["more_records"] = first + per_page < len(found)
        if reaches:
            info["next_page_token"] = self._token(known, first + per_page) if info["more_records"] else None
        return Reply(200, {"data": [shown(one) for one in page], "info": info})

    def _token(self, known: str, first: int) -> str:
        token = hashlib.sha256(f"{known} {first}".encode()).hexdigest()
        self.tokens[token] = (known, first, self.clock() + TOKEN_S)
        return token

    def _row(self, token: str, known: str) -> int:
        bound, first, ends = self.tokens.get(token, ("", 0, 0.0))
        if bound != known:
            message = "The page_token given seems to be invalid or input param is added or altered or deleted"
            raise Refused("TOKEN_BOUND_DATA_MISMATCH", message, param_name="page_token")
        if ends <= self.clock():
            raise Refused("EXPIRED_VALUE", "Page token expired", api_name="page_token")
        if first >= self.token_max:
            message = "You can only get upto 100000 records using page_token param"
            raise Refused("PAGINATION_LIMIT_EXCEEDED", message, param_name="page_token")
        return first

    def _change(self, module: Module, one: dict[str, Any], place: int) -> tuple[Kept, dict[str, Any]]:
        kept = module.find(str(one.get("id", "")))
        if kept is None:
            message = "the id given seems to be invalid"
            raise Refused("INVALID_DATA", message, api_name="id", json_path=f"$.data[{place}].id")
        return module.write(kept, one, place), {}

    def _written(self, request: Request, rows: list[dict[str, Any]], write: Any) -> Reply:
        module = self.module(request.params["module"], "UPDATE")
        self.carries(len(rows))
        if not 1 <= len(rows) <= BATCH_MAX:
            raise Refused("INVALID_DATA", "invalid data", api_name="data", maximum_length=BATCH_MAX)
        items, told, failed = [], [], 0
        for place, one in enumerate(rows):
            known = set(module.records)
            try:
                kept, more = write(module, one, place)
            except Refused as refused:
                items.append(refused.as_json())
                failed += 1
                continue
            message = "record added" if kept.id not in known else "record updated"
            items.append({**self._success(kept, message), **more})
            told.append((kept.id, "insert" if kept.id not in known else "update"))
        for record_id, operation in told:
            self.note(module.name, [record_id], operation)
        status = 200
        if failed and self.multi_status:
            status = 400 if failed == len(rows) else 207
        return Reply(status, {"data": items})

    def _success(self, kept: Kept, message: str) -> dict[str, Any]:
        details = {
            "Modified_Time": shown_time(kept.modified_at),
            "Created_Time": shown_time(kept.created_at),
            "Modified_By": USER,
            "Created_By": USER,
            "id": kept.id,
        }
        return {"code": "SUCCESS", "details": details, "message": message, "status": "success"}


def _test(name: str, literals: list[str]) -> Callable[[Kept], bool]:
    if len(literals) > IN_MAX:
        raise Refused("LIMIT_EXCEEDED", "limit exceeded", limit=IN_MAX)
    wanted = {re.sub(r"\\(.)", r"\1", one).lower() for one in literals}
    return lambda kept: str(kept.values.get(name) or "").lower() in wanted


def _gone(kept: Kept) -> dict[str, Any]:
    return {
        "id": kept.id,
        "display_name": None if kept.is_permanent else kept.values.get("Last_Name"),
        "type": "permanent" if kept.is_permanent else "recycle",
        "deleted_time": shown_time(kept.deleted_at or 0),
        "deleted_by": None if kept.is_permanent else USER,
        "created_by": None if kept.is_permanent else USER,
    }
