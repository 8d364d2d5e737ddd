"""Django app configuration of `risk`."""

from django.apps import AppConfig


class RiskConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.risk"
    label = "risk"
