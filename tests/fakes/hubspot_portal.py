"""
A HubSpot portal of the fake but for the records' own endpoints (`tests.fakes.hubspot`): OAuth v3, properties,
limits, errors in HubSpot's words, events and signed webhooks, what people in the portal do.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

from tests.fakes.fake import Fake, Limit, Numbers, Reply, Request, route
from tests.fakes.grants import GrantRefused, Grants
from tests.fakes.hubspot_store import SINGULAR, Kept, Property, Refused, Store, standard

Handler = Callable[[Any, Request], Reply]


def api(method: str, path: str) -> Callable[[Handler], Handler]:
    """Mark a route that wants a good access token and answers refusals in HubSpot's words."""

    def mark(function: Handler) -> Handler:
        def guarded(self: "Portal", request: Request) -> Reply:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme != "Bearer" or not self.grants.is_good(token):
                return self.error(
                    401, "EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired."
                )
            try:
                return function(self, request)
            except Refused as refused:
                return self.error(refused.status, refused.category, refused.message, refused.details)
            except (ValueError, KeyError, TypeError, AttributeError):
                return self.error(400, "VALIDATION_ERROR", "Invalid input JSON")

        guarded.__name__ = function.__name__
        return route(method, path)(guarded)

    return mark


class Portal(Fake):
    """
    One portal. `multi_status`: whether a batch with a bad record answers 207 and keeps the rest, or refuses
    the whole batch; both are seen. `missing_scopes`: scopes that the app was not given. `calls_back`: whoever
    connects is subscribed to events: address (on the host of the callback) and the secret that signs.
    """

    name = "hubspot"
    kept = ("clock", "grants", "contacts", "deals", "event_ids", "subscriber")

    def __init__(self) -> None:
        super().__init__()
        self.grants = Grants(self.clock, prefix="hs", lifetime_s=1800)
        self.portal_id, self.app_id = 62515, 456789
        self.multi_status = True
        self.missing_scopes: set[str] = set()
        self.search_limit: Limit | None = None
        self.search_max = 10_000  # results that a search can be paged through
        self.events: list[dict[str, Any]] = []
        ids, self.event_ids = Numbers(101), Numbers()
        self.contacts = Store("contacts", standard("contacts"), ids)
        self.deals = Store("deals", standard("deals"), ids)
        self.searched: list[float] = []
        self.calls_back = False
        self.subscriber: tuple[str, str] | None = None

    # HubSpot's own words.
    def error(self, status: int, category: str, message: str, errors: list[Any] | None = None) -> Reply:
        """An error as all endpoints answer it."""
        body = {
            "status": "error",
            "message": message,
            "correlationId": str(uuid.uuid4()),
            "category": category,
        }
        if errors:
            body["errors"] = errors  # type: ignore[assignment]
        return Reply(status, body, {"X-HubSpot-Correlation-Id": str(body["correlationId"])})

    def not_found(self, request: Request) -> Reply:
        """Answer for an unknown path."""
        return self.error(404, "OBJECT_NOT_FOUND", "resource not found")

    def over_limit(self, request: Request, wait_s: float, policy: str = "TEN_SECONDLY_ROLLING") -> Reply:
        """Answer for a call too many."""
        body = {
            "status": "error",
            "message": f"You have reached your {policy.lower()} limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": str(uuid.uuid4()),
            "policyName": policy,
            "requestId": str(uuid.uuid4()),
        }
        return Reply(429, body)

    def limit_headers(self, left: int) -> dict[str, str]:
        """Return the headers of counted answers; OAuth apps are told of no daily limit."""
        assert self.limit is not None
        return {
            "X-HubSpot-RateLimit-Max": str(self.limit.calls_max),
            "X-HubSpot-RateLimit-Remaining": str(left),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(self.limit.window_s * 1000)),
        }

    def rows(self) -> list[tuple[str, dict[str, str]]]:
        """Return what the page of records shows."""
        stores = (self.contacts, self.deals)
        return [
            (f"{SINGULAR[store.name]} {one.id}", dict(one.properties))
            for store in stores
            for one in store.records.values()
            if not one.is_archived
        ]

    # What people in the portal do.
    def add(self, object_name: str, **properties: str) -> str:
        """A person creates a record; return its id."""
        with self.lock:
            kept = self.store(object_name).write(None, properties, self.now_ms())
            self.note("creation", object_name, kept, by_us=False)
            return kept.id

    def edit(self, object_name: str, record_id: str, **properties: str) -> None:
        """A person changes a record."""
        with self.lock:
            store = self.store(object_name)
            kept = store.write(store.records[record_id], properties, self.now_ms())
            for name, value in properties.items():
                self.note("propertyChange", object_name, kept, by_us=False, name=name, value=value)

    def remove(self, object_name: str, record_id: str) -> None:
        """A person deletes a record."""
        with self.lock:
            kept = self.store(object_name).records[record_id]
            self.store(object_name).archive(kept, self.now_ms())
            self.note("deletion", object_name, kept, by_us=False)

    def merge(self, object_name: str, first: str, second: str, *, keeps_id: bool = False) -> str:
        """A person merges the second record into the first; return the id of what came of it."""
        with self.lock:
            store = self.store(object_name)
            parts = store.records[first], store.records[second]
            kept = store.merge(*parts, self.now_ms(), keeps_id=keeps_id)
            self.note("merge", object_name, kept, by_us=False)
            ids = {"primaryObjectId": int(first), "mergedObjectIds": [int(second)]}
            self.events[-1] |= {**ids, "newObjectId": int(kept.id)}
            return kept.id

    def with_rtx_properties(self) -> Self:
        """Give the portal the unique properties that hold RTX's ids."""
        self.contacts.properties["rtx_client_id"] = Property("rtx_client_id", "RTX client id", is_unique=True)
        self.deals.properties["rtx_login"] = Property("rtx_login", "RTX login", is_unique=True)
        return self

    def note(
        self, what: str, object_name: str, kept: Kept, *, by_us: bool, name: str = "", value: str = ""
    ) -> None:
        """Note an event for the webhooks, newest last."""
        event: dict[str, Any] = {
            "eventId": next(self.event_ids),
            "subscriptionId": 1000 + len(what),
            "portalId": self.portal_id,
            "appId": self.app_id,
            "occurredAt": self.now_ms(),
            "subscriptionType": f"{SINGULAR[object_name]}.{what}",
            "attemptNumber": 0,
            "objectId": int(kept.id),
            "changeSource": "INTEGRATION" if by_us else "CRM_UI",
            "sourceId": str(self.app_id) if by_us else "userId:45678",
        }
        if what == "propertyChange":
            event |= {"propertyName": name, "propertyValue": value}
        elif what in ("creation", "deletion"):
            event["changeFlag"] = {"creation": "CREATED", "deletion": "DELETED"}[what]
        self.events.append(event)

    def delivery(
        self, events: list[dict[str, Any]], *, url: str, secret: str
    ) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of a webhook request that carries events, signed (v3)."""
        body = json.dumps(events, separators=(",", ":")).encode()
        stamp = str(self.now_ms())
        content = b"POST" + url.encode() + body + stamp.encode()
        signature = base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()
        return body, {
            "Content-Type": "application/json",
            "X-HubSpot-Signature-v3": signature,
            "X-HubSpot-Request-Timestamp": stamp,
        }

    def now_ms(self) -> int:
        """Return HubSpot's clock."""
        return int(self.clock() * 1000)

    def store(self, object_name: str) -> Store:
        """Return the records of an object, by any of its names."""
        found = {"contacts": self.contacts, "contact": self.contacts, "0-1": self.contacts}
        found |= {"deals": self.deals, "deal": self.deals, "0-3": self.deals}
        if object_name not in found:
            raise Refused(400, "VALIDATION_ERROR", f"Unable to infer object type from: {object_name}")
        return found[object_name]

    # OAuth.
    @route("GET", "/oauth/authorize", is_counted=False)
    @route("POST", "/oauth/authorize", is_counted=False)
    def authorize(self, request: Request) -> Reply:
        """The page on which a person agrees."""
        return self.grants.page(request, title="HubSpot (a stand-in)")

    @route("POST", "/oauth/v3/token", is_counted=False)
    @route("POST", "/oauth/v1/token", is_counted=False)
    def token(self, request: Request) -> Reply:
        """Exchange a code or refresh a token."""
        try:
            given = self.grants.exchange(request.form)
        except GrantRefused as refused:
            reply = self.error(400, "VALIDATION_ERROR", "missing or unknown authorization")
            reply.body |= {"error": str(refused), "error_description": "missing or unknown authorization"}
            return reply
        back = urlsplit(request.form.get("redirect_uri", ""))
        if self.calls_back and back.netloc:
            address = f"{back.scheme}://{back.netloc}/api/webhooks/crm/hubspot"
            self.subscriber = (address, request.form.get("client_secret", ""))
        refresh = given["refresh_token"] or request.form.get("refresh_token", "")
        body = {
            "token_type": "bearer",
            "access_token": given["access_token"],
            "refresh_token": refresh,
            "expires_in": int(self.grants.lifetime_s),
            "hub_id": self.portal_id,
            "user_id": 45678,
            "scopes": given["scope"].split(),
        }
        return Reply(200, body)

    @route("POST", "/oauth/v3/token/introspect", is_counted=False)
    def introspect(self, request: Request) -> Reply:
        """Tell whether a token is good, and whose it is."""
        token = request.form.get("token", "")
        if not self.grants.is_good(token) and token not in self.grants.refresh_tokens:
            return Reply(200, {"active": False})
        return Reply(
            200, {"active": True, "hub_id": self.portal_id, "user_id": 45678, "token_type": "bearer"}
        )

    @route("POST", "/oauth/v3/token/revoke", is_counted=False)
    def revoke(self, request: Request) -> Reply:
        """End a grant."""
        self.grants.revoke(request.form.get("token", ""))
        return Reply(200, {})

    @api("GET", "/account-info/v3/details")
    def details(self, request: Request) -> Reply:
        """Say whose portal this is."""
        body = {"portalId": self.portal_id, "accountType": "STANDARD", "timeZone": "Europe/Dublin"}
        return Reply(200, {**body, "companyCurrency": "USD", "uiDomain": "app.hubspot.com"})

    # Properties.
    @api("GET", "/crm/v3/properties/{object}")
    def describe(self, request: Request) -> Reply:
        """List the properties of an object."""
        self.needs(f"crm.schemas.{request.params['object']}.read")
        known = self.store(request.params["object"]).properties.values()
        return Reply(200, {"results": [one.as_json() for one in known]})

    @api("GET", "/crm/v3/properties/{object}/{name}")
    def describe_one(self, request: Request) -> Reply:
        """Return one property."""
        self.needs(f"crm.schemas.{request.params['object']}.read")
        known = self.store(request.params["object"]).properties.get(request.params["name"])
        return Reply(200, known.as_json()) if known else self.not_found(request)

    @api("POST", "/crm/v3/properties/{object}")
    def create_property(self, request: Request) -> Reply:
        """Create a property."""
        self.needs(f"crm.schemas.{request.params['object']}.write")
        store, given = self.store(request.params["object"]), request.json
        if given["name"] in store.properties:
            raise Refused(409, "OBJECT_ALREADY_EXISTS", f"A property named '{given['name']}' already exists.")
        made = Property(
            given["name"],
            given["label"],
            given["type"],
            given["fieldType"],
            is_unique=bool(given.get("hasUniqueValue")),
            options=tuple(one["value"] for one in given.get("options", [])),
        )
        given["groupName"]  # required
        store.properties[made.name] = made
        return Reply(201, made.as_json())

    def needs(self, scope: str) -> None:
        """Refuse what the app was not given."""
        if scope in self.missing_scopes:
            message = "This app hasn't been granted all required scopes to make this call."
            raise Refused(403, "MISSING_SCOPES", message)
