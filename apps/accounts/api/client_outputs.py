"""Clients, reviews and users in answers to staff. Personal data stands only in the answer to a reveal."""

from typing import Any

from msgspec import Struct

from apps.accounts.models import Client, KycDocument, KycReview, TradingAccount, User
from rtx.kernel import openapi
from rtx.kernel.clock import rfc3339

MASKED = "masked"
CLIENT = {
    "id": "0d0a8a76-6b0f-4c8e-9d53-1f6b6f4f0a11",
    "number": 1001,
    "user_id": 17,
    "country": "SE",
    "kyc_status": "pending",
    "kyc_valid_until": None,
    "is_active": True,
    "is_erased": False,
    "known": ["first_name", "last_name", "email"],
    "accounts": [100001],
    "created_at": "2026-11-20T14:30:00Z",
}


@openapi.example(CLIENT)
class ClientOut(Struct):
    """A client without personal data: `known` names what there is. `accounts` are those within reach."""

    id: str
    number: int
    user_id: int
    country: str
    kyc_status: str
    kyc_valid_until: str | None
    is_active: bool
    is_erased: bool
    known: list[str]
    accounts: list[int]
    created_at: str


@openapi.example(
    {
        "id": CLIENT["id"],
        "number": 1001,
        "first_name": "Anna",
        "last_name": "Ahlberg",
        "email": "anna@example.com",
        "phone": "+46 70 5550123",
        "address": "Sample Lane 1",
        "birth_date": "1990-02-28",
        "document_number": "X9981234",
    }
)
class PersonOut(Struct):
    """A client's personal data, told once and logged."""

    id: str
    number: int
    first_name: str
    last_name: str
    email: str
    phone: str
    address: str
    birth_date: str | None
    document_number: str


@openapi.example(
    {
        "id": 5,
        "client": CLIENT["id"],
        "client_number": 1001,
        "submitted_at": "2026-11-20T14:30:00Z",
        "assignee": None,
        "decision": None,
        "decided_by": None,
        "decided_at": None,
        "reason": "",
        "documents": [{"id": "6f1c", "kind": "passport", "country": "SE", "expires_on": "2030-01-31"}],
    }
)
class KycReviewOut(Struct):
    """One review of a client's identity; `assignee` and `decided_by` are user ids."""

    id: int
    client: str
    client_number: int
    submitted_at: str
    assignee: int | None
    decision: str | None
    decided_by: int | None
    decided_at: str | None
    reason: str
    documents: list[dict[str, Any]]


@openapi.example({"id": "6f1c", "kind": "passport", "media_type": "application/pdf", "size_bytes": 83121})
class KycDocumentOut(Struct):
    """A document that was kept."""

    id: str
    kind: str
    media_type: str
    size_bytes: int


@openapi.example(
    {"login": 100001, "group": "standard", "currency": "USD", "leverage": 100, "status": "active"}
)
class NewAccountOut(Struct):
    """An account that was opened."""

    login: int
    group: str
    currency: str
    leverage: int
    status: str


@openapi.example(
    {
        "id": 17,
        "email": "dealer@example.com",
        "display_name": "Dora",
        "role": "dealer",
        "is_staff": True,
        "is_active": True,
        "client": None,
        "created_at": "2026-11-20T14:30:00Z",
    }
)
class UserOut(Struct):
    """A user. The address of a trader is personal data: it is `null` here."""

    id: int
    email: str | None
    display_name: str
    role: str
    is_staff: bool
    is_active: bool
    client: str | None
    created_at: str


def client_view(client: Client, accounts: list[TradingAccount]) -> dict[str, Any]:
    """Return a client as the interface shows them."""
    known = (
        [] if client.is_erased else [name for name in Client.PERSONAL if getattr(client, f"{name}_sealed")]
    )
    return {
        "id": str(client.pk),
        "number": client.number,
        "user_id": client.user_id,
        "country": client.country,
        "kyc_status": client.kyc_status,
        "kyc_valid_until": client.kyc_valid_until.isoformat() if client.kyc_valid_until else None,
        "is_active": client.user.is_active,
        "is_erased": client.is_erased,
        "known": [name.removesuffix("_text") for name in known],
        "accounts": [account.login for account in accounts],
        "created_at": rfc3339(client.created_at),
    }


def person_view(client: Client) -> dict[str, Any]:
    """Return a client's personal data. Whoever calls has asked for the right and logs it."""
    names = ("first_name", "last_name", "email", "phone", "address", "document_number")
    born = client.birth_date
    return {
        "id": str(client.pk),
        "number": client.number,
        **{name: getattr(client, name) for name in names},
        "birth_date": born.isoformat() if born else None,
    }


def review_view(review: KycReview, documents: list[KycDocument]) -> dict[str, Any]:
    """Return a review with its client's documents."""
    return {
        "id": review.pk,
        "client": str(review.client_id),
        "client_number": review.client.number,
        "submitted_at": rfc3339(review.submitted_at),
        "assignee": review.assignee_id,
        "decision": review.decision or None,
        "decided_by": review.decided_by_id,
        "decided_at": rfc3339(review.decided_at) if review.decided_at else None,
        "reason": review.reason,
        "documents": [
            {
                "id": str(one.pk),
                "kind": one.kind,
                "country": one.country,
                "expires_on": one.expires_on.isoformat() if one.expires_on else None,
            }
            for one in documents
        ],
    }


def user_view(user: User, client_id: Any) -> dict[str, Any]:
    """Return a user; a trader without their address."""
    return {
        "id": user.pk,
        "email": user.email if user.is_staff else None,
        "display_name": user.display_name,
        "role": user.role,
        "is_staff": user.is_staff,
        "is_active": user.is_active,
        "client": None if client_id is None else str(client_id),
        "created_at": rfc3339(user.created_at),
    }
