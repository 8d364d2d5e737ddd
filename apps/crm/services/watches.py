"""Keeps the channels open through which providers send notifications, where a provider needs one."""

from django.conf import settings

from apps.crm.adapters.provider import ConnectionFault, ProviderError
from apps.crm.models import Connection
from apps.crm.services import calling, faults
from rtx.kernel import clock


def renew() -> int:
    """Open or renew the channels of notifications; return how many connections have one."""
    if not settings.PUBLIC_URL:
        return 0
    renewed = 0
    for connection in Connection.objects.filter(status=Connection.Status.ACTIVE):
        try:
            with calling.opened(connection) as provider:
                kept = provider.watch(
                    notify_url=f"{settings.PUBLIC_URL.rstrip('/')}/api/webhooks/crm/{connection.provider}",
                    watched=connection.watch,
                    now=clock.now(),
                )
        except ProviderError as error:  # the call is in the log; the next turn tries again
            if isinstance(error, ConnectionFault):
                faults.note(connection_id=connection.pk, error=error)
            continue
        still = Connection.objects.filter(pk=connection.pk, status=Connection.Status.ACTIVE)
        still.update(watch=kept)
        renewed += bool(kept)
    return renewed
