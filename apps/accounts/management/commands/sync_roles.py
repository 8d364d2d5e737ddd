"""`manage.py sync_roles`: write the roles of the code into the database, and say what differed."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.accounts.services import roles


class Command(BaseCommand):
    """Runs after every migration by itself; by hand it shows whether anybody changed a role."""

    help = "Make each staff role's permission set what apps/accounts/permissions.py says. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the trial run."""
        parser.add_argument("--dry-run", action="store_true", help="say what differs and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare, write, and print one line per difference."""
        found = [one for one in roles.sync(dry_run=options["dry_run"]) if one]
        for one in found:
            for sign, rights in (("+", one.missing), ("-", one.surplus)):
                for right in rights:
                    self.stdout.write(f"{one.role}: {sign} {right}")
            if one.strangers:
                self.stdout.write(f"{one.role}: - {one.strangers} members (a role is given on the user)")
        for right in roles.unknown():
            self.stderr.write(f"{right} is named in a role and does not exist")
        if not found:
            self.stdout.write("The roles are as the code says.")
        elif options["dry_run"]:
            self.stdout.write("Nothing was changed.")
