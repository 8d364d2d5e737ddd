"""Django app configuration of `fix`."""

from django.apps import AppConfig


class FIXConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.fix"
    label = "fix"
