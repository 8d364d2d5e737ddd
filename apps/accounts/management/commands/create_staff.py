"""`manage.py create_staff`: a new member of staff with role and reach; the first password is shown once."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from apps.accounts.services import staff
from rtx.kernel.errors import RtxError
from rtx.kernel.rest import instant_of


class Command(BaseCommand):
    """Prints secrets to the terminal alone: neither the log nor the staff log ever holds them."""

    help = (
        "Create a member of staff. Prints an initial password once; at the first sign-in the person sets up a"
        " second factor, or takes the secret that --totp prints."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take who, which role, and how far they reach."""
        parser.add_argument("email")
        parser.add_argument("--role", required=True, choices=sorted(staff.ROLES))
        parser.add_argument("--name", default="", help="shown in the admin")
        parser.add_argument("--group", action="append", default=[], help="trading group in reach; repeat it")
        parser.add_argument("--until", default="", help="end of the reach, such as 2026-12-31T18:00:00Z")
        parser.add_argument("--reason", default="create_staff", help="why they reach it")
        parser.add_argument("--totp", action="store_true", help="set an authenticator app up for automation")
        parser.add_argument("--dry-run", action="store_true", help="check everything and create nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create them, or say what would be created."""
        try:
            validate_email(options["email"])
        except ValidationError as error:
            raise CommandError(f"{options['email']} is no e-mail address") from error
        try:
            made = staff.create(
                email=options["email"],
                role=options["role"],
                display_name=options["name"],
                groups=options["group"],
                until=instant_of(options["until"] or None, "until"),
                reason=options["reason"],
                with_app=options["totp"],
                dry_run=options["dry_run"],
            )
        except RtxError as error:
            raise CommandError(error.detail) from error
        reach = ", ".join(options["group"]) or ("every group" if options["role"] == "superadmin" else "none")
        if options["dry_run"]:
            self.stdout.write(f"would create {options['email']}, {options['role']}, reach: {reach}")
            return
        self.stdout.write(f"created {options['email']}, {options['role']}, reach: {reach}")
        self.stdout.write(f"initial password: {made.password}")
        if made.totp_secret:
            self.stdout.write(f"secret of the authenticator app: {made.totp_secret}")
        self.stdout.write("This is shown once.")
