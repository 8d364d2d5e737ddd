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


def last_result() -> tuple[str, float | None]:
    """Return what the newest check that ended came to, and how many seconds ago; none yet: nothing."""
    last = IntegrityCheck.objects.exclude(status=IntegrityCheck.Status.RUNNING).order_by("-id").first()
    if last is None or last.finished_at is None:
        return "", None
    return last.status, (clock.now() - last.finished_at).total_seconds()


def health() -> dict[str, Any]:
    """Return how the seals stand in one line: the longest wait, whether it is too long, the last result."""
    heads = checkpoints.heads()
    lag_s = max((head.lag_s for head in heads), default=0.0)
    status, age_s = last_result()
    return {
        "lag_s": round(lag_s, 1),
        "is_slow": lag_s > SLOW_S,
        "waiting": sum(head.unsealed for head in heads),
        "check": status,
        "check_age_s": None if age_s is None else round(age_s),
    }


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
