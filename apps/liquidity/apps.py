"""Django app configuration of `liquidity`."""

from django.apps import AppConfig


class LiquidityConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.liquidity"
    label = "liquidity"
