"""Django app configuration of `groups`."""

from django.apps import AppConfig


class GroupsConfig(AppConfig):
    """Registers the app; wiring of receivers happens in `ready`."""

    name = "apps.groups"
    label = "groups"
