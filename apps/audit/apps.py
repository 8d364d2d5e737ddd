"""Django app configuration of `audit`."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.audit"
    label = "audit"

    def ready(self) -> None:
        """Connect the receivers; show how the seals stand on the metrics page."""
        from apps.audit import receivers
        from apps.audit.services import audit_metrics

        audit_metrics.register()
        post_migrate.connect(receivers.keep_triggers, sender=self)
