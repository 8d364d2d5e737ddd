"""Django app configuration of `market`."""

from django.apps import AppConfig


class MarketConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.market"
    label = "market"
