"""`manage.py run_engine`: hosts the feed and what upper apps add. Ends on a signal, not on an outage."""

import signal
from typing import Any

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError

from apps.market.adapters.feed import FeedRefused
from apps.market.services.engine import Engine
from rtx.kernel import interpreter


class Command(BaseCommand):
    """Run the engine until it is told to stop."""

    requires_system_checks = [Tags.security]
    help = "Run the engine: price feed, triggers, margin monitor (one leader, others stand by)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Host the services of ENGINE_SERVICES."""
        interpreter.prepare(collects_rarely=True)
        engine = Engine()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: engine.stop())
        try:
            engine.run(on_ready=self._ready)
        except FeedRefused as error:
            raise CommandError(str(error)) from error
        if engine.failure:
            raise CommandError(f"engine failed: {engine.failure}")
        self._say("engine stopped")

    def _ready(self, engine: Engine) -> None:
        names = ", ".join(service.name for service in engine.services)
        self._say(f"engine ready: {names}")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
