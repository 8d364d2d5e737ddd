"""
OpenAPI pieces of the REST interfaces, made from the input and output structs. Describes, never converts.
"""

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiResponse

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable."},
        "detail": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": True},
    },
}
MEANINGS = {
    400: "Malformed input",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Unknown, or not the caller's",
    409: "The id already names something else",
    429: "Too many requests",
    503: "busy, unavailable or outcome_unknown: repeat with the same id",
}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Replace references by what they refer to: the description stands alone."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    return schema


def of(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of a struct."""
    (schema,), definitions = msgspec.json.schema_components([kind], ref_template="#/{name}")
    found: dict[str, Any] = _inlined(schema, definitions)
    return found


def body(kind: Any) -> dict[str, Any]:
    """Return a request body."""
    return {"application/json": of(kind)}


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


def responses(status: int, schema: dict[str, Any] | None, *errors: int) -> dict[Any, Any]:
    """Return the answers of an operation: one success and the errors it documents (401 and 429 always)."""
    return {
        status: OpenApiResponse(schema),
        **{
            (code, "application/problem+json"): OpenApiResponse(PROBLEM, description=MEANINGS[code])
            for code in sorted({401, 429, *errors})
        },
    }
