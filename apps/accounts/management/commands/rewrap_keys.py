"""`manage.py rewrap_keys`: after a new master key was put first, seal by it what the old one sealed."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string
from tqdm import tqdm

from apps.accounts.services import clients, second_factors


class Command(BaseCommand):
    """Re-wrap client data keys; afterwards the old master keys may be taken out of RTX_ENCRYPTION_KEYS."""

    help = (
        "Wrap every client's data key by the newest key of RTX_ENCRYPTION_KEYS. Safe to repeat and to stop."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Work through all clients in batches."""
        total = clients.count_keys()
        with tqdm(total=total, unit="client", disable=not sys.stderr.isatty()) as bar:
            changed = clients.rewrap_keys(progress=bar.update)
        self.stdout.write(f"{changed} of {total} data keys were wrapped anew.")
        if secrets := second_factors.rewrap_secrets():
            self.stdout.write(f"{secrets} secrets of second factors were encrypted anew.")
        for name, path in settings.SEALED_SECRETS.items():
            if anew := import_string(path)():
                self.stdout.write(f"{anew} rows of {name} were sealed anew.")
