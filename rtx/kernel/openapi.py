"""
OpenAPI pieces of the REST interfaces, made from the input and output structs. Describes, never converts.

Structs become components; an example stands beside its struct (`@example`) and is shown wherever the struct
is. `completed` is drf-spectacular's last step: it adds what every operation has.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

Kind = TypeVar("Kind", bound=type)

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
REFERENCE = "#/components/schemas/"
PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457). `code` is stable; `errors` names fields.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable."},
        "detail": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": True},
        "request_id": {"type": "string", "description": "As in X-Request-ID."},
    },
}
MEANINGS = {
    400: "Malformed input",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Unknown, or not the caller's",
    409: "It contradicts what is booked: the code says how",
    413: "The body is larger than 64 KB",
    415: "The body is no JSON",
    429: "Too many requests",
    503: "busy, unavailable or outcome_unknown: repeat with the same id",
}
CODES: dict[int, tuple[str, ...]] = {
    400: ("invalid", "malformed_json"),
    401: ("not_authenticated", "invalid_token"),
    403: ("forbidden",),
    404: ("not_found",),
    409: ("client_order_id_reused",),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    429: ("rate_limit",),
    503: ("busy", "outcome_unknown", "unavailable"),
}
ALWAYS = (401, 429, 503)
WITH_BODY = (413, 415)
HEADERS = {
    "X-Request-ID": ("string", "Names the request in logs: the caller's own when well formed."),
    "RateLimit-Limit": ("integer", "Requests that may come at once."),
    "RateLimit-Remaining": ("integer", "Requests that may come now."),
    "RateLimit-Reset": ("integer", "Seconds until all of them may come again."),
    "Retry-After": ("integer", "Seconds to wait before the next request (429 and 503)."),
}
EVERYWHERE = tuple(name for name in HEADERS if name != "Retry-After")

_definitions: dict[str, Any] = {}
_examples: dict[str, Any] = {}


def example(value: Any) -> Callable[[Kind], Kind]:
    """Show a value wherever the decorated struct is used."""

    def decorate(kind: Kind) -> Kind:
        _examples[kind.__name__] = value
        return kind

    return decorate


def examples() -> dict[str, Any]:
    """Return the examples of all structs by the struct's name."""
    return dict(_examples)


def _portable(schema: Any) -> Any:
    """Replace what only Python's patterns know: `\\Z` is `$` in JSON Schema."""
    if isinstance(schema, dict):
        return {
            key: value.replace(r"\Z", "$") if key == "pattern" else _portable(value)
            for key, value in schema.items()
        }
    return [_portable(item) for item in schema] if isinstance(schema, list) else schema


def of(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of a struct: a reference to its component."""
    (schema,), definitions = msgspec.json.schema_components([kind], ref_template=REFERENCE + "{name}")
    for name, definition in _portable(definitions).items():
        if _definitions.setdefault(name, definition) != definition:
            raise ValueError(f"two structs are called {name}")
    found: dict[str, Any] = schema
    return found


def body(kind: Any) -> dict[str, Any]:
    """Return a request body."""
    return {JSON: of(kind)}


def page(kind: Any) -> dict[str, Any]:
    """Return a cursor-paginated list."""
    return {
        "type": "object",
        "required": ["results", "next"],
        "properties": {
            "results": {"type": "array", "items": of(kind)},
            "next": {"type": ["string", "null"], "format": "uri"},
        },
    }


def error(status: int, *codes: str) -> tuple[int, tuple[str, ...]]:
    """Return an error with the codes that it may carry here."""
    return status, codes


def responses(
    status: int, schema: dict[str, Any] | None, *errors: int | tuple[int, tuple[str, ...]]
) -> dict[Any, Any]:
    """
    Return the answers of an operation: one success and the errors it documents (401, 429 and 503 always).
    """
    codes = {known: CODES[known] for known in ALWAYS}
    codes |= dict((given, CODES[given]) if isinstance(given, int) else given for given in errors)
    return {
        status: OpenApiResponse(schema),
        **{(known, PROBLEM_JSON): _problem(known, names) for known, names in sorted(codes.items())},
    }


def download(media_type: str, *errors: int | tuple[int, tuple[str, ...]]) -> dict[Any, Any]:
    """Return the answers of an operation that hands out a file, and the errors it documents."""
    file = OpenApiResponse({"type": "string", "format": "binary"}, description="A file.")
    return {
        (200, media_type): file,
        **{key: one for key, one in responses(200, None, *errors).items() if key != 200},
    }


def _problem_shown(status: int, code: str) -> dict[str, Any]:
    return {
        "type": f"urn:rtx:problem:{code}",
        "title": MEANINGS[status],
        "status": status,
        "code": code,
        "detail": code.replace("_", " ").capitalize() + ".",
    }


def _problem(status: int, codes: tuple[str, ...]) -> OpenApiResponse:
    shown = [
        OpenApiExample(
            code,
            value=_problem_shown(status, code),
            response_only=True,
            media_type=PROBLEM_JSON,
            status_codes=[str(status)],
        )
        for code in codes
    ]
    meaning = f"{MEANINGS[status]}. Codes: {', '.join(f'`{code}`' for code in codes)}."
    return OpenApiResponse({"$ref": f"{REFERENCE}Problem"}, description=meaning, examples=shown)


def completed(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add components, examples, and the headers and errors that every operation has."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).update({"Problem": PROBLEM, **_definitions})
    components["headers"] = {
        name: {"description": text, "schema": {"type": kind}} for name, (kind, text) in HEADERS.items()
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            _complete(operation)
    return result


def _complete(operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if "requestBody" in operation:
        _show_example(operation["requestBody"].get("content", {}))
        for status, (code,) in ((status, CODES[status]) for status in WITH_BODY):
            media = {
                "schema": {"$ref": f"{REFERENCE}Problem"},
                "examples": {code: {"value": _problem_shown(status, code)}},
            }
            answers[str(status)] = {
                "description": f"{MEANINGS[status]}. Codes: `{code}`.",
                "content": {PROBLEM_JSON: media},
            }
    for status, answer in answers.items():
        _show_example(answer.get("content", {}))
        names = EVERYWHERE[:1] if status == "401" else EVERYWHERE
        if status in {"429", "503"}:
            names = (*names, "Retry-After")
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _show_example(content: dict[str, Any]) -> None:
    for media in content.values():
        schema = media.get("schema", {})
        items = schema.get("properties", {}).get("results", {}).get("items", {})
        either = [one.get("$ref", "").removeprefix(REFERENCE) for one in schema.get("oneOf", ())]
        if either and "examples" not in media:
            media["examples"] = {name: {"value": _examples[name]} for name in either if name in _examples}
        name = (schema.get("$ref") or items.get("$ref") or "").removeprefix(REFERENCE)
        if name in _examples and "examples" not in media:
            shown = {"results": [_examples[name]], "next": None} if items else _examples[name]
            media["examples"] = {name: {"value": shown}}
