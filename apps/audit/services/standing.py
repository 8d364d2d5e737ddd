"""
One round of sealing: seals every log, takes its checkpoints out of the house, and notes how both went, so
that pages and alarms tell what a task's error would tell nobody. One log's trouble stops no other log.
"""

from pathlib import Path
from typing import Any

import structlog

from apps.audit.adapters import outside
from apps.audit.domain.entries import SealedLog
from apps.audit.models import SealStatus
from apps.audit.selectors import logs
from apps.audit.services import exporting, sealing
from rtx.kernel import clock

PROBLEM_MAX = 400

log = structlog.get_logger(__name__)


class RoundFailed(Exception):
    """Some log was not sealed, or not given out: its status says why."""


def carry_out() -> None:
    """
    Seal and give out, and note how it went.

    :raises RoundFailed: something went wrong; everything that could be done was.
    """
    folder = exporting.folder()
    failed = [name for name, found in logs.sealed_logs().items() if not _is_well(found, folder)]
    if failed:
        raise RoundFailed(f"not sealed or not given out: {', '.join(failed)}")


def _is_well(sealed_log: SealedLog, folder: Path | None) -> bool:
    problem = outside_problem = ""
    seen: dict[str, Any] = {}
    try:
        sealing.seal(sealed_log)
    except Exception as error:
        log.exception("log_not_sealed", log_name=sealed_log.name)
        problem = _said(error)
    if folder is not None:
        try:
            exporting.export_log(folder, sealed_log.name)
            seen = _seen(folder, sealed_log.name)
        except Exception as error:
            log.exception("checkpoints_not_given_out", log_name=sealed_log.name)
            outside_problem = _said(error)
    SealStatus.objects.update_or_create(
        log=sealed_log.name,
        defaults={"at": clock.now(), "problem": problem, "outside_problem": outside_problem, **seen},
    )
    return not problem and not outside_problem


def _seen(folder: Path, name: str) -> dict[str, Any]:
    body = outside.head(folder, name)
    return {
        "outside_number": body.number if body else 0,
        "outside_root": body.root.hex() if body else "",
        "outside_at": clock.now(),
    }


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:PROBLEM_MAX]
