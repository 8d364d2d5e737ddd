"""`manage.py crm_sync`: start a run of the sync, or follow the one that runs, up to its end."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.crm.models import Connection, SyncRun
from apps.crm.selectors import status
from apps.crm.services import runs
from rtx.kernel.actor import Actor
from rtx.kernel.errors import RtxError

ACTOR = Actor.system("crm_sync")
LOOK_EVERY_S = 0.5


class Command(BaseCommand):
    """The workers do the work; this command asks for it and shows how far it is."""

    help = "Start a run of the CRM sync and show its progress; without --full what changed since the last."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take which connection and which run."""
        parser.add_argument("--provider", choices=Connection.Provider.values, help="needed where several are")
        parser.add_argument("--full", action="store_true", help="every client, both ways")
        parser.add_argument("--dry-run", action="store_true", help="count what would be done, write nothing")
        parser.add_argument("--no-wait", action="store_true", help="start it and leave")
        parser.add_argument(
            "--here", action="store_true", help="do the work in this process too, where no worker runs"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start, follow, and fail when the run fails."""
        row = self._connection(options["provider"])
        kind = SyncRun.Kind.FULL if options["full"] else SyncRun.Kind.INCREMENTAL
        kind = SyncRun.Kind.PREVIEW if options["dry_run"] else kind
        run = status.live_run(row)
        if run is None:
            try:
                run = runs.start(connection_id=row.pk, kind=kind, actor=ACTOR)
            except RtxError as error:
                raise CommandError(error.detail) from error
            self.stdout.write(f"run {run.pk} ({kind}) of {row} is queued")
        else:
            self.stdout.write(f"run {run.pk} ({run.kind}) of {row} is under way already")
        if options["no_wait"]:
            return
        self._follow(run, works=options["here"])

    def _connection(self, provider: str | None) -> Connection:
        rows = Connection.objects.filter(status=Connection.Status.ACTIVE)
        found = list(rows.filter(provider=provider) if provider else rows)
        if not found:
            raise CommandError("No CRM is connected. Connect one in the admin: CRM, Connections, Connect.")
        if len(found) > 1:
            named = ", ".join(one.provider for one in found)
            raise CommandError(f"Several CRMs are connected ({named}): choose one with --provider.")
        return found[0]

    def _follow(self, run: SyncRun, *, works: bool) -> None:
        with tqdm(total=run.total or None, unit=" customers", desc=run.kind) as bar:
            while run.status in SyncRun.LIVE:
                has_more = works and runs.carry_on(run_id=run.pk, for_s=LOOK_EVERY_S)
                if not has_more:
                    time.sleep(LOOK_EVERY_S)
                run.refresh_from_db()
                bar.total = run.total or None
                bar.set_postfix_str(run.phase or run.status)
                bar.update(max(0, run.done - bar.n))
        ended = run.get_status_display().lower()
        self.stdout.write(
            f"{ended}: {run.created} created, {run.updated} updated, {run.unchanged} unchanged, "
            f"{run.pulled} pulled, {run.conflicts} conflicts, {run.failed} failed, {run.calls} calls"
        )
        if run.status != SyncRun.Status.DONE:
            raise CommandError(f"The run {ended}. {run.error_code} {run.error}".strip())
