"""Django app configuration of `market`."""

from django.apps import AppConfig


class MarketConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.market"
    label = "market"

    def ready(self) -> None:
        """Audit changes of configuration."""
        from auditlog.registry import auditlog

        from apps.market.models import Holiday, SessionHours, Symbol, TradingSession

        for model in (Symbol, TradingSession, SessionHours, Holiday):
            auditlog.register(model)
