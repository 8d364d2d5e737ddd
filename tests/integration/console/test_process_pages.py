"""Readiness, metrics, the API's description, and who may see them."""

from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import Client

from apps.console.adapters import processes
from apps.console.api import health

pytestmark = pytest.mark.django_db


def test_ready_with_a_migrated_database(client: Client) -> None:
    response = client.get("/ready")

    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_not_ready_while_draining(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.DRAIN_FILE = str(tmp_path / "drain")
    assert client.get("/ready").status_code == 200
    (tmp_path / "drain").touch()

    response = client.get("/ready")

    assert (response.status_code, response.json()["reason"]) == (503, "draining")


def test_not_ready_with_a_migration_pending(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    health._migrated.cache_clear()
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda *_: [("accounts", "0099")])

    response = client.get("/ready")

    assert (response.status_code, response.json()["reason"]) == (503, "1 migrations are pending")


def test_asking_the_workers_leaves_no_connection_in_the_middle_of_a_read(redis_server: object) -> None:
    assert processes.ask() == processes.Processes(redis=True, workers=0, queued=0)

    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        assert "brpop" not in {one["cmd"] for one in client.client_list()}


def test_metrics_need_the_token(client: Client, settings: Any) -> None:
    assert client.get("/metrics").status_code == 404
    settings.METRICS_TOKEN = "scrape-me"

    assert client.get("/metrics", headers={"Authorization": "Bearer other"}).status_code == 404
    response = client.get("/metrics", headers={"Authorization": "Bearer scrape-me"})
    assert response.status_code == 200
    assert b"rtx_http_request_seconds_bucket" in response.content


def test_the_description_names_every_call_with_its_errors(client: Client) -> None:
    response = client.get("/api/schema", headers={"Accept": "application/json"})

    described = response.json()
    assert described["openapi"] == "3.1.0"
    login = described["paths"]["/api/auth/login"]["post"]
    assert set(login["responses"]) == {"200", "400", "401", "403", "413", "415", "429", "503"}
    assert "application/problem+json" in login["responses"]["401"]["content"]
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert "429" in operation["responses"], path


def test_the_description_can_be_browsed(client: Client) -> None:
    response = client.get("/api/docs")

    assert response.status_code == 200
    assert b"swagger-ui" in response.content
