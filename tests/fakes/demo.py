"""
What the fakes need to be a CRM that a newcomer can look into: a page of records on which a person changes
them, webhooks that are really sent, and a file in which all survives a restart. Not for tests.
"""

import html
import pickle
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import httpx

from tests.fakes.fake import Fake, Reply, Request, route
from tests.fakes.hubspot import HubSpotFake

EVENTS_MAX = 100  # of one delivery
SHOWN_MAX = 500
EDITED = ("firstname", "lastname", "phone", "address", "country")
STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:0;color:#1f2937;background:#f8fafc}"
    "main{max-width:72rem;margin:0 auto;padding:1.5rem 1rem}h1{font-size:1.4rem;margin:0 0 .25rem}"
    "h2{font-size:1.05rem;margin:1.5rem 0 .5rem}p{margin:.25rem 0;color:#475569}"
    "div.wide{overflow-x:auto;background:#fff;border:1px solid #e2e8f0;border-radius:.5rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .7rem;white-space:nowrap;"
    "border-bottom:1px solid #e2e8f0}th{font-weight:600;color:#475569}a{color:#1d4ed8}"
    "label{display:block;margin:.6rem 0 .2rem}input{font:inherit;padding:.45rem;width:100%;max-width:28rem;"
    "box-sizing:border-box;border:1px solid #cbd5e1;border-radius:.375rem}"
    "button{font:inherit;margin-top:1rem;padding:.5rem 1.2rem;border:0;border-radius:.375rem;"
    "background:#1d4ed8;color:#fff}"
)


class Desk(Fake):
    """The page at which people work. Edits of HubSpot's contacts count as a person's."""

    name = "desk"

    def __init__(self, *fakes: Fake) -> None:
        super().__init__()
        self.fakes = fakes

    @route("GET", "/", is_counted=False)
    def home(self, request: Request) -> Reply:
        """Show what every CRM holds, anew every two seconds."""
        parts = [_section(fake) for fake in self.fakes]
        return _page("Fake CRM", "".join(parts), refreshes=True)

    @route("GET", "/people/{id}", is_counted=False)
    def show(self, request: Request) -> Reply:
        """Show a contact of HubSpot to change it."""
        hubspot = self._hubspot()
        kept = hubspot.contacts.find(request.params["id"])
        if kept is None:
            return _page("Not found", "<p>This contact is not there (any more).</p>", status=404)
        inputs = "".join(
            f"<label for={name}>{name}</label>"
            f'<input id={name} name={name} value="{html.escape(kept.properties.get(name, ""))}">'
            for name in EDITED
        )
        title = html.escape(kept.properties.get("email") or f"Contact {kept.id}")
        return _page(
            title, f"<form method=post>{inputs}<button>Save</button></form><p><a href=/>Back</a></p>"
        )

    @route("POST", "/people/{id}", is_counted=False)
    def save(self, request: Request) -> Reply:
        """Change a contact as a person in HubSpot does."""
        hubspot, form = self._hubspot(), request.form
        kept = hubspot.contacts.find(request.params["id"])
        if kept is not None:
            changed = {
                name: form[name]
                for name in EDITED
                if name in form and form[name] != kept.properties.get(name, "")
            }
            if changed:
                hubspot.edit("contacts", kept.id, **changed)
        return Reply(303, headers={"Location": f"/people/{quote(request.params['id'])}"})

    def _hubspot(self) -> HubSpotFake:
        return next(fake for fake in self.fakes if isinstance(fake, HubSpotFake))


class Courier(threading.Thread):
    """Sends HubSpot's events to whoever connected, as HubSpot does: in order of time or not, repeated."""

    def __init__(self, fake: HubSpotFake, stopping: threading.Event) -> None:
        super().__init__(name="courier", daemon=True)
        self._fake, self._stopping, self._attempt = fake, stopping, 0

    def run(self) -> None:
        """Deliver until it is over."""
        with httpx.Client(timeout=5.0, trust_env=False) as client:
            while not self._stopping.wait(0.5 if self._attempt == 0 else min(30, 2**self._attempt)):
                self._attempt = 0 if self._deliver(client) else self._attempt + 1

    def _deliver(self, client: httpx.Client) -> bool:
        with self._fake.lock:
            if self._fake.subscriber is None:
                self._fake.events.clear()
                return True
            url, secret = self._fake.subscriber
            events = [{**one, "attemptNumber": self._attempt} for one in self._fake.events[:EVENTS_MAX]]
            if not events:
                return True
            body, headers = self._fake.delivery(events, url=url, secret=secret)
        try:
            is_taken = client.post(url, content=body, headers=headers).is_success
        except httpx.HTTPError:
            is_taken = False
        if is_taken or self._attempt >= 10:
            with self._fake.lock:
                del self._fake.events[: len(events)]
            return True
        return False


class Shelf:
    """Keeps the fakes' state in a file."""

    def __init__(self, path: Path, fakes: tuple[Fake, ...]) -> None:
        self._path, self._fakes = path, fakes

    def load(self) -> None:
        """Take the state up where there is one; one that cannot be read is none."""
        if not self._path.exists():
            return
        with suppress(pickle.UnpicklingError, EOFError, AttributeError, ImportError, TypeError):
            found = pickle.loads(self._path.read_bytes())
            for fake in self._fakes:
                vars(fake).update(found.get(fake.name, {}))

    def save(self) -> None:
        """Write the state; the file is whole at any instant."""
        state = {}
        for fake in self._fakes:
            with fake.lock:
                state[fake.name] = pickle.loads(pickle.dumps({name: vars(fake)[name] for name in fake.kept}))
        fresh = self._path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(pickle.dumps(state))
        fresh.replace(self._path)


def _section(fake: Fake) -> str:
    with fake.lock:
        rows = fake.rows()
        calls = len(fake.calls)
    names = list(dict.fromkeys(name for _, fields in rows[:SHOWN_MAX] for name in fields))[:10]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><td>{_linked(fake, title)}</td>"
        + "".join(f"<td>{html.escape(fields.get(name, ''))}</td>" for name in names)
        + "</tr>"
        for title, fields in reversed(rows[-SHOWN_MAX:])
    )
    table = f"<div class=wide><table><tr><th>Record</th>{head}</tr>{body}</table></div>" if rows else ""
    return f"<h2>{html.escape(fake.name)}</h2><p>{len(rows)} records, {calls} calls so far</p>{table}"


def _linked(fake: Fake, title: str) -> str:
    kind, _, record_id = title.partition(" ")
    if isinstance(fake, HubSpotFake) and kind == "contact":
        return f"<a href=/people/{quote(record_id)}>{html.escape(title)}</a>"
    return html.escape(title)


def _page(title: str, content: str, *, refreshes: bool = False, status: int = 200) -> Reply:
    again = "<meta http-equiv=refresh content=2>" if refreshes else ""
    text = (
        f"<!doctype html><html lang=en><head><meta charset=utf-8>{again}<title>{title}</title>"
        f"<meta name=viewport content='width=device-width, initial-scale=1'><style>{STYLE}</style></head>"
        f"<body><main><h1>{title}</h1><p>Stands in for HubSpot, Salesforce and Zoho on this machine.</p>"
        f"{content}</main></body></html>"
    )
    return Reply(status, text.encode(), content_type="text/html; charset=utf-8")
