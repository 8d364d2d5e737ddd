"""Django app configuration of `audit`."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.audit"
    label = "audit"

    def ready(self) -> None:
        """Connect the receivers."""
        from apps.audit import receivers

        post_migrate.connect(receivers.keep_triggers, sender=self)
