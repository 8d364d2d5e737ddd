"""The shapes of fund operations in answers, for the OpenAPI description. Built by selectors."""

from typing import Literal

from msgspec import Struct

from apps.trading.api.outputs import Instant, Text
from rtx.kernel import openapi

OPERATION = {
    "id": 41,
    "account": 100001,
    "kind": "deposit",
    "amount": "250.00",
    "currency": "USD",
    "reference": "D-5B1F0C9A2E77",
    "comment": "from my savings",
    "status": "requested",
    "reject_reason": None,
    "message": "",
    "requested_at": "2026-11-20T14:30:00.250Z",
    "decided_at": None,
    "event_seq": None,
}


@openapi.example(OPERATION)
class FundOperationOut(Struct):
    """
    A fund operation. `amount` has no sign for deposits and withdrawals; `event_seq` names the event of the
    account's journal that booked it, or refused it.
    """

    id: int
    account: int
    kind: Literal["deposit", "withdrawal", "adjustment", "credit"]
    amount: Text
    currency: str
    reference: str
    comment: str
    status: Literal["requested", "approved", "posted", "rejected", "canceled"]
    reject_reason: str | None
    message: str
    requested_at: Instant
    decided_at: Instant | None
    event_seq: int | None


@openapi.example(
    OPERATION
    | {
        "group": "standard",
        "by_client": False,
        "requested_by": 7,
        "reason": "seen on the bank",
        "decided_by": None,
        "waits_for": "second_person",
        "approval": "5a0c2f0e-0d2c-4c43-8f0f-6f4a8a3f7a55",
        "approval_expires_at": "2026-11-21T14:30:00.250Z",
    }
)
class StaffFundOperationOut(FundOperationOut):
    """A fund operation as staff see it. Users are named by id."""

    group: str
    by_client: bool
    requested_by: int
    reason: str
    decided_by: int | None
    waits_for: Literal["decision", "second_person"] | None
    approval: str | None
    approval_expires_at: Instant | None
