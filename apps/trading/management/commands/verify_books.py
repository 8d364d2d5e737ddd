"""`manage.py verify_books`: derive every balance, margin and position again from the journal."""

import multiprocessing
import os
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from multiprocessing.pool import Pool
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from tqdm import tqdm

from apps.trading.domain.replaying import Divergence
from apps.trading.selectors import verification

WORKERS_MAX = 4
CHUNK_ACCOUNTS = 50
CHUNKS_PER_WORKER = 8  # so that busy accounts in one chunk do not leave the other workers idle


class Command(BaseCommand):
    """Exits non-zero and names the first difference."""

    help = "Derive every balance, margin and position again from the journal and compare."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take an optional login, and how many processes may share the work."""
        parser.add_argument("--account", type=int, help="login of the only account to verify")
        parser.add_argument("--workers", type=int, default=min(WORKERS_MAX, os.cpu_count() or 1))

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify one instant, with a progress bar over the events."""
        login = options["account"]
        quiet = options["verbosity"] == 0
        started = time.perf_counter()
        workers = 1 if login else max(1, options["workers"])
        connections.close_all()  # nothing that is open may be inherited
        try:
            if workers == 1:
                accounts, events = self._verify(None, workers, login=login, quiet=quiet)
            else:
                with multiprocessing.get_context("fork").Pool(workers) as pool:
                    accounts, events = self._verify(pool, workers, login=login, quiet=quiet)
        except Divergence as difference:
            raise CommandError(f"The books differ: {difference}") from difference
        took = time.perf_counter() - started
        self.stdout.write(
            f"The books agree: {accounts} accounts, {events} events in {took:.1f} s "
            f"({events / took:,.0f} events/s)."
        )

    def _verify(self, pool: Pool | None, workers: int, *, login: int | None, quiet: bool) -> tuple[int, int]:
        """Return how many accounts and events agree; without a pool, all is done here."""
        done = 0
        with verification.snapshot() as cursor:
            ids = verification.account_ids(cursor, login=login)
            if login and not ids:
                raise CommandError(f"There is no account {login}.")
            total = None if login else verification.event_count(cursor)
            exported = verification.export(cursor)
            size = min(CHUNK_ACCOUNTS, len(ids) // (workers * CHUNKS_PER_WORKER) + 1)
            chunks = [(exported, ids[start : start + size]) for start in range(0, len(ids), size)]
            with tqdm(total=total, unit=" events", disable=quiet) as bar:
                replays = (
                    pool.imap(_chunk, chunks)
                    if pool
                    else (verification.verify(cursor, found) for _, found in chunks)
                )
                for replayed in replays:
                    done += replayed
                    bar.update(replayed)
        return len(ids), done


def _chunk(work: tuple[str, Sequence[int]]) -> int:
    """Verify some accounts at the instant that was exported, on a connection of its own."""
    exported, ids = work
    with verification.snapshot(exported) as cursor:
        return verification.verify(cursor, ids)
