"""`manage.py explain_liquidation ID`: a liquidation told step by step, and derived once more."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.risk.domain import stories
from apps.risk.selectors import dossiers
from apps.risk.selectors.dossiers import LiquidationUnknown


class Command(BaseCommand):
    """Exits non-zero when what is derived differs from what was kept, and names the first difference."""

    help = "Tell a liquidation from its dossier, and derive it again from the journal."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the liquidation's number."""
        parser.add_argument("liquidation", type=int, help="number of the liquidation")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the story, then say whether the same dossier comes of the journal and its own inputs."""
        try:
            row = dossiers.liquidation(options["liquidation"])
        except LiquidationUnknown as error:
            raise CommandError(error.detail) from error
        found = dossiers.derived(row)
        self.stdout.write(f"Liquidation {row.pk}, event {row.event.seq} of the account's journal")
        for line in stories.lines(found.told):
            self.stdout.write(line)
        self.stdout.write("")
        if not found.is_identical:
            raise CommandError(f"Derived again, it is not the same: {found.difference}")
        self.stdout.write(
            "Derived again from the journal and the dossier's inputs: identical, byte for byte."
        )
