"""`manage.py seed_demo`: the demo broker, by real commands. A complete one is left as it is."""

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.console.services import demo, demo_crm


class Command(BaseCommand):
    """Refuses to run outside a demo."""

    help = "Create the demo broker: symbols, groups, staff, clients, money, history, open positions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file that receives the logins."""
        parser.add_argument("--logins-file", type=Path, required=True, help="written with mode 0600")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed what is missing."""
        if not settings.DEMO:
            raise CommandError("The demo broker is only seeded where settings.DEMO is on.")
        target: Path = options["logins_file"]
        if demo.is_seeded() and target.exists():
            demo_crm.seed()  # what an older demo lacks
            self.stdout.write("The demo broker is there already.")
            return
        with tqdm(total=demo.CLIENTS + demo.WAVES, unit=" steps", desc="demo broker") as bar:
            logins = demo.seed(say=self.stdout.write, progress=lambda done: bar.update(done - bar.n))
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(logins, file, indent=2)
