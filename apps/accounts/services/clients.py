"""Clients: registering a person with their user, renewing their keys, erasing what identifies them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import Client, KycContent, User
from apps.accounts.services import users
from rtx.kernel import clock
from rtx.kernel.errors import Conflict, Invalid, NotFound

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


PERSONAL = frozenset(field.name for field in fields(PersonalData))
CHANGEABLE = PERSONAL | {"email", "country"}
REQUIRED = frozenset({"first_name", "last_name", "email"})


def register(
    *,
    email: str,
    password: str | None,
    person: PersonalData,
    country: str = "",
    kyc_status: str = Client.KycStatus.NONE,
    opened_by: int | None = None,
) -> Client:
    """
    Create a trader: the user who logs in and the client with their personal data.

    :raises Conflict: the e-mail address is taken.
    """
    with transaction.atomic():
        user = users.create_user(email=email, password=password)
        client = Client(
            user=user,
            country=country,
            kyc_status=kyc_status,
            created_at=clock.now(),
            opened_by_id=opened_by,
        )
        _fill(client, person, email=user.email)
        client.save()
    return client


def change(*, client_id: UUID, changes: Mapping[str, Any]) -> list[str]:
    """
    Change what is known of a client; return the names of what became another value.

    `changes` may name the fields of `PersonalData`, `email` (the address to log in with changes too) and
    `country`. What was known before stands nowhere in clear.

    :raises Conflict: the e-mail address is taken, or the client was erased.
    :raises Invalid: a first or last name or an address would be empty.
    """
    foreign = set(changes) - CHANGEABLE
    if foreign:
        raise ValueError(f"not a client's: {', '.join(sorted(foreign))}")
    with transaction.atomic():
        client = _locked(client_id)
        if client.is_erased:
            raise Conflict("The client was erased.", code="client_erased")
        changed = [name for name, value in changes.items() if getattr(client, name) != value]
        for name in changed:
            if name in REQUIRED and not changes[name]:
                raise Invalid(f"{name} cannot be empty.", errors={name: ["cannot be empty"]})
            setattr(client, name, changes[name])
        client.save()
        if "email" in changed:
            users.change_email(user_id=client.user_id, email=changes["email"])
        return sorted(changed)


def erase(*, client_id: UUID) -> None:
    """
    Make a client's personal data and documents unreadable for good and disable the user; money and history
    stay.
    """
    with transaction.atomic():
        client = _locked(client_id)
        users.disable(user_id=client.user_id)
        User.objects.filter(pk=client.user_id).update(
            email=f"erased-{client.number}@invalid", display_name="", last_login=None
        )
        KycContent.objects.filter(document__client=client).delete()
        client.data_key = None
        for column in ("last_name", "full_name", "email", "phone", "document_number"):
            setattr(client, f"{column}_hash", "")
        client.save()


def _locked(client_id: UUID) -> Client:
    client = Client.objects.select_for_update(no_key=True).filter(pk=client_id).first()
    if client is None:
        raise NotFound("There is no such client.", code="client_not_found")
    return client


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
