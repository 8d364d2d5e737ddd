"""Django app configuration of `trading`."""

from django.apps import AppConfig


class TradingConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.trading"
    label = "trading"
