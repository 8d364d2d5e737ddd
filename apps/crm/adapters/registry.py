"""Which adapter speaks to which provider: the only place that knows them all."""

from importlib import import_module
from typing import Any, cast

from apps.crm.adapters.provider import Answer, Provider, Session, Settings

ADAPTERS = {
    "hubspot": ("apps.crm.adapters.hubspot", "HubSpot"),
    "salesforce": ("apps.crm.adapters.salesforce", "Salesforce"),
    "zoho": ("apps.crm.adapters.zoho", "Zoho"),
}


class NoSession:
    """The session of an adapter that is only asked what needs no authenticated call."""

    def call(self, method: str, path: str, **_options: Any) -> Answer:
        """Refuse: whoever calls a provider takes `services.calling.opened`."""
        raise RuntimeError("this provider was made without a session")


def make(name: str, *, settings: Settings, session: Session | None = None) -> Provider:
    """Return the adapter `Class(settings=, session=)` of a provider. Raises KeyError for an unknown name."""
    module, kind = ADAPTERS[name]
    made = getattr(import_module(module), kind)(settings=settings, session=session or NoSession())
    return cast(Provider, made)
