"""`manage.py audit_export`: write the checkpoints that are not outside yet."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.audit.adapters.outside import AlreadyDifferent
from apps.audit.selectors import logs
from apps.audit.services import exporting


class Command(BaseCommand):
    """Files that are there are never written again; one that differs is an error."""

    help = "Write checkpoints of the sealed logs to storage outside the database, one file each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take where to, from which checkpoint on, and whether to write at all."""
        parser.add_argument("--out", metavar="DIR", help="target folder (default: RTX_AUDIT_EXPORT_DIR)")
        parser.add_argument("--since", type=int, default=1, metavar="NUMBER", help="first checkpoint")
        parser.add_argument("--log", choices=sorted(logs.sealed_logs()), help="only this log")
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be written")

    def handle(self, *args: Any, **options: Any) -> None:
        """Export each log with a progress bar over its checkpoints."""
        target = Path(options["out"]) if options["out"] else exporting.folder()
        if target is None:
            raise CommandError("Say where to: --out DIR, or set RTX_AUDIT_EXPORT_DIR.")
        for log in logs.sealed_logs():
            if options["log"] not in (None, log):
                continue
            numbers = exporting.missing(target, log, since=options["since"])
            if options["dry_run"]:
                self.stdout.write(f"{log}: {len(numbers)} checkpoints would be written to {target}.")
                continue
            bar = tqdm(total=len(numbers), unit=" checkpoints", disable=options["verbosity"] == 0)
            try:
                with bar:
                    for _ in exporting.export(target, log, numbers=numbers):
                        bar.update()
            except (AlreadyDifferent, OSError) as error:
                raise CommandError(f"{log}: {error}") from error
            self.stdout.write(f"{log}: {len(numbers)} checkpoints written to {target}.")
