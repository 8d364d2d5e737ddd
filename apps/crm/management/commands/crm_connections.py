"""`manage.py crm_connections`: how the CRM connections stand; `--test` asks the providers."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.crm.models import Connection
from apps.crm.selectors import status
from apps.crm.services import connections
from rtx.kernel import clock
from rtx.kernel.actor import Actor

ACTOR = Actor.system("crm_connections")


class Command(BaseCommand):
    """Names no customer and no secret."""

    help = "List the CRM connections and how each stands; --test makes real calls and says what to do."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what to do besides listing."""
        parser.add_argument("--test", action="store_true", help="call each provider and show the diagnosis")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write a paragraph per connection."""
        rows = Connection.objects.exclude(status=Connection.Status.REMOVED)
        if not rows:
            self.stdout.write("There is no CRM connection. Set one up in the admin: CRM, Connections.")
        for row in rows:
            told = status.status_view(row, now=clock.now())
            counted, limits = told["customers"], told["limits"]
            self.stdout.write(f"{row.provider:<11} {row.get_status_display():<14} {row.name}")
            self.stdout.write(
                f"  {counted['clients']} clients and {counted['accounts']} accounts: "
                f"{counted['in_step']} in step, {counted['waiting']} waiting, {told['dead_letters']} given up"
            )
            self.stdout.write(
                f"  {limits['calls']} of {limits['calls_max']} calls in {limits['window_s']} s, "
                f"breaker {told['breaker']['state']}"
            )
            if told["fault"]:
                self.stdout.write(f"  at fault since {told['fault']['at']}: {told['fault']['code']}")
                self.stdout.write(f"  {told['fault']['detail']} {told['fault']['advice']}")
            if told["last_error"]["code"]:
                self.stdout.write(
                    f"  last problem: {told['last_error']['code']} at {told['last_error']['at']}"
                )
            if options["test"]:
                self._test(row)

    def _test(self, row: Connection) -> None:
        for one in connections.test(connection_id=row.pk, actor=ACTOR).findings:
            self.stdout.write(f"  {one.outcome:<8} {one.step:<9} {one.detail} {one.advice}".rstrip())
