"""The description of the REST interfaces: components, examples, headers and errors of every operation."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker

from apps.trading.api import inputs, outputs
from rtx.kernel import openapi


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in schema["paths"].items():
        for method, operation in found.items():
            yield f"{method} {path}", operation


def test_it_is_openapi_3_1_and_refers_to_nothing_that_is_missing(schema: dict[str, Any]) -> None:
    names = set(schema["components"]["schemas"])
    used = {
        text.removeprefix(openapi.REFERENCE)
        for text in _references(schema)
        if text.startswith(openapi.REFERENCE)
    }

    assert schema["openapi"].startswith("3.1")
    assert used - names == set()


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def test_every_operation_shows_what_goes_in_and_comes_out(schema: dict[str, Any]) -> None:
    silent = []
    for name, operation in operations(schema):
        contents = [operation["requestBody"]["content"]] if "requestBody" in operation else []
        contents += [answer["content"] for answer in operation["responses"].values() if "content" in answer]
        if name != "get /api/schema":
            silent += [
                name
                for content in contents
                for kind, media in content.items()
                if kind in {openapi.JSON, openapi.PROBLEM_JSON} and not media.get("examples")
            ]

    assert silent == []


def test_every_operation_documents_its_errors_and_headers(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        answers = operation["responses"]
        assert {"401", "429", "503"} <= set(answers), name
        for status, answer in answers.items():
            assert "X-Request-ID" in answer["headers"], name
            if int(status) >= 400:
                assert set(answer["content"]) == {openapi.PROBLEM_JSON}, name
        assert "Retry-After" in answers["429"]["headers"]


def test_examples_fit_their_schemas(schema: dict[str, Any]) -> None:
    components = schema["components"]
    for name, value in openapi.examples().items():
        found = {"$ref": f"#/components/schemas/{name}", "components": components}
        if name in components["schemas"]:
            errors = list(Draft202012Validator(found, format_checker=FormatChecker()).iter_errors(value))
            assert errors == [], name


def test_examples_are_what_the_structs_read() -> None:
    for module in (inputs, outputs):
        for name, value in openapi.examples().items():
            kind = getattr(module, name, None)
            if kind is None:
                continue
            if module is inputs:
                kind.validated(msgspec.json.encode(value))
            else:
                msgspec.convert(value, type=kind)


def test_two_structs_of_one_name_are_a_fault() -> None:
    def make(kind: type) -> type:
        return msgspec.defstruct("SameNameOut", [("value", kind)])

    openapi.of(make(int))
    with pytest.raises(ValueError, match="two structs are called SameNameOut"):
        openapi.of(make(str))
    openapi._definitions.pop("SameNameOut")
