"""`manage.py sync_holidays`: imports holidays and early closes of the exchanges that sessions name."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.market.models import TradingSession
from apps.market.services import holidays
from apps.market.services.holidays import ExchangeUnknown, Synced
from rtx.kernel import clock


class Command(BaseCommand):
    """Fails when a session names an unknown exchange; the other sessions are synced all the same."""

    help = "Import closed days and early closes for every session that names an exchange."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take how far ahead to look, and whether to write."""
        parser.add_argument("--years", type=int, default=2, help="how many years ahead (default 2)")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sync one session after another and print a line for each."""
        if options["years"] < 1:
            raise CommandError("--years must be at least 1.")
        sessions = TradingSession.objects.exclude(exchange="").order_by("name")
        if not sessions:
            self.stdout.write("No session names an exchange.")
        problems = []
        for session in sessions:
            try:
                done = holidays.sync(
                    session,
                    today=clock.now().date(),
                    years=options["years"],
                    dry_run=options["dry_run"],
                )
            except ExchangeUnknown as error:
                problems.append(f"{session.name}: {error.detail}")
                continue
            self.stdout.write(_line(done))
            if done.runs_out:
                self.stdout.write(
                    self.style.WARNING(
                        f"{session.name}: the calendar of {done.exchange} ends on {done.known_until}; "
                        "later holidays have to be entered by hand."
                    )
                )
        if options["dry_run"]:
            self.stdout.write("Nothing was written (--dry-run).")
        if problems:
            raise CommandError("\n".join(problems))


def _line(done: Synced) -> str:
    return (
        f"{done.session} ({done.exchange}): {done.added} added, {done.changed} changed, "
        f"{done.removed} removed, {done.kept} entered by hand kept, known until {done.known_until}"
    )
