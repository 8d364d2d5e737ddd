"""Django app configuration of `funds`."""

from django.apps import AppConfig


class FundsConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.funds"
    label = "funds"
