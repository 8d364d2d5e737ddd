"""The fakes as the demo runs them: the page of records, webhooks that are sent, a state that is kept."""

import threading
from pathlib import Path

import httpx

from tests.fakes.demo import Courier, Desk, Shelf
from tests.fakes.fake import Fake, Reply, Request, route
from tests.fakes.hubspot import HubSpotFake
from tests.fakes.salesforce import SalesforceFake
from tests.fakes.server import serving
from tests.fakes.zoho import ZohoFake


class Listener(Fake):
    """Takes webhooks, the second time that they come."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = threading.Event()
        self.seen: list[Request] = []

    @route("POST", "/api/webhooks/crm/hubspot")
    def take(self, request: Request) -> Reply:
        self.seen.append(request)
        if len(self.seen) == 2:
            self.taken.set()
        return Reply(204 if len(self.seen) > 1 else 500)


def test_the_page_shows_records_and_a_person_changes_one() -> None:
    hubspot = HubSpotFake()
    contact = hubspot.add("contacts", email="<a>@b.example", phone="1")
    with serving(Desk(hubspot, SalesforceFake()), hubspot) as url:
        home = httpx.get(url, trust_env=False)
        saved = httpx.post(
            f"{url}/people/{contact}", data={"firstname": "Åsa", "phone": "1"}, trust_env=False
        )
        shown = httpx.get(f"{url}/people/{contact}", trust_env=False)

    assert "&lt;a&gt;@b.example" in home.text
    assert "1 records" in home.text
    assert saved.status_code == 303
    assert "Åsa" in shown.text
    assert [one.get("propertyName") for one in hubspot.events] == [None, "firstname"]


def test_events_are_sent_until_they_are_taken() -> None:
    hubspot, listener, stopping = HubSpotFake(), Listener(), threading.Event()
    with serving(listener) as url:
        hubspot.subscriber = (f"{url}/api/webhooks/crm/hubspot", "secret")
        hubspot.add("contacts", email="a@b.example")
        courier = Courier(hubspot, stopping)
        courier.start()
        assert listener.taken.wait(10)
        stopping.set()
        courier.join(10)

    assert [request.json[0]["attemptNumber"] for request in listener.seen] == [0, 1]
    assert listener.seen[0].headers["x-hubspot-signature-v3"]
    assert hubspot.events == []


def test_records_and_tokens_survive_a_restart(tmp_path: Path) -> None:
    first, path = HubSpotFake().with_rtx_properties(), tmp_path / "crm.state"
    access, refresh = first.grants.give()
    contact = first.add("contacts", email="a@b.example")
    Shelf(path, (first, SalesforceFake())).save()

    second = HubSpotFake()
    Shelf(path, (second, SalesforceFake())).load()

    assert second.contacts.find("a@b.example", "email") is second.contacts.records[contact]
    assert second.grants.is_good(access)
    assert refresh in second.grants.refresh_tokens
    assert int(second.add("deals", dealname="1")) > int(contact)
    second.clock.advance(3600)
    assert not second.grants.is_good(access)
    assert path.stat().st_mode & 0o077 == 0


def test_every_fake_has_a_state_that_can_be_kept(tmp_path: Path) -> None:
    fakes, again = (ZohoFake(), SalesforceFake()), (ZohoFake(), SalesforceFake())
    tokens = [fake.grants.give()[0] for fake in fakes]
    Shelf(tmp_path / "crm.state", fakes).save()

    Shelf(tmp_path / "crm.state", again).load()

    assert [fake.grants.is_good(token) for fake, token in zip(again, tokens, strict=True)] == [True, True]


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    path = tmp_path / "crm.state"
    path.write_bytes(b"nonsense")
    fake = HubSpotFake()

    Shelf(path, (fake,)).load()

    assert fake.contacts.records == {}
