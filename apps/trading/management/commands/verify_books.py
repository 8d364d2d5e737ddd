"""`manage.py verify_books`: derive every balance, margin and position again from the journal."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.trading.domain.holdings import Divergence
from apps.trading.selectors import verification


class Command(BaseCommand):
    """Exits non-zero and names the first difference."""

    help = "Derive every balance, margin and position again from the journal and compare."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take an optional login."""
        parser.add_argument("--account", type=int, help="login of the only account to verify")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify in one snapshot, with a progress bar over the events."""
        started = time.perf_counter()
        done = 0
        try:
            with verification.snapshot() as cursor:
                ids = verification.account_ids(cursor, login=options["account"])
                if options["account"] and not ids:
                    raise CommandError(f"There is no account {options['account']}.")
                total = None if options["account"] else verification.event_count(cursor)
                with tqdm(total=total, unit=" events", disable=options["verbosity"] == 0) as bar:
                    for start in range(0, len(ids), verification.CHUNK_ACCOUNTS):
                        replayed = verification.verify(
                            cursor, ids[start : start + verification.CHUNK_ACCOUNTS]
                        )
                        done += replayed
                        bar.update(replayed)
        except Divergence as difference:
            raise CommandError(f"The books differ: {difference}") from difference
        took = time.perf_counter() - started
        self.stdout.write(
            f"The books agree: {len(ids)} accounts, {done} events in {took:.1f} s "
            f"({done / took if took else 0:,.0f} events/s)."
        )
