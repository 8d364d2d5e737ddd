"""Django app configuration of `console`."""

from typing import Any

from django.apps import AppConfig, apps
from django.db import connections
from django.db.models.signals import post_migrate


def sync_roles(sender: Any, using: str, **kwargs: Any) -> None:
    """Write the roles after the last app's migrations, when every permission exists."""
    with_tables = [config for config in apps.get_app_configs() if config.models_module is not None]
    if sender is with_tables[-1] and "auth_group" in connections[using].introspection.table_names():
        from apps.accounts.services import roles

        roles.sync()


class ConsoleConfig(AppConfig):
    """The last app of all: what shall happen after every migration is wired here."""

    name = "apps.console"
    label = "console"

    def ready(self) -> None:
        """Keep the roles as the code says."""
        post_migrate.connect(sync_roles, dispatch_uid="console.sync_roles")
