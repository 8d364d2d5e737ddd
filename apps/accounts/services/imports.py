"""
Opening clients and accounts from a file: check every row first, then take row by row, keep what failed.

Rows are taken in portions: one transaction opens what it can (a row that fails leaves nothing behind), notes
how far the run is and what failed. A run that was interrupted goes on where it stood; two workers never take
the same row.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import structlog
from django.db import InterfaceError, InternalError, OperationalError, transaction

from apps.accounts.adapters import sheets
from apps.accounts.adapters.sheets import SheetInvalid
from apps.accounts.domain.imports import COLUMNS, ImportRow, RowInvalid
from apps.accounts.models import Client, ImportFailure, ImportRun, TradingAccount, User
from apps.accounts.selectors.clients import clients_within
from apps.accounts.services import clients, trading_accounts
from apps.accounts.services.clients import PersonalData
from apps.audit.services import actions
from apps.groups.models import TradingGroup
from rtx.kernel import clock, encryption
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.admin import reachable_groups
from rtx.kernel.errors import Conflict, RtxError

PORTION = 100
UNEXPECTED = "cannot be taken; the log of the workers tells more"
ERROR_COLUMN = "error"
Reach = frozenset[int] | None
Progress = Callable[[int, int], object]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that cannot be taken, with the reason."""

    row: ImportRow
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file holds, and what is wrong with it."""

    rows: list[ImportRow]
    failures: list[Failure]


def read(content: bytes) -> list[ImportRow]:
    """
    Return the rows of a CSV or XLSX file.

    :raises SheetInvalid: it cannot be read, or names a column that is none of `COLUMNS`.
    """
    header, lines = sheets.read(content)
    names = [text.strip().lower().replace(" ", "_") for text in header]
    names = names[:-1] if names[-1] == ERROR_COLUMN else names
    unknown = [name or "(empty)" for name in names if name not in COLUMNS]
    if unknown or len(set(names)) != len(names) or "group" not in names:
        said = (
            f"Unknown columns: {', '.join(unknown)[:200]}."
            if unknown
            else "A column is missing or named twice."
        )
        raise SheetInvalid(f"{said} There are: {', '.join(COLUMNS)}; group is needed.", code="sheet_columns")
    return [
        ImportRow(number, dict(zip(names, line, strict=False))) for number, line in enumerate(lines, start=2)
    ]


def check(content: bytes, *, reach: Reach) -> Checked:
    """
    Say what a file would open, without opening anything.

    :raises SheetInvalid: it cannot be read.
    """
    rows = read(content)
    groups = _groups(reach)
    today = clock.now().date()
    taken = _taken({row.email for row in rows if row.email})
    failures: list[Failure] = []
    for row in rows:
        try:
            _problem(row, groups, today)
            if row.email in taken:
                raise RowInvalid("email: is taken, or stands in an earlier row")
        except RowInvalid as error:
            failures.append(Failure(row, str(error)))
        if row.email:
            taken.add(row.email)
    return Checked(rows, failures)


def _taken(emails: set[str]) -> set[str]:
    found: set[str] = set()
    wanted = sorted(emails)
    for start in range(0, len(wanted), 5000):
        known = User.objects.filter(email__in=wanted[start : start + 5000])
        found.update(known.values_list("email", flat=True))
    return found


def _groups(reach: Reach) -> dict[str, TradingGroup]:
    rows = TradingGroup.objects.filter(is_active=True)
    return {row.name: row for row in (rows if reach is None else rows.filter(pk__in=reach))}


def _problem(row: ImportRow, groups: dict[str, TradingGroup], today: date) -> TradingGroup:
    row.check(today=today)
    group = groups.get(row.text("group"))
    if group is None:
        raise RowInvalid("group: there is no such active group within reach")
    if row.leverage is not None and not 1 <= row.leverage <= group.leverage_max:
        raise RowInvalid(f"leverage: lies between 1 and {group.leverage_max}")
    return group


def prepare(content: bytes, *, actor: Actor, reach: Reach) -> tuple[ImportRun, Checked]:
    """
    Keep a file for a run after it was checked; nothing is opened before `start`.

    :raises SheetInvalid: it cannot be read.
    """
    checked = check(content, reach=reach)
    with transaction.atomic():
        run = ImportRun.objects.create(
            started_by_id=actor.user_id, rows=len(checked.rows), created_at=clock.now(), reason=actor.reason
        )
        run.seal(content)
        run.save(update_fields=["file_sealed"])
        _keep(run, checked.failures)
    return run, checked


def start(*, run_id: int) -> ImportRun:
    """
    Let a checked run begin.

    :raises Conflict: it has begun, or was canceled.
    """
    return _step(run_id, ImportRun.Status.QUEUED)


def cancel(*, run_id: int) -> ImportRun:
    """
    Give a checked run up; its file is dropped.

    :raises Conflict: it has begun.
    """
    return _step(run_id, ImportRun.Status.CANCELED)


def _step(run_id: int, status: str) -> ImportRun:
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().get(pk=run_id)
        if run.status != ImportRun.Status.CHECKED:
            raise Conflict("This import has begun or was given up.", code="import_begun")
        run.status = status
        run.failures.all().delete()
        if status == ImportRun.Status.CANCELED:
            run.file_sealed = b""
            run.finished_at = clock.now()
        run.save()
        return run


def carry_out(
    *,
    run_id: int,
    for_s: float | None = None,
    waits: bool = True,
    progress: Progress = lambda done, failed: None,
) -> None:
    """
    Take the rows of a run that has begun: up to its end, or at least a portion and as many as fit into
    `for_s` seconds. Safe to call twice and in two places; without `waits`, one that somebody else is at is
    left to them.
    """
    rows: list[ImportRow] | None = None
    until = None if for_s is None else time.monotonic() + for_s
    while True:
        with transaction.atomic():
            run = ImportRun.objects.select_for_update(skip_locked=not waits).filter(pk=run_id).first()
            if run is None or run.status not in (ImportRun.Status.QUEUED, ImportRun.Status.RUNNING):
                return
            rows = rows if rows is not None else read(run.unseal())
            _take(run, rows[run.next_row : run.next_row + PORTION])
            run.status = ImportRun.Status.RUNNING
            if run.next_row >= len(rows):
                run.status, run.file_sealed = ImportRun.Status.DONE, b""
                run.finished_at = clock.now()
            run.save()
        progress(run.next_row, run.failed)
        if until is not None and time.monotonic() >= until:
            return


def _take(run: ImportRun, portion: list[ImportRow]) -> None:
    user = User.objects.filter(pk=run.started_by_id, is_active=True).first() if run.started_by_id else None
    is_allowed = run.started_by_id is None or user is not None
    groups = _groups(reachable_groups(user) if user is not None else None) if is_allowed else {}
    actor = (
        Actor.system("import_accounts")
        if user is None
        else Actor(kind=ActorKind.STAFF, name=f"user:{user.pk}", reason=run.reason)
    )
    today, failures = clock.now().date(), []
    for row in portion:
        try:
            with transaction.atomic():
                _open(run, row, _problem(row, groups, today), actor)
        except (RowInvalid, RtxError) as error:
            failures.append(Failure(row, getattr(error, "detail", str(error))))
        except (OperationalError, InterfaceError, InternalError):
            raise  # the database, not the row: the whole portion is taken again
        except Exception as error:  # noqa: BLE001 - its text may name somebody
            log.error("import_row_failed", run=run.pk, row=row.number, error=type(error).__name__)
            failures.append(Failure(row, UNEXPECTED))
    run.next_row += len(portion)
    run.failed += len(failures)
    run.opened += len(portion) - len(failures)
    _keep(run, failures)


def _keep(run: ImportRun, failures: list[Failure]) -> None:
    ring, rows = encryption.master_keys(), []
    for failure in failures:
        kept = ImportFailure(run=run, row=failure.row.number, reason=failure.reason[:300])
        kept.cells_sealed = ring.seal(json.dumps(failure.row.cells).encode(), associated=kept.place())
        rows.append(kept)
    ImportFailure.objects.bulk_create(rows, batch_size=1000)


def _open(run: ImportRun, row: ImportRow, group: TradingGroup, actor: Actor) -> TradingAccount:
    if row.client_number is None:
        person = PersonalData(
            **{
                name: row.text(name)
                for name in ("first_name", "last_name", "phone", "address", "document_number")
            },
            birth_date=row.birth_date,
        )
        client = clients.register(
            email=row.email, password=None, person=person, country=row.country, opened_by=actor.user_id
        )
    else:
        found = Client.objects.filter(number=row.client_number, data_key__isnull=False).first()
        if found is None or not _reaches(found, actor):
            raise RowInvalid("client_number: there is no such client within reach")
        client = found
    account = trading_accounts.open_account(client=client, group=group, actor=actor, leverage=row.leverage)
    actions.record(
        actor=actor,
        operation="accounts.import_account",
        target=account,
        after={"group": group.name, "leverage": account.leverage, "client": client.number, "import": run.pk},
    )
    return account


def _reaches(client: Client, actor: Actor) -> bool:
    """Tell whether who imports reaches a client as on the pages: by an account, or having opened it."""
    if actor.user_id is None:
        return True
    reach = reachable_groups(User.objects.get(pk=actor.user_id))
    return clients_within(reach, user_id=actor.user_id).filter(pk=client.pk).exists()


def error_file(run: ImportRun) -> bytes:
    """Return the failing rows as CSV, each with its reason: it can be mended and sent again."""
    ring = encryption.master_keys()
    lines = (
        [*(cells.get(name, "") for name in COLUMNS), failure.reason]
        for failure in run.failures.order_by("row").iterator(chunk_size=1000)
        for cells in [json.loads(ring.open(bytes(failure.cells_sealed), associated=failure.place()))]
    )
    return sheets.written([*COLUMNS, ERROR_COLUMN], lines, form="csv")
