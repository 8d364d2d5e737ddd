"""Django app configuration of `trading`."""

from django.apps import AppConfig


class TradingConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.trading"
    label = "trading"

    def ready(self) -> None:
        """Show the figures of rollovers to Prometheus."""
        from apps.trading.services import rollover_metrics

        rollover_metrics.register()
