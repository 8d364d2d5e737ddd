"""The engine's frame: services start in order, stop in the opposite one, and end it when they fail."""

import threading
from typing import Any

import pytest

from apps.market.services import engine as engines
from apps.market.services.engine import Engine, TickBatch


class Service:
    """Writes down what happens to it."""

    def __init__(self, name: str, story: list[str], fails: Exception | None = None) -> None:
        self.name = name
        self.story = story
        self.fails = fails

    def start(self, engine: Engine) -> None:
        self.story.append(f"{self.name} starts")
        if self.fails is not None:
            raise self.fails

    def stop(self) -> None:
        self.story.append(f"{self.name} stops")

    def health(self) -> dict[str, Any]:
        return {"fine": True}


@pytest.fixture
def story() -> list[str]:
    return []


@pytest.fixture
def host(monkeypatch, story):
    """Return a function that makes an engine of the given services."""

    def make(*services: Service) -> Engine:
        named = {service.name: service for service in services}
        monkeypatch.setattr(engines, "import_string", lambda path: lambda: named[path])
        return Engine(list(named))

    return make


def test_services_start_in_order_and_stop_in_the_opposite_one(host, story):
    engine = host(Service("feed", story), Service("monitor", story))

    def ready(ready_engine: Engine) -> None:
        story.append("ready")
        assert ready_engine.health() == {"feed": {"fine": True}, "monitor": {"fine": True}}
        ready_engine.stop()

    engine.run(on_ready=ready)

    assert story == ["feed starts", "monitor starts", "ready", "monitor stops", "feed stops"]
    assert engine.failure == ""


def test_service_that_cannot_start_ends_the_engine_and_all_are_stopped(host, story):
    engine = host(Service("feed", story), Service("monitor", story, fails=ValueError("no symbols")))

    with pytest.raises(ValueError, match="no symbols"):
        engine.run(on_ready=lambda _: story.append("ready"))

    assert story == ["feed starts", "monitor starts", "monitor stops", "feed stops"]


def test_failure_of_a_running_service_ends_the_engine_and_says_why(host, story):
    engine = host(Service("feed", story))

    def ready(_: Engine) -> None:
        threading.Thread(target=engine.fail, args=("feed", KeyError("EURUSD"))).start()

    engine.run(on_ready=ready)

    assert engine.failure == "feed: KeyError('EURUSD')"
    assert story[-1] == "feed stops"


def test_every_listener_gets_every_batch_even_if_one_fails():
    engine, heard = Engine([]), []

    def breaks(batch: TickBatch) -> None:
        raise RuntimeError("broken")

    engine.on_ticks(breaks)
    engine.on_ticks(heard.append)
    batches = [TickBatch([], {}), TickBatch([], {"EURUSD": None})]

    for batch in batches:
        engine.publish(batch)

    assert heard == batches
