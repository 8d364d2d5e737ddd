"""Django app configuration of `console`."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.console"
    label = "console"
