"""Django app configuration of `funds`."""

from django.apps import AppConfig


class FundsConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.funds"
    label = "funds"

    def ready(self) -> None:
        """Keep every version of the policies."""
        from auditlog.registry import auditlog

        from apps.funds.models import FundPolicy

        auditlog.register(FundPolicy)
