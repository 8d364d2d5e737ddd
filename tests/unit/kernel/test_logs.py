"""Log lines carry the event, its values and the request's id, and no local variables."""

import json
import logging
from io import StringIO
from typing import Any

import pytest
import structlog

from rtx.kernel import logs


@pytest.fixture
def lines() -> Any:
    """Return what logs through a handler of the wanted form and gives the text back."""
    settings = logs.configured(level="INFO", as_json=True)["formatters"]["events"]

    def through(write: Any, *, as_json: bool) -> str:
        chosen = settings if as_json else logs.configured(level="INFO", as_json=False)["formatters"]["events"]
        formatter = structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chosen["foreign_pre_chain"], processors=chosen["processors"]
        )
        out = StringIO()
        handler = logging.StreamHandler(out)
        handler.setFormatter(formatter)
        logger = logging.getLogger("rtx.test")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            write()
        finally:
            logger.removeHandler(handler)
        return out.getvalue()

    yield through
    structlog.contextvars.clear_contextvars()


def test_an_event_is_one_json_object_with_the_requests_id(lines: Any) -> None:
    structlog.contextvars.bind_contextvars(request_id="request-1")

    shown = json.loads(
        lines(lambda: structlog.get_logger("rtx.test").warning("lease_lost", fence=7), as_json=True)
    )

    assert (shown["event"], shown["fence"], shown["level"]) == ("lease_lost", 7, "warning")
    assert (shown["request_id"], shown["logger"]) == ("request-1", "rtx.test")
    assert shown["timestamp"].endswith("Z")


def test_other_peoples_loggers_say_the_same(lines: Any) -> None:
    structlog.contextvars.bind_contextvars(request_id="request-2")

    shown = json.loads(lines(lambda: logging.getLogger("rtx.test").error("lost %s", "EURUSD"), as_json=True))

    assert (shown["event"], shown["level"], shown["request_id"]) == ("lost EURUSD", "error", "request-2")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_local_variables(lines: Any, as_json: bool) -> None:
    def fail() -> None:
        last_name = "".join(["Feather", "stone"])
        try:
            raise ZeroDivisionError(len(last_name))
        except ZeroDivisionError:
            logging.getLogger("rtx.test").exception("failed")

    text = lines(fail, as_json=as_json)

    assert "ZeroDivisionError" in text
    assert "Featherstone" not in text


def test_what_is_below_the_level_is_not_written(lines: Any) -> None:
    assert lines(lambda: structlog.get_logger("rtx.test").debug("noise"), as_json=True) == ""


def test_addresses_of_outgoing_calls_are_not_logged() -> None:
    loggers = logs.configured(level="INFO", as_json=True)["loggers"]

    assert {name: loggers[name]["level"] for name in ("httpx", "httpcore")} == {
        "httpx": "WARNING",
        "httpcore": "WARNING",
    }
