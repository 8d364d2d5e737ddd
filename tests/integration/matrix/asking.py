"""Asks one cell of the running URL map as a role would, and says in the table's words what came back."""

import json
import re
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.test import Client
from django.urls import reverse

from tests.factories.staff import signed_in
from tests.integration.matrix import declared, surface
from tests.integration.matrix.broker import SIDES, Broker

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


class Asker:
    """Sends requests as one role: admin pages with a session, the API with a token."""

    def __init__(self, broker: Broker, role: str) -> None:
        self.broker = broker
        self.role = role
        self.http = self._session()
        self._ids = declared.mapping("IDS")
        self._asked = declared.mapping("ASKED")

    def _session(self) -> Client:
        http = Client() if self.role == "anonymous" else signed_in(self.broker.users[self.role])
        http.raise_request_exception = False
        return http

    # Pages of tables

    def get(self, label: str, page: str, side: str | None = None) -> Any:
        """Open a page of a table; with a side that of one row."""
        return self.http.get(self._address(label, page, side))

    def post(self, label: str, page: str, side: str | None = None, data: Any = None) -> Any:
        """Send a form to a page of a table."""
        return self.http.post(self._address(label, page, side), data or {})

    def _address(self, label: str, page: str, side: str | None) -> str:
        app, _point, model = label.partition(".")
        arguments = [] if side is None else [self.broker.row(label, side).pk]
        return reverse(f"admin:{app}_{model}_{page}", args=arguments)

    # Other routes

    def sides(self, key: str) -> tuple[str, ...]:
        """Return the sides that make a difference to a route."""
        route = key.partition(" ")[2]
        return SIDES if PARAMETER.search(route) or key in self._asked else SIDES[:1]

    def route(self, key: str, side: str) -> Any:
        """Ask a route; its parameters name a row of this side."""
        method, _space, route = key.partition(" ")
        path = "/" + PARAMETER.sub(lambda found: self._parameter(route, found[1], side), route.lstrip("/"))
        given = self._asked[key](self.broker.sides[side]) if key in self._asked else {}
        if path.startswith("/api/"):
            return self._api(method, path, given)
        http = self._session()  # a view may end the session
        return http.get(path, given) if method == "GET" else http.post(path, given)

    def _api(self, method: str, path: str, given: Any) -> Any:
        token = self.broker.token(self.role)
        headers = {"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}
        headers["HTTP_IDEMPOTENCY_KEY"] = uuid4().hex
        if method == "GET" or not given:
            return Client(raise_request_exception=False).generic(
                method, f"{path}?{urlencode(given)}" if given else path, **headers
            )
        return Client(raise_request_exception=False).generic(
            method, path, json.dumps(given), content_type="application/json", **headers
        )

    def _parameter(self, route: str, name: str, side: str) -> str:
        source = self._ids.get(route)
        if isinstance(source, dict):
            source = source[name]
        if source is None:
            match = surface.MODEL_ROUTE.match(route)
            source = f"{match['app']}.{match['model']}" if match else ""
            assert source in surface.registry(), f"IDS: say whose rows <{name}> of {route} names"
        if callable(source):
            return str(source(self.broker.sides[side]))
        if source.startswith("="):
            return str(source[1:])
        label, _colon, column = source.partition(":")
        return str(getattr(self.broker.row(label, side), column or "pk"))


def said(response: Any) -> str:
    """Return an answer in the table's words."""
    if response.status_code in {301, 302}:
        if "/login/" in response["Location"]:
            return "login"
        return "moved" if response.wsgi_request.method == "GET" else "ok"
    return "ok" if response.status_code < 300 else str(response.status_code)
