"""
Readiness and metrics. Liveness (`/health`) is answered before any of Django's work, see
rtx.kernel.middleware.
"""

import hmac
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


def _is_draining() -> bool:
    """Tell whether the drain file is there (a container's pre-stop hook makes it)."""
    return bool(settings.DRAIN_FILE) and Path(settings.DRAIN_FILE).exists()


@lru_cache(maxsize=1)
def _migrated() -> bool:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        raise LookupError(f"{len(pending)} migrations are pending")
    return True


def ready(request: HttpRequest) -> JsonResponse:
    """
    Answer 200 when this process can serve: its pool answers, migrations are applied, it is not draining.
    """
    problem = ""
    if _is_draining():
        problem = "draining"
    else:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            _migrated()
        except DatabaseError:
            problem = "database unavailable"
        except LookupError as pending:
            problem = str(pending)
    return JsonResponse(
        {"status": "ready"} if not problem else {"status": "not ready", "reason": problem},
        status=200 if not problem else 503,
    )


def metrics(request: HttpRequest) -> HttpResponse:
    """
    Return Prometheus metrics to whoever has the token; without a configured token there is no such page.
    """
    given = request.META.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    if not settings.METRICS_TOKEN or not hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode()):
        return HttpResponse(status=404)
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
