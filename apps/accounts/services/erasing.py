"""
Erasing clients for good: what identifies a person becomes unreadable, what was booked stays and still proves.

The client's key is destroyed, so that sealed columns and documents cannot be opened by anyone. Documents,
search hashes, the address to log in with, what was noted of sign-ins and what imports still hold go besides.
Journal, ledger and staff log never held any of it.
"""

from uuid import UUID

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from apps.accounts.models import Client, KycContent, RefreshToken
from apps.accounts.services import clients, import_leftovers
from apps.audit.services import actions
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict


class StillNeeded(Conflict):
    """The client still has something that must be settled first."""

    code = "client_not_settled"
    title = "The client is not settled"


def obstacles(client: Client) -> list[str]:
    """Return what stands against erasing a client: positions, orders, money, open requests."""
    accounts = list(client.trading_accounts.values_list("pk", flat=True))
    return [said for path in settings.CLOSING_CHECKS for said in import_string(path)(accounts)]


def found(client: Client) -> dict[str, int]:
    """Return how much there is to erase, by kind."""
    return {
        "sealed values": sum(bool(getattr(client, f"{name}_sealed")) for name in Client.PERSONAL),
        "documents": KycContent.objects.filter(document__client=client).count(),
        "refresh tokens": RefreshToken.objects.filter(user=client.user_id).count(),
    }


def erase(*, client_id: UUID, actor: Actor, even_unsettled: bool = False) -> None:
    """
    Erase a client and log it, in one transaction.

    :raises StillNeeded: positions, orders, money or requests are left, and `even_unsettled` is not given.
    :raises Conflict: the client was erased before.
    """
    with transaction.atomic():
        client = Client.objects.select_for_update(no_key=True).get(pk=client_id)
        if client.is_erased:
            raise Conflict("The client was erased before.", code="client_erased")
        left = obstacles(client)
        if left and not even_unsettled:
            raise StillNeeded(f"There is still: {', '.join(left)}.")
        told = {name.replace(" ", "_"): count for name, count in found(client).items()}
        email = client.user.email
        clients.erase(client_id=client_id)
        for attempts in (AccessAttempt, AccessLog, AccessFailureLog):
            attempts.objects.filter(username=email).delete()
        RefreshToken.objects.filter(user=client.user_id).delete()
        import_leftovers.forget(email=email, client_number=client.number)
        actions.record(
            actor=actor, operation="accounts.erase_client", target=client, before=told, after={"left": left}
        )
