"""
Every operation that the API describes, called with made-up requests against a running broker: no fault of
ours, no undocumented answer, every answer as described.

Every other made-up request gets real ids, so that it comes further than "not found".
"""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks as openapi_checks

from rtx.local.home import REPOSITORY
from rtx.local.stack import Stack
from tests.conftest import STEADY_PRICES, TEST_FOLDER, copy_installation

pytestmark = pytest.mark.serial

EXAMPLES = 12
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.response_headers_conformance,
]
TAKES_ANY_BODY = "/api/webhooks/"  # bytes judged by their signature: none is of wrong form
ENDS_A_LOGIN = ("/api/auth/logout", "/api/auth/password")


@dataclass(frozen=True)
class Live:
    """A running broker: where it answers, as whom, and which ids are real."""

    url: str
    token: str
    other_token: str
    login: int
    order_id: int
    position_id: int
    opposite_id: int


@pytest.fixture(scope="module")
def traded(migrated_home: Path) -> Iterator[Callable[[], Live]]:
    """Return a function that trades anew: what one operation closed, the next one finds open."""
    home = copy_installation(migrated_home, TEST_FOLDER / f"schemathesis-{os.getpid()}")
    env = {
        "DJANGO_SETTINGS_MODULE": "rtx.settings.dev",
        **STEADY_PRICES,
        **{
            f"RTX_RATE_{kind}_{what}": "100000"
            for kind in ("API", "STATEMENTS", "LOGIN")
            for what in ("PER_S", "BURST")
        },
    }
    running = Stack(home=home, fast=True, temporary=True, env=env)
    try:
        running.open(migrate=False)
        made = subprocess.run(
            [sys.executable, "-m", "tests.integration.faults.broker", "2", "hedging"],
            env=running.env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        running.start("web", "engine")
        one, other = json.loads(made.stdout.splitlines()[-1])
        yield lambda: _traded(running.web_url, one, other)
    finally:
        running.close()


def _traded(url: str, one: dict[str, Any], other: dict[str, Any]) -> Live:
    """Leave an order and two opposite positions, so that there is something to read and to change."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {one['token']}"}) as http:

        def order(path: str, **more: Any) -> dict[str, Any]:
            body = {"account": one["login"], "symbol": "EURUSD", "volume": "0.10", **more}
            answer = http.post(f"/api/orders/{path}", json={"client_order_id": uuid4().hex, **body})
            assert answer.status_code == 201, answer.text
            found: dict[str, Any] = answer.json()
            return found

        waiting = order("pending", side="buy", type="limit", price="0.5")
        held = order("market", side="buy")
        opposite = order("market", side="sell")
    return Live(
        url=url,
        token=one["token"],
        other_token=other["token"],
        login=one["login"],
        order_id=waiting["id"],
        position_id=held["position_id"],
        opposite_id=opposite["position_id"],
    )


def _made_real(case: Any, live: Live) -> None:
    """Put real ids in place of made-up ones."""
    real = {
        "login": live.login,
        "account": live.login,
        "order_id": live.order_id,
        "position_id": live.position_id,
        "opposite_id": live.opposite_id,
        "symbol": "EURUSD",
    }
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            for name in real.keys() & part.keys():
                part[name] = real[name]


def _tried(operation: Any, live: Live, mode: GenerationMode) -> Counter[int]:
    """Call one operation with made-up requests, good or bad ones; return the answers by status."""
    token = live.other_token if operation.path in ENDS_A_LOGIN else live.token
    answers: Counter[int] = Counter()
    number = count()

    @given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def every_answer_is_as_described(case: Any) -> None:
        if mode is GenerationMode.POSITIVE and next(number) % 2:
            _made_real(case, live)
        headers = {"Authorization": f"Bearer {token}"}
        answer = case.call(base_url=live.url, headers=headers, timeout=30)
        answers[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS, headers=headers)

    every_answer_is_as_described()
    return answers


def test_every_operation_answers_as_described(traded: Callable[[], Live]) -> None:
    described = schemathesis.openapi.from_url(f"{traded().url}/api/schema?format=json")
    operations = [found.ok() for found in described.get_all_operations()]
    failures = {}
    answers: Counter[int] = Counter()
    by_operation: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for operation, mode in product(operations, (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)):
        if mode is GenerationMode.NEGATIVE and operation.path.startswith(TAKES_ANY_BODY):
            continue
        try:
            found = _tried(operation, traded(), mode)
            answers += found
            by_operation[operation.path] += found
        except FailureGroup as failure:
            told = "; ".join(f"{one.title}: {one.message}" for one in failure.exceptions)
            failures[f"{operation.label} ({mode.name})"] = told
        except Exception as failure:  # noqa: BLE001 - every operation is tried before the test says no
            failures[f"{operation.label} ({mode.name})"] = repr(failure)

    assert not failures, "\n\n".join(f"{name}: {told}" for name, told in failures.items())
    assert len(operations) >= 25
    assert {200, 201, 400, 401, 404} <= set(answers)
    assert {201, 400, 404} <= set(by_operation["/api/positions/close-by"])
