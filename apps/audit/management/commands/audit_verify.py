"""`manage.py audit_verify`: prove that the sealed logs are what was sealed."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.audit.adapters.outside import Witnesses
from apps.audit.domain.checkpoints import Malformed
from apps.audit.selectors import checkpoints, logs
from apps.audit.services import exporting
from apps.audit.services.verifying import verify


class Command(BaseCommand):
    """Exits with 1 and names the first tampered entry; with 2 when it could not verify."""

    help = "Verify the sealed logs: every entry, every checkpoint, and checkpoints outside the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what to verify, and against what."""
        parser.add_argument(
            "--checkpoint",
            metavar="FILE|DIR",
            help="checkpoints that left the house (default: RTX_AUDIT_EXPORT_DIR, if it is there)",
        )
        parser.add_argument("--dry-run", action="store_true", help="changes nothing: this command only reads")
        parser.add_argument("--log", choices=sorted(logs.sealed_logs()), help="only this log")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify each log with a progress bar over its entries."""
        if options["dry_run"]:
            self.stdout.write("Verifying only reads: a dry run is the same.")
        witnesses = _witnesses(options["checkpoint"])
        findings = []
        for head in checkpoints.heads():
            if options["log"] not in (None, head.log):
                continue
            started = time.perf_counter()
            with tqdm(total=head.tree_size, unit=" entries", disable=options["verbosity"] == 0) as bar:
                try:
                    found = verify(
                        logs.sealed_logs()[head.log],
                        witnesses=witnesses,
                        progress=lambda done, bar=bar: bar.update(done - bar.n),  # type: ignore[misc]
                    )
                except Malformed as error:
                    raise CommandError(f"Could not verify: {error}.", returncode=2) from error
            took = time.perf_counter() - started
            if found.finding is not None:
                findings.append(found.finding)
                self.stderr.write(f"TAMPERED: {found.finding.sentence()}")
                continue
            waiting = f", {head.unsealed} not sealed yet" if head.unsealed else ""
            self.stdout.write(
                f"{found.log} is intact: {found.entries} entries, {found.checkpoints} checkpoints, "
                f"{found.outside} of them proved from outside{waiting}, root {found.root} in {took:.1f} s."
            )
        if findings:
            raise CommandError(f"{len(findings)} log(s) are not what was sealed.", returncode=1)


def _witnesses(given: str | None) -> Witnesses:
    folder = exporting.folder() if given is None else Path(given)
    if folder is None or (given is None and not folder.is_dir()):
        return Witnesses()
    try:
        return Witnesses.found(folder)
    except (FileNotFoundError, Malformed) as error:
        raise CommandError(f"Could not verify: {error}.", returncode=2) from error
