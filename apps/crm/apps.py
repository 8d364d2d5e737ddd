"""Django app configuration of `crm`."""

from django.apps import AppConfig


class CRMConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.crm"
    label = "crm"
