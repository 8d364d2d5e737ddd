"""
The organization around the records of the Salesforce fake: sessions, OAuth with instance_url and rotation,
the day's allocation, what people in Salesforce do, change events. The paths of records are in
`tests.fakes.salesforce`.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ClassVar

from tests.fakes.fake import Fake, Limit, Numbers, Reply, Request, route
from tests.fakes.grants import GrantRefused, Grants
from tests.fakes.salesforce_messages import change_event
from tests.fakes.salesforce_store import USER_ID, Kept, Organization, Refused, Store

ADDRESS_MAX = 16_384
Handler = Callable[[Any, Request], Reply]


def api(method: str, path: str) -> Callable[[Handler], Handler]:
    """Mark a route that needs a good session and whose refusals are answered in Salesforce's words."""

    def mark(function: Handler) -> Handler:
        @wraps(function)
        def checked(fake: "Portal", request: Request) -> Reply:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme not in ("Bearer", "OAuth") or not fake.grants.is_good(token):
                return errors(401, "INVALID_SESSION_ID", "Session expired or invalid")
            if len(request.target) > ADDRESS_MAX:
                return Reply(414, b"<html>URI Too Long</html>", content_type="text/html")
            try:
                return function(fake, request)
            except Refused as error:
                return errors(error.status, error.code, error.message, error.fields)
            except ValueError:
                return errors(400, "JSON_PARSER_ERROR", "Unexpected character at [line:1, column:1]")

        marked: Handler = route(method, path)(checked)
        return marked

    return mark


def errors(status: int, code: str, message: str, fields: tuple[str, ...] = ()) -> Reply:
    """Return an error in Salesforce's form."""
    error: dict[str, Any] = {"message": message, "errorCode": code}
    return Reply(status, [{**error, "fields": list(fields)} if fields else error])


class Portal(Fake):
    """One organization. `page_max`: rows of a query's page; `ids_max`: of updated/ and deleted/."""

    name: ClassVar[str] = "salesforce"
    kept: ClassVar[tuple[str, ...]] = ("grants", "organization", "numbers")

    def __init__(self, *, organization_id: str = "00D5g000004TESTEA4") -> None:
        super().__init__()
        self.organization_id = organization_id
        self.grants = Grants(self.clock, prefix="00Dsf", lifetime_s=7200, rotates=True)
        self.organization = Organization(self.clock, organization_id)
        self.limit = Limit(calls_max=100_000, window_s=86_400)
        self.page_max, self.ids_max = 2000, 600_000
        self.instance_url = ""  # empty: this server
        self.events: list[dict[str, Any]] = []  # change events of all writes
        self.queries: dict[str, tuple[str, list[str], list[str]]] = {}  # locator -> object, ids, fields
        self.numbers = Numbers()

    # In Salesforce's words.
    def not_found(self, request: Request) -> Reply:
        """Answer for a path that is not known."""
        return errors(404, "NOT_FOUND", "The requested resource does not exist")

    def over_limit(self, request: Request, wait_s: float) -> Reply:
        """Answer for a call over the day's allocation: 403, and no Retry-After."""
        return errors(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

    def limit_headers(self, left: int) -> dict[str, str]:
        """Return the headers that every answer of the API has."""
        most = self.limit.calls_max if self.limit else 0
        return {"Sforce-Limit-Info": f"api-usage={most - left}/{most}"}

    def rows(self) -> list[tuple[str, dict[str, str]]]:
        """Return what the page of records shows."""
        found = []
        for name, store in self.organization.stores.items():
            for kept in store.alive():
                shown = {key: str(value) for key, value in kept.values.items() if value is not None}
                found.append((f"{name} {kept.id}", shown))
        return found

    # For tests.
    def add(self, object_name: str, **values: Any) -> Kept:
        """Make a record as a person in Salesforce does."""
        with self.lock:
            store = self.organization.store(object_name)
            kept = store.write(None, store.parsed(values))
            self.note(store, kept, "CREATE", values)
            return kept

    def change(self, object_name: str, crm_id: str, **values: Any) -> Kept:
        """Change a record as a person in Salesforce does."""
        with self.lock:
            store = self.organization.store(object_name)
            kept = store.write(store.get(crm_id), store.parsed(values))
            self.note(store, kept, "UPDATE", values)
            return kept

    def remove(self, object_name: str, crm_id: str) -> None:
        """Delete a record as a person in Salesforce does."""
        with self.lock:
            store = self.organization.store(object_name)
            kept = store.get(crm_id)
            store.delete(kept)
            self.note(store, kept, "DELETE", {})

    def merge(self, object_name: str, first: str, second: str, **values: Any) -> None:
        """A person merges the second record into the first, which takes some values over."""
        with self.lock:
            store = self.organization.store(object_name)
            kept, gone = store.get(first), store.get(second)
            gone.master_id = kept.id
            store.delete(gone)
            self.note(store, gone, "DELETE", {})
            self.note(store, store.write(kept, store.parsed(values)), "UPDATE", values)

    def alive(self, object_name: str) -> list[dict[str, Any]]:
        """Return the records of an object with all their values."""
        with self.lock:
            store = self.organization.store(object_name)
            return [store.row(kept) for kept in store.alive()]

    def forget_queries(self) -> None:
        """Let every query that is being read run out, as after two days."""
        with self.lock:
            self.queries.clear()

    # OAuth.
    @route("GET", "/services/oauth2/authorize", is_counted=False)
    @route("POST", "/services/oauth2/authorize", is_counted=False)
    def authorize(self, request: Request) -> Reply:
        """The page on which a person agrees."""
        return self.grants.page(request, title="Salesforce")

    @route("POST", "/services/oauth2/token", is_counted=False)
    def token(self, request: Request) -> Reply:
        """Exchange a code or refresh; no expires_in, but the organization and its address."""
        try:
            given = self.grants.exchange(request.form)
        except GrantRefused as error:
            words = {
                "invalid_grant": "expired access/refresh token",
                "invalid_client": "invalid client credentials",
            }
            text = words.get(str(error), "grant type not supported")
            return Reply(400, {"error": str(error), "error_description": text})
        refresh = {"refresh_token": given["refresh_token"]} if given["refresh_token"] else {}
        return Reply(
            200,
            {
                "access_token": given["access_token"],
                **refresh,
                "scope": given["scope"],
                "instance_url": self.instance_url or request.host,
                "id": f"https://login.salesforce.com/id/{self.organization_id}/{USER_ID}",
                "token_type": "Bearer",
                "issued_at": str(int(self.clock() * 1000)),
            },
        )

    @route("POST", "/services/oauth2/revoke", is_counted=False)
    def revoke(self, request: Request) -> Reply:
        """End a grant."""
        if self.grants.revoke(request.form.get("token", "")):
            return Reply(200)
        return Reply(
            400, {"error": "unsupported_token_type", "error_description": "this token type is not supported"}
        )

    def note(
        self, store: Store, kept: Kept, change: str, values: Mapping[str, Any], request: Request | None = None
    ) -> None:
        options = request.headers.get("sforce-call-options", "") if request else ""
        client = options.partition("client=")[2].partition(",")[0].strip()
        number = next(self.numbers)
        self.events.append(
            change_event(
                entity=store.name,
                ids=[kept.id],
                change=change,
                at_ms=int(self.clock() * 1000),
                number=number,
                origin=f"com/salesforce/api/rest/62.0;client={client}" if client else "",
                values=values,
            )
        )
