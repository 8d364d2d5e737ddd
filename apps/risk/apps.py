"""Django app configuration of `risk`."""

from django.apps import AppConfig


class RiskConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.risk"
    label = "risk"

    def ready(self) -> None:
        """Show the figures of risk to Prometheus, and log every change of what guards orders."""
        from auditlog.registry import auditlog

        from apps.risk.models import Breaker, KillSwitch, RiskLimit, TradingHours
        from apps.risk.services import risk_metrics

        risk_metrics.register()
        for model in (Breaker, KillSwitch, RiskLimit, TradingHours):
            auditlog.register(model)
