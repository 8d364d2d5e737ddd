"""Clients: registering a person with their user, renewing their keys, erasing what identifies them."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date
from uuid import UUID

from django.db import transaction

from apps.accounts.models import Client, User
from apps.accounts.services import users
from rtx.kernel import clock
from rtx.kernel.errors import NotFound

REWRAP_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PersonalData:
    """What identifies a person. Stored encrypted only."""

    first_name: str
    last_name: str
    phone: str = ""
    address: str = ""
    birth_date: date | None = None
    document_number: str = ""


def register(
    *,
    email: str,
    password: str | None,
    person: PersonalData,
    country: str = "",
    kyc_status: str = Client.KycStatus.NONE,
) -> Client:
    """
    Create a trader: the user who logs in and the client with their personal data.

    :raises Conflict: the e-mail address is taken.
    """
    with transaction.atomic():
        user = users.create_user(email=email, password=password)
        client = Client(user=user, country=country, kyc_status=kyc_status, created_at=clock.now())
        _fill(client, person, email=user.email)
        client.save()
    return client


def erase(*, client_id: UUID) -> None:
    """Make a client's personal data unreadable for good and disable the user; money and history stay."""
    with transaction.atomic():
        client = Client.objects.select_for_update(no_key=True).filter(pk=client_id).first()
        if client is None:
            raise NotFound("There is no such client.", code="client_not_found")
        users.disable(user_id=client.user_id)
        User.objects.filter(pk=client.user_id).update(
            email=f"erased-{client.number}@invalid", display_name=""
        )
        client.data_key = None
        for column in ("last_name", "full_name", "email", "phone", "document_number"):
            setattr(client, f"{column}_hash", "")
        client.save()


def count_keys() -> int:
    """Return how many clients have a data key."""
    return Client.objects.filter(data_key__isnull=False).count()


def rewrap_keys(*, progress: Callable[[int], object]) -> int:
    """Wrap every data key by the newest master key, batch by batch; return how many were wrapped anew."""
    changed, last = 0, UUID(int=0)
    while True:
        with transaction.atomic():
            batch = list(
                Client.objects.select_for_update(no_key=True)
                .filter(data_key__isnull=False, pk__gt=last)
                .order_by("pk")[:REWRAP_BATCH]
            )
            stale = [client for client in batch if not client.is_newest_key]
            for client in stale:
                client.rewrap()
            Client.objects.bulk_update(stale, ["data_key"])
        if not batch:
            return changed
        changed, last = changed + len(stale), batch[-1].pk
        progress(len(batch))


def _fill(client: Client, person: PersonalData, *, email: str) -> None:
    client.email = email
    for field in fields(person):
        setattr(client, field.name, getattr(person, field.name))
