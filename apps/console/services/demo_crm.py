"""
A CRM connection of the demo broker: set up and not connected, so that a newcomer connects it, agrees on the
page of the built-in fake CRM, and watches the first sync. Demo only.
"""

import secrets

from apps.crm.models import Connection
from apps.crm.services import connections
from rtx.kernel.actor import Actor

SEEDER = Actor.system("seed_demo")


def seed() -> None:
    """Set the connection up where no one has one."""
    if Connection.objects.filter(provider=Connection.Provider.HUBSPOT).exists():
        return
    connections.create(
        values={
            "provider": Connection.Provider.HUBSPOT,
            "name": "HubSpot (demo)",
            "client_id": "rtx-demo",
            "client_secret": secrets.token_urlsafe(24),
        },
        actor=SEEDER,
    )
