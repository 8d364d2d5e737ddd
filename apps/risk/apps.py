"""Django app configuration of `risk`."""

from django.apps import AppConfig


class RiskConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.risk"
    label = "risk"

    def ready(self) -> None:
        """Show the figures of risk to Prometheus."""
        from apps.risk.services import risk_metrics

        risk_metrics.register()
