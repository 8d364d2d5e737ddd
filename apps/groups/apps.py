"""Django app configuration of `groups`."""

from django.apps import AppConfig


class GroupsConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.groups"
    label = "groups"

    def ready(self) -> None:
        """Audit changes of configuration."""
        from auditlog.registry import auditlog

        from apps.groups.models import CommissionTier, GroupSymbol, MarginBand, MarginSchedule, TradingGroup

        for model in (TradingGroup, GroupSymbol, CommissionTier, MarginSchedule, MarginBand):
            auditlog.register(model)
