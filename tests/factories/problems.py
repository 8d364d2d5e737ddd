"""What refused requests must look like, and tables of requests made one after another."""

import json
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from rtx.kernel.rest import UserThrottle
from tests.factories.rows import Holder


def order_body(holder: Holder, **changes: Any) -> dict[str, Any]:
    """Return the body of a market order."""
    return {
        "account": holder.login,
        "symbol": "EURUSD",
        "side": "buy",
        "volume": "0.10",
        "client_order_id": "bad-input",
        **changes,
    }


def is_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Check the whole form of a problem answer and return it."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    found = json.loads(response.content)
    assert {"type", "title", "status", "code", "detail"} <= set(found)
    assert (found["code"], found["status"]) == (code, status)
    assert found["type"] == f"urn:rtx:problem:{code}"
    assert found["title"]
    assert response["X-Request-ID"]
    return found


def answers_of(cases: Iterable[Hashable], call: Callable[[Any], Any]) -> dict[Any, tuple[int, str]]:
    """Make one call per case; return its status and code, after checking the form of a problem answer."""
    found = {}
    for case in cases:
        UserThrottle._bucket._levels.clear()
        response = call(case)
        body = json.loads(response.content)
        status = response.status_code
        if status >= 400:
            is_problem(response, status, body["code"])
            assert len(response.content) < 2_000  # the input is not thrown back whole
        found[case] = (status, body.get("code") or body.get("reject_reason"))
    return found
