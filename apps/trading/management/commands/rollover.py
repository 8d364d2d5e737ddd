"""`manage.py rollover`: charge the swaps of trading days that have ended. A second run charges nothing."""

import sys
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from apps.groups.models import TradingGroup
from apps.trading.models import RolloverDay
from apps.trading.services import rollover
from apps.trading.services.rollover import Rolled
from rtx.kernel import clock
from rtx.kernel.money import text


class Command(BaseCommand):
    """Fails when accounts had to be left pending, and says what they wait for."""

    help = "Charge swaps and admin fees of every trading day that has ended and is not finished."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a date and a group to limit the work to, and whether to book."""
        parser.add_argument("--date", type=date.fromisoformat, help="only this trading day, finished or not")
        parser.add_argument("--group", help="only this group, by name")
        parser.add_argument("--dry-run", action="store_true", help="compute and print, book nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Roll one day of one group after another, with a progress bar over its accounts."""
        days = self._days(options["date"], options["group"])
        if not days:
            self.stdout.write("Every trading day that has ended is finished.")
        pending = []
        for day in days:
            done = self._roll(day, dry_run=options["dry_run"], quiet=options["verbosity"] == 0)
            self.stdout.write(_line(done))
            if done.pending:
                pending.append(f"{day}: {done.pending} accounts wait, first {done.reason}")
        if options["dry_run"]:
            self.stdout.write("Nothing was booked (--dry-run).")
        if pending:
            raise CommandError("\n".join(pending))

    def _days(self, wanted: date | None, group: str | None) -> list[RolloverDay]:
        if group is not None and not TradingGroup.objects.filter(name=group).exists():
            raise CommandError(f"There is no group {group!r}.")
        days = rollover.open_days(now=clock.now())
        if wanted is not None:
            days = list(
                RolloverDay.objects.filter(date=wanted, rolled_at__lte=rollover.last_settled(clock.now()))
                .select_related("group")
                .order_by("rolled_at", "group_id")
            )
            if not days:
                raise CommandError(f"No group's trading day {wanted} has ended.")
        return [day for day in days if group is None or day.group.name == group]

    def _roll(self, day: RolloverDay, *, dry_run: bool, quiet: bool) -> Rolled:
        with tqdm(unit=" accounts", desc=str(day), file=sys.stderr, disable=quiet, mininterval=0.5) as bar:
            charged = 0

            def show(accounts: int, charges: int) -> None:
                nonlocal charged
                charged += charges
                bar.set_postfix(charges=charged, refresh=False)
                bar.update(accounts)

            return rollover.roll(day, progress=show, expected=lambda total: bar.reset(total), dry_run=dry_run)


def _line(done: Rolled) -> str:
    totals = ", ".join(f"{text(amount)} {currency}" for currency, amount in sorted(done.totals.items()))
    return (
        f"{done.day} (rolled at {clock.rfc3339(done.day.rolled_at)}): {done.accounts} accounts, "
        f"{done.charges} charges{f', {totals}' if totals else ''}"
    )
