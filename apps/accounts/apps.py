"""Django app configuration of `accounts`."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.accounts"
    label = "accounts"
