"""`docs/asyncapi.yaml`: well-formed, complete, and true to the code that serves the stream."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from apps.trading.api.operations import OPERATIONS as TRADES
from apps.trading.consumers.connection import CloseCode
from apps.trading.consumers.requests import OPERATIONS, decode
from rtx.kernel import openapi
from tests.factories import asyncapi


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(asyncapi.PATH.read_text(encoding="utf-8"))
    return found


def referred(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return referred(document, found["$ref"]) if isinstance(found, dict) and "$ref" in found else found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_the_file_is_what_the_structs_say() -> None:
    assert asyncapi.PATH.read_text(encoding="utf-8") == asyncapi.text(), (
        "run python -m tests.factories.asyncapi"
    )


def test_it_has_the_parts_of_asyncapi_3(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    assert all({"host", "protocol"} <= set(server) for server in document["servers"].values())
    assert all({"address", "messages"} <= set(channel) for channel in document["channels"].values())
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert referred(document, operation["channel"]["$ref"])["address"] == "/ws"
        assert operation["messages"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        assert referred(document, reference), reference


def test_an_operations_messages_are_those_of_its_channel(document: dict[str, Any]) -> None:
    for operation in document["operations"].values():
        told = operation["messages"] + operation.get("reply", {}).get("messages", [])
        for one in told:
            assert one["$ref"].startswith("#/channels/ws/messages/")
            assert "payload" in referred(document, one["$ref"])


def test_every_operation_that_the_code_knows_is_described(document: dict[str, Any]) -> None:
    received = {name for name, one in document["operations"].items() if one["action"] == "receive"}

    assert received == {asyncapi.camel(op) for op in OPERATIONS}


def test_every_close_code_is_described(document: dict[str, Any]) -> None:
    described = {int(code) for code in document["channels"]["ws"]["x-close-codes"]}

    assert described == {int(code) for code in CloseCode} | {1009}


def examples_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    for name, message in document["components"]["messages"].items():
        for example in message["examples"]:
            yield name, message["payload"], example["payload"]


def test_every_message_shows_an_example_that_fits(document: dict[str, Any]) -> None:
    components = {"components": document["components"]}
    for name, schema, example in examples_of(document):
        errors = list(Draft202012Validator({**schema, **components}).iter_errors(example))
        assert errors == [], name
    assert all(message["examples"] for message in document["components"]["messages"].values())


def test_the_real_parser_reads_every_request(document: dict[str, Any]) -> None:
    asked = [example for _, _, example in examples_of(document) if "op" in example]
    for example in asked:
        request = decode(json.dumps(example))
        assert request.op == example["op"]
        if request.op in TRADES:
            given = TRADES[request.op].input.validated(json.dumps(example["data"]).encode())
            assert given.__struct_fields__

    assert {example["op"] for example in asked} == set(OPERATIONS)


def test_a_schema_is_the_one_of_rest(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema == json.loads(json.dumps(openapi._definitions[name])), name
