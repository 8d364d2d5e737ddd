"""
Runs verifications of all logs and keeps what they found, for the integrity page and the admin interface.

One runs at a time. Progress is written as it goes, so `run` must not be called inside a transaction.
"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction

from apps.audit.adapters.outside import Witnesses
from apps.audit.models import IntegrityCheck
from apps.audit.selectors import checkpoints, logs
from apps.audit.services import exporting, verifying
from rtx.kernel import clock

STALE = timedelta(minutes=15)  # what runs for longer has died
DETAIL_MAX = 400
RUNNING = IntegrityCheck.Status.RUNNING

log = structlog.get_logger(__name__)


def ask(*, asked_by: str) -> tuple[IntegrityCheck, bool]:
    """Return the check that runs, or a new one for `run`; and whether it is new."""
    now = clock.now()
    with transaction.atomic():
        checkpoints.lock_checks()
        running = IntegrityCheck.objects.filter(status=RUNNING, started_at__gt=now - STALE).first()
        if running is not None:
            return running, False
        IntegrityCheck.objects.filter(status=RUNNING).update(
            status=IntegrityCheck.Status.FAILED, finished_at=now, detail="It stopped on the way."
        )
        total = sum(head.tree_size for head in checkpoints.heads())
        return IntegrityCheck.objects.create(started_at=now, asked_by=asked_by, total=total), True


def run(check_id: int) -> IntegrityCheck:
    """Verify all logs, with the checkpoints outside if there are any, and keep the result. Raises nothing."""
    check = IntegrityCheck.objects.get(pk=check_id)
    try:
        found = _verify_all(check)
    except Exception as error:
        log.exception("integrity_check_failed", check=check.pk)
        detail = f"{type(error).__name__}: {error}"[:DETAIL_MAX]
        return _finish(check, IntegrityCheck.Status.FAILED, detail=detail)
    findings = [asdict(one.finding) for one in found if one.finding is not None]
    for finding in findings:
        log.error("log_tampered_with", **{**finding, "log_name": finding["log"]})
    told = [{key: value for key, value in asdict(one).items() if key != "finding"} for one in found]
    status = IntegrityCheck.Status.TAMPERED if findings else IntegrityCheck.Status.INTACT
    return _finish(check, status, logs=told, findings=findings)


def _verify_all(check: IntegrityCheck) -> list[verifying.Verified]:
    folder = exporting.folder()
    witnesses = Witnesses.found(folder) if folder is not None and folder.is_dir() else Witnesses()
    found: list[verifying.Verified] = []
    before = 0

    def progress(done: int) -> None:
        IntegrityCheck.objects.filter(pk=check.pk).update(done=before + done)

    for sealed_log in logs.sealed_logs().values():
        verified = verifying.verify(sealed_log, witnesses=witnesses, progress=progress)
        found.append(verified)
        before += verified.entries
    return found


def _finish(check: IntegrityCheck, status: IntegrityCheck.Status, **values: Any) -> IntegrityCheck:
    check.refresh_from_db()
    check.status, check.finished_at = status, clock.now()
    for name, value in values.items():
        setattr(check, name, value)
    if status != IntegrityCheck.Status.FAILED:
        check.done = sum(one["entries"] for one in check.logs)
    check.save()
    return check
