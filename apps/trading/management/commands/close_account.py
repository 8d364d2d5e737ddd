"""`manage.py close_account LOGIN...`: close accounts that are flat and empty."""

from argparse import ArgumentParser
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import TradingAccount
from apps.trading.domain.commands import CloseAccount
from apps.trading.services import closing_accounts
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import RtxError


class Command(BaseCommand):
    """A closed account is disabled; its history stays. One that holds or owes something is refused."""

    help = "Close accounts that have no positions, no orders, no money and no open requests."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take logins."""
        parser.add_argument("logins", nargs="+", type=int, metavar="LOGIN")
        parser.add_argument("--dry-run", action="store_true", help="Say what would happen, close nothing.")
        parser.add_argument("--reason", default="close_account", help="Why, for the log.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Close one after another; one that cannot be closed does not stop the others."""
        actor = Actor(kind=ActorKind.SYSTEM, name="close_account", reason=options["reason"])
        logins, failed = options["logins"], 0
        for done, login in enumerate(logins, start=1):
            said = self._closed(login, actor, dry_run=options["dry_run"])
            failed += said.startswith("not ")
            self.stdout.write(f"{done} of {len(logins)}: account {login}: {said}")
        if failed:
            raise CommandError(f"{failed} of {len(logins)} accounts were not closed.")

    @staticmethod
    def _closed(login: int, actor: Actor, *, dry_run: bool) -> str:
        account_id = TradingAccount.objects.filter(login=login).values_list("pk", flat=True).first()
        if account_id is None:
            return "not found"
        if dry_run:
            left = closing_accounts.obstacles([account_id])
            return f"not possible, there is still: {', '.join(left)}" if left else "would be closed"
        try:
            closing_accounts.close(CloseAccount(account_id=account_id, command_id=uuid4(), actor=actor))
        except RtxError as error:
            return f"not closed: {error.detail}"
        return "closed"
