"""Django app configuration of `audit`."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.audit"
    label = "audit"
