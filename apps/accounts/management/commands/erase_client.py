"""`manage.py erase_client NUMBER...`: make clients' personal data unreadable for good."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import Client
from apps.accounts.services import erasing
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import RtxError


class Command(BaseCommand):
    """Refuses clients with positions, orders, money or open requests unless told otherwise. Names nobody."""

    help = "Erase clients' personal data and documents; ledger, journal and proofs stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take client numbers."""
        parser.add_argument("numbers", nargs="+", type=int, metavar="NUMBER")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be erased, erase nothing.")
        parser.add_argument(
            "--even-unsettled",
            action="store_true",
            help="Also with positions, orders, money or requests left.",
        )
        parser.add_argument("--reason", default="erase_client", help="Why, for the staff log.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Erase one after another; a client that cannot be erased does not stop the others."""
        actor = Actor(kind=ActorKind.SYSTEM, name="erase_client", reason=options["reason"])
        numbers, failed = options["numbers"], 0
        for done, number in enumerate(numbers, start=1):
            said = self._erased(number, actor, options)
            failed += said.startswith("not ")
            self.stdout.write(f"{done} of {len(numbers)}: client {number}: {said}")
        if failed:
            raise CommandError(f"{failed} of {len(numbers)} clients were not erased.")

    @staticmethod
    def _erased(number: int, actor: Actor, options: dict[str, Any]) -> str:
        client = Client.objects.filter(number=number).first()
        if client is None:
            return "not found"
        told = ", ".join(f"{count} {name}" for name, count in erasing.found(client).items())
        try:
            if options["dry_run"]:
                left = erasing.obstacles(client)
                if client.is_erased:
                    return "was erased before"
                if left and not options["even_unsettled"]:
                    return f"not possible, there is still: {', '.join(left)}"
                return f"would erase {told}"
            erasing.erase(client_id=client.pk, actor=actor, even_unsettled=options["even_unsettled"])
        except RtxError as error:
            return f"not erased: {error.detail}"
        return f"erased {told}"
