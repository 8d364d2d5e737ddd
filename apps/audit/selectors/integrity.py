"""
How the sealed logs stand: their heads, what is outside, the newest check, and what is alarming about them, as
pages, interface and alarms show it. Reads only.
"""

from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from apps.audit.models import IntegrityCheck, SealStatus
from apps.audit.selectors import checkpoints
from rtx.kernel import clock

SLOW_S = 60.0  # sealing runs every few seconds; what waits for longer is worth a look


def state() -> dict[str, Any]:
    """Return the head of every log and the newest check; None: none was made yet."""
    seen = {row.log: row for row in SealStatus.objects.all()}
    heads = [
        {**asdict(head), "is_slow": head.lag_s > SLOW_S, **_status(seen.get(head.log))}
        for head in checkpoints.heads()
    ]
    last = IntegrityCheck.objects.order_by("-id").first()
    return {"heads": heads, "check": None if last is None else check(last)}


def last_result() -> tuple[str, float | None]:
    """Return what the newest check that ended came to, and how many seconds ago; none yet: nothing."""
    last = IntegrityCheck.objects.exclude(status=IntegrityCheck.Status.RUNNING).order_by("-id").first()
    if last is None or last.finished_at is None:
        return "", None
    return last.status, (clock.now() - last.finished_at).total_seconds()


def health() -> dict[str, Any]:
    """Return how the seals stand in a line: longest wait, whether one is slow or fails, the last check."""
    heads = checkpoints.heads()
    lag_s = max((head.lag_s for head in heads), default=0.0)
    status, age_s = last_result()
    return {
        "lag_s": round(lag_s, 1),
        "is_slow": bool(_seal_problems(heads)),
        "waiting": sum(head.unsealed for head in heads),
        "check": status,
        "check_age_s": None if age_s is None else round(age_s),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a person must look at. `subject` tells it from the others."""

    subject: str
    is_critical: bool
    message: str


def subjects() -> list[str]:
    """Return what there may be a problem about."""
    names = [head.log for head in checkpoints.heads()]
    return ["check", *(f"{name}:{part}" for name in names for part in ("seal", "outside"))]


def problems() -> list[Problem]:
    """Return what is alarming: a seal that is broken, late or not given out, a check that failed."""
    last = _check_problem()
    return [*([last] if last else []), *_seal_problems(checkpoints.heads())]


def _seal_problems(heads: list[checkpoints.Head]) -> list[Problem]:
    seen = {row.log: row for row in SealStatus.objects.all()}
    found = [
        *(_seal_problem(head, seen.get(head.log)) for head in heads),
        *map(_outside_problem, seen.values()),
    ]
    return [one for one in found if one is not None]


def _check_problem() -> Problem | None:
    status = IntegrityCheck.Status
    last = IntegrityCheck.objects.exclude(status=status.RUNNING).order_by("-id").first()
    if last is None or last.status == status.INTACT:
        return None
    if last.status == status.FAILED:
        return Problem(
            subject="check", is_critical=False, message=f"The logs could not be verified: {last.detail}"
        )
    what = "; ".join(f"{one['log']} entry {one['id']} was {one['what']}" for one in last.findings)
    return Problem(subject="check", is_critical=True, message=f"The logs were tampered with: {what}.")


def _seal_problem(head: checkpoints.Head, row: SealStatus | None) -> Problem | None:
    message = ""
    silent_s = (clock.now() - row.at).total_seconds() if row else 0.0
    if row is not None and row.problem:
        message = f"{head.log} cannot be sealed: {row.problem}"
    elif silent_s > SLOW_S:
        message = f"Nobody has sealed {head.log} for {silent_s:.0f} s."
    elif head.lag_s > SLOW_S:
        message = f"Entries of {head.log} wait for {head.lag_s:.0f} s to be sealed."
    return Problem(subject=f"{head.log}:seal", is_critical=True, message=message) if message else None


def _outside_problem(row: SealStatus) -> Problem | None:
    if not row.outside_problem:
        return None
    message = f"Checkpoints of {row.log} are not given out: {row.outside_problem}"
    return Problem(subject=f"{row.log}:outside", is_critical=True, message=message)


def _status(row: SealStatus | None) -> dict[str, Any]:
    """Return what the last sealing noted of a log; without outside storage there is no number."""
    is_told = row is not None and bool(settings.AUDIT_EXPORT_DIR)
    return {
        "tried_at": clock.rfc3339(row.at) if row else "",
        "problem": row.problem if row else "",
        "outside_number": row.outside_number if row is not None and is_told else None,
        "outside_root": row.outside_root if row is not None and is_told else "",
        "outside_problem": row.outside_problem if row else "",
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
