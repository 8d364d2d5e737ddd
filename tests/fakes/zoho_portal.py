"""
The organization around the records of the Zoho fake: OAuth of one data center, fields, channels of
notifications, errors in Zoho's words, what people in Zoho do. The paths of records are in `tests.fakes.zoho`.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Self

from tests.fakes.fake import Fake, Numbers, Reply, Request, route
from tests.fakes.grants import GrantRefused, Grants
from tests.fakes.zoho_store import Field, Kept, Module, Refused, deal, person, shown_time

API = "/crm/v8"
TOKENS_MAX, TOKENS_S = 10, 600  # access tokens of one refresh token
TOKEN_LENGTH, CHANNEL_S, CHANNEL_DEFAULT_S = 50, 7 * 86_400, 3600
Handler = Callable[[Any, Request], Reply]


def api(method: str, path: str) -> Callable[[Handler], Handler]:
    """Mark a route that wants a good access token and answers refusals in Zoho's words."""

    def mark(function: Handler) -> Handler:
        def guarded(self: "Portal", request: Request) -> Reply:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme != "Zoho-oauthtoken" or not self.grants.is_good(token):
                return error(401, "INVALID_TOKEN", "invalid oauth token")
            try:
                return function(self, request)
            except Refused as refused:
                return Reply(refused.status, refused.as_json())
            except (ValueError, KeyError, TypeError, AttributeError):
                return error(400, "INVALID_DATA", "invalid data")

        guarded.__name__ = function.__name__
        return route(method, path)(guarded)

    return mark


def error(status: int, code: str, message: str, **details: Any) -> Reply:
    """Return an error that stands alone."""
    return Reply(status, {"code": code, "details": details, "message": message, "status": "error"})


class Portal(Fake):
    """One organization. `missing_scopes`: scopes that the app was not given."""

    name: ClassVar[str] = "zoho"
    kept = ("clock", "grants", "modules", "channels")

    def __init__(self) -> None:
        super().__init__()
        self._routes.sort(key=lambda one: one[1].groups)  # the path with the fewest parameters goes first
        self.grants = Grants(self.clock, prefix="1000.zoho", lifetime_s=3600)
        self.org_id = "5725767000000020001"
        self.api_domain = ""  # empty: this server
        self.missing_scopes: set[str] = set()
        self.channels: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []  # notifications, newest last
        self.credits_left: int | None = None
        ids = Numbers(1)
        self.modules = {
            "Contacts": Module("Contacts", person(is_lead=False), ids, self.clock),
            "Leads": Module("Leads", person(is_lead=True), ids, self.clock),
            "Deals": Module("Deals", deal(), ids, self.clock),
        }
        self.given: list[float] = []  # when access tokens were refreshed

    # In Zoho's words.
    def not_found(self, request: Request) -> Reply:
        """Answer for a path that is not known."""
        return error(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")

    def over_limit(self, request: Request, wait_s: float) -> Reply:
        """Answer for a call too many."""
        return error(429, "TOO_MANY_REQUESTS", "You have exceeded the number of requests allowed")

    def limit_headers(self, left: int) -> dict[str, str]:
        """Return the headers of counted answers."""
        return {"X-API-CREDITS-REMAINING": str(left)}

    def rows(self) -> list[tuple[str, dict[str, str]]]:
        """Return what the page of records shows."""
        return [
            (f"{module.name} {one.id}", {name: str(value) for name, value in one.values.items() if value})
            for module in self.modules.values()
            for one in module.alive()
        ]

    # What people in Zoho do.
    def add(self, module: str, **values: Any) -> str:
        """A person creates a record; return its id."""
        with self.lock:
            kept = self.modules[module].write(None, {"Last_Name": "Somebody", **values})
            self.note(module, [kept.id], "insert")
            return kept.id

    def edit(self, module: str, record_id: str, **values: Any) -> None:
        """A person changes a record."""
        with self.lock:
            self.modules[module].write(self.modules[module].records[record_id], values)
            self.note(module, [record_id], "update")

    def remove(self, module: str, record_id: str, *, is_permanent: bool = False) -> None:
        """A person deletes a record."""
        with self.lock:
            kept: Kept = self.modules[module].records[record_id]
            self.modules[module].delete(kept)
            kept.is_permanent = is_permanent
            self.note(module, [record_id], "delete")

    def with_rtx_fields(self) -> Self:
        """Give the organization the unique fields that hold RTX's ids."""
        for module, name in (
            ("Contacts", "RTX_Client_Id"),
            ("Leads", "RTX_Client_Id"),
            ("Deals", "RTX_Login"),
        ):
            self.modules[module].fields[name] = Field(name, is_unique=True, length=64)
        return self

    def note(self, module: str, ids: list[str], operation: str) -> None:
        """Note a notification for every channel that watches."""
        now = self.clock()
        name = {"insert": "create", "update": "edit"}.get(operation, operation)
        for channel in self.channels.values():
            if channel["ends"] > now and {f"{module}.all", f"{module}.{name}"} & set(channel["events"]):
                self.events.append(self.notification(module, ids, operation, channel))

    def notification(
        self, module: str, ids: list[str], operation: str, channel: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the body of a callback."""
        return {
            "server_time": int(self.clock() * 1000),
            "affected_values": [],
            "query_params": {},
            "module": module,
            "resource_uri": f"https://www.zohoapis.com{API}/{module}",
            "ids": ids,
            "affected_fields": [],
            "operation": operation,
            "channel_id": channel["channel_id"],
            "token": channel.get("token"),
        }

    def delivery(self, event: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of the request that tells of an event."""
        return json.dumps(event).encode(), {"Content-Type": "application/json"}

    def module(self, name: str, scope: str = "READ") -> Module:
        """Return a module by its API name."""
        if f"ZohoCRM.modules.{scope}" in self.missing_scopes:
            raise Refused("OAUTH_SCOPE_MISMATCH", "Unauthorized", 401)
        if name not in self.modules:
            raise Refused(
                "INVALID_MODULE", "the module name given seems to be invalid", resource_path_index=0
            )
        return self.modules[name]

    # OAuth.
    @route("GET", "/oauth/v2/auth", is_counted=False)
    @route("POST", "/oauth/v2/auth", is_counted=False)
    def authorize(self, request: Request) -> Reply:
        """The page on which a person agrees."""
        return self.grants.page(request, title="Zoho (a stand-in)")

    @route("POST", "/oauth/v2/token", is_counted=False)
    def token(self, request: Request) -> Reply:
        """Exchange a code or refresh a token; errors are answered with 200."""
        now = self.clock()
        self.given = [at for at in self.given if at > now - TOKENS_S]
        if len(self.given) >= TOKENS_MAX:
            text = "You have made too many requests continuously. Please try again after some time."
            return Reply(400, {"error": "Access Denied", "error_description": text, "status": "failure"})
        try:
            given = self.grants.exchange(request.form)
        except GrantRefused as refused:
            code = "invalid_code" if str(refused) == "invalid_grant" else str(refused)
            return Reply(200, {"error": code})
        body: dict[str, Any] = {
            "access_token": given["access_token"],
            "scope": given["scope"].replace(",", " "),
            "api_domain": self.api_domain or request.host,
            "token_type": "Bearer",
            "expires_in": int(self.grants.lifetime_s),
        }
        if request.form.get("grant_type") == "authorization_code":
            body["refresh_token"] = given["refresh_token"]
        else:
            self.given.append(now)
        return Reply(200, body)

    @route("POST", "/oauth/v2/token/revoke", is_counted=False)
    def revoke(self, request: Request) -> Reply:
        """End a grant."""
        token = request.form.get("token") or request.query.get("token", "")
        known = self.grants.revoke(token)
        return Reply(200, {"status": "success"} if known else {"error": "invalid_token"})

    # The organization.
    @api("GET", API + "/org")
    def org(self, request: Request) -> Reply:
        """Say whose organization this is."""
        body = {"id": self.org_id, "company_name": "Zylker", "zgid": "5725767", "country_code": "IE"}
        return Reply(200, {"org": [body]})

    @api("GET", API + "/settings/fields")
    def describe(self, request: Request) -> Reply:
        """List the fields of a module."""
        self._needs("ZohoCRM.settings.fields.READ")
        module = self.module(request.query.get("module", ""))
        return Reply(200, {"fields": [one.as_json() for one in module.fields.values()]})

    @api("POST", API + "/settings/fields")
    def create_field(self, request: Request) -> Reply:
        """Create custom fields; their API names are made of their labels."""
        self._needs("ZohoCRM.settings.fields.CREATE")
        module = self.module(request.query.get("module", ""))
        done = []
        for one in request.json["fields"]:
            name = one["field_label"].replace(" ", "_")
            if name in module.fields:
                raise Refused("DUPLICATE_DATA", "duplicate data", api_name="field_label")
            module.fields[name] = Field(
                name, one["data_type"], is_unique="unique" in one, length=int(one.get("length", 255))
            )
            done.append({"code": "SUCCESS", "details": {"id": "1"}, "message": "field created"})
        return Reply(201, {"fields": [{**one, "status": "success"} for one in done]})

    @api("POST", API + "/actions/watch")
    def watch(self, request: Request) -> Reply:
        """Open channels, or renew them."""
        self._needs("ZohoCRM.notifications.CREATE")
        return Reply(201, {"watch": [self._opened(one) for one in request.json["watch"]]})

    def _opened(self, one: dict[str, Any]) -> dict[str, Any]:
        for name in ("channel_id", "notify_url", "events"):
            if not one.get(name):
                raise Refused("MANDATORY_NOT_FOUND", "required field not found", api_name=name)
        if len(one.get("token") or "") > TOKEN_LENGTH:
            raise Refused("INVALID_DATA", "invalid data", api_name="token", maximum_length=TOKEN_LENGTH)
        modules = [event.partition(".")[0] for event in one["events"]]
        if not all(name in self.modules for name in modules):
            raise Refused("INVALID_DATA", "invalid data", api_name="events")
        now = int(self.clock())
        asked = datetime.fromisoformat(one["channel_expiry"]).timestamp() if "channel_expiry" in one else 0
        ends = int(asked) if now < asked <= now + CHANNEL_S else now + CHANNEL_DEFAULT_S
        self.channels[one["channel_id"]] = {**one, "ends": ends}
        events = [
            {
                "channel_expiry": shown_time(ends),
                "resource_uri": f"https://www.zohoapis.com{API}/{name}",
                "resource_id": "5725767000000002175",
                "resource_name": name,
                "channel_id": one["channel_id"],
            }
            for name in modules
        ]
        message = "Successfully subscribed for actions-watch of the given module"
        return {"code": "SUCCESS", "details": {"events": events}, "message": message, "status": "success"}

    def _needs(self, scope: str) -> None:
        if scope in self.missing_scopes:
            raise Refused("OAUTH_SCOPE_MISMATCH", "Unauthorized", 401)
