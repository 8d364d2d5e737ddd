"""`manage.py statement`: write the statement of an account over a period to a file or to the terminal."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import TradingAccount
from apps.trading.adapters.statement_files import Format, statement_file
from apps.trading.domain.replaying import Divergence
from apps.trading.domain.statements import Difference, Period, PeriodInvalid
from rtx.kernel import clock


class Command(BaseCommand):
    """Exits non-zero when the books do not add up: then nothing is written."""

    help = "Write the statement of an account over a period."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the account, the period, the format and where to write."""
        parser.add_argument("--account", type=int, required=True, help="login of the account")
        parser.add_argument("--from", dest="start", required=True, help="date or RFC 3339 instant (UTC)")
        parser.add_argument("--to", dest="end", required=True, help="the same; a date means its end")
        parser.add_argument("--format", choices=[str(one) for one in Format], default=Format.JSON.value)
        parser.add_argument("--output", type=Path, help="file to write; the terminal when not given")
        parser.add_argument("--without-name", action="store_true", help="leave the holder's name out")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the statement."""
        login = options["account"]
        account = TradingAccount.objects.select_related("client", "group").filter(login=login).first()
        if account is None:
            raise CommandError(f"There is no account {login}.")
        try:
            made = statement_file(
                account,
                period=Period.read(options["start"], options["end"]),
                format=Format(options["format"]),
                now=clock.now(),
                shows_holder=not options["without_name"],
            )
        except PeriodInvalid as error:
            raise CommandError(error.detail) from error
        except (Divergence, Difference) as difference:
            raise CommandError(f"The books differ: {difference}") from difference
        target: Path | None = options["output"]
        if target is None:
            sys.stdout.buffer.write(made.body)
            sys.stdout.buffer.flush()
        else:
            target.write_bytes(made.body)
            self.stdout.write(f"{target}: {len(made.body):,} bytes")
