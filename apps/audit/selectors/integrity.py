"""How the sealed logs stand: their heads and the newest check, as pages and interface show it. Reads only."""

from dataclasses import asdict
from typing import Any

from apps.audit.models import IntegrityCheck
from apps.audit.selectors import checkpoints
from rtx.kernel import clock

SLOW_S = 60.0  # sealing runs every few seconds; what waits for longer is worth a look


def state() -> dict[str, Any]:
    """Return the head of every log and the newest check; None: none was made yet."""
    heads = [{**asdict(head), "is_slow": head.lag_s > SLOW_S} for head in checkpoints.heads()]
    last = IntegrityCheck.objects.order_by("-id").first()
    return {"heads": heads, "check": None if last is None else check(last)}


def check(row: IntegrityCheck) -> dict[str, Any]:
    """Return a check as it is answered."""
    return {
        "id": row.pk,
        "status": row.status,
        "started_at": clock.rfc3339(row.started_at),
        "finished_at": None if row.finished_at is None else clock.rfc3339(row.finished_at),
        "asked_by": row.asked_by,
        "done": row.done,
        "total": row.total,
        "logs": row.logs,
        "findings": row.findings,
        "detail": row.detail,
    }
