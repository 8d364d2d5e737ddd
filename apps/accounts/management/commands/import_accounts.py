"""`manage.py import_accounts FILE`: open clients and accounts from a CSV or XLSX file, with progress."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import User
from apps.accounts.services import imports
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.admin import reachable_groups
from rtx.kernel.errors import RtxError


class Command(BaseCommand):
    """Takes the same way as the page of imports: check first, then row by row, failing rows into a file."""

    help = "Open clients and accounts from a CSV or XLSX file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file, and where failing rows go."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="Check the file, open nothing.")
        parser.add_argument(
            "--errors", type=Path, help="Where failing rows go; FILE.errors.csv if not given."
        )
        parser.add_argument("--by", metavar="EMAIL", help="Staff in whose name and reach it is done.")
        parser.add_argument("--reason", default="import_accounts", help="Why, for the staff log.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, then open; say how far it is."""
        actor, reach = self._actor(options["by"], options["reason"])
        try:
            content = options["file"].read_bytes()
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}.") from None
        try:
            if options["dry_run"]:
                checked = imports.check(content, reach=reach)
                for failure in checked.failures:
                    self.stdout.write(f"row {failure.row.number}: {failure.reason}")
                ready = len(checked.rows) - len(checked.failures)
                self.stdout.write(f"{ready} of {len(checked.rows)} rows are ready. Nothing was opened.")
                return
            run, checked = imports.prepare(content, actor=actor, reach=reach)
            imports.start(run_id=run.pk)
        except RtxError as error:
            raise CommandError(error.detail) from None
        total = len(checked.rows)
        imports.carry_out(
            run_id=run.pk,
            progress=lambda taken, failed: self.stdout.write(f"{taken} of {total} rows, {failed} failing"),
        )
        run.refresh_from_db()
        self.stdout.write(f"Import {run.pk}: {run.opened} accounts opened, {run.failed} rows failing.")
        if run.failed:
            place = options["errors"] or options["file"].with_name(f"{options['file'].name}.errors.csv")
            place.touch(mode=0o600)
            place.write_bytes(imports.error_file(run))
            self.stdout.write(f"Failing rows: {place}")

    @staticmethod
    def _actor(email: str | None, reason: str) -> tuple[Actor, frozenset[int] | None]:
        if email is None:
            return Actor(kind=ActorKind.SYSTEM, name="import_accounts", reason=reason), None
        user = User.objects.filter(email=email.lower(), is_staff=True, is_active=True).first()
        if user is None or not user.has_perm("accounts.run_importrun"):
            raise CommandError("There are no such active staff with the right to import.")
        return Actor(kind=ActorKind.STAFF, name=f"user:{user.pk}", reason=reason), reachable_groups(user)
