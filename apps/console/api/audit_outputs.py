"""What the audit's interface takes and answers, for the OpenAPI description as well. Form only."""

import json
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from apps.audit.models import Approval, StaffAction
from rtx.kernel import clock, openapi
from rtx.kernel.rest import Input

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Reason = Annotated[str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00]*[^\x00\s][^\x00]*\Z")]
Told = dict[str, Any]


@openapi.example({"reason": "checked with the client by phone"})
class DecisionIn(Input):
    """Why it is approved or rejected."""

    reason: Reason


@openapi.example(
    {
        "id": 41,
        "at": "2026-11-20T14:30:00.250000Z",
        "actor": "staff:user:7",
        "user_id": 7,
        "ip": "192.0.2.1",
        "request_id": "6f1c7e0a",
        "operation": "trading.close_position",
        "target_type": "trading.position",
        "target_id": "12",
        "target_label": "position #12 of 100001",
        "group_id": 1,
        "account_id": 1,
        "reason": "asked for by phone",
        "before": {"balance": "1000.00"},
        "after": {"balance": "1012.50"},
        "outcome": "done",
        "detail": "",
        "command_id": None,
        "approval_id": None,
    }
)
class StaffActionOut(Struct):
    """One thing that a member of staff did or tried."""

    id: int
    at: Instant
    actor: str
    user_id: int | None
    ip: str
    request_id: str
    operation: str
    target_type: str
    target_id: str
    target_label: str
    group_id: int | None
    account_id: int | None
    reason: str
    before: Told
    after: Told
    outcome: Literal["done", "requested", "refused"]
    detail: str
    command_id: str | None
    approval_id: str | None


@openapi.example(
    {
        "id": "5a0c2f0e-0d2c-4c43-8f0f-6f4a8a3f7a55",
        "kind": "funds.post",
        "summary": "Deposit 50000.00 USD to 100001",
        "content": {"amount": "50000.00"},
        "content_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "group_id": 1,
        "account_id": 1,
        "maker_id": 7,
        "reason": "bank transfer of today",
        "created_at": "2026-11-20T14:30:00.250000Z",
        "expires_at": "2026-11-21T14:30:00.250000Z",
        "status": "pending",
        "checker_id": None,
        "checked_at": None,
        "check_reason": "",
        "outcome": {},
    }
)
class ApprovalOut(Struct):
    """One operation that a second person must let happen."""

    id: str
    kind: str
    summary: str
    content: Told
    content_hash: str
    group_id: int | None
    account_id: int | None
    maker_id: int
    reason: str
    created_at: Instant
    expires_at: Instant
    status: Literal["pending", "executed", "refused", "rejected", "canceled", "expired"]
    checker_id: int | None
    checked_at: Instant | None
    check_reason: str
    outcome: Told


HEAD = {
    "log": "journal",
    "number": 812,
    "tree_size": 104233,
    "root": "9b0c4f5e7d1a2b3c9b0c4f5e7d1a2b3c9b0c4f5e7d1a2b3c9b0c4f5e7d1a2b3c",
    "signed_at": "2026-11-20T14:30:03Z",
    "key_id": "house-1",
    "unsealed": 4,
    "lag_s": 1.8,
    "is_slow": False,
    "tried_at": "2026-11-20T14:30:05Z",
    "problem": "",
    "outside_number": 812,
    "outside_root": "9b0c4f5e7d1a2b3c9b0c4f5e7d1a2b3c9b0c4f5e7d1a2b3c9b0c4f5e7d1a2b3c",
    "outside_problem": "",
}
CHECK = {
    "id": 12,
    "status": "intact",
    "started_at": "2026-11-20T02:10:00Z",
    "finished_at": "2026-11-20T02:10:21Z",
    "asked_by": "system:nightly",
    "done": 104233,
    "total": 104233,
    "logs": [
        {
            "log": "journal",
            "entries": 104233,
            "checkpoints": 812,
            "outside": 812,
            "root": HEAD["root"],
        }
    ],
    "findings": [],
    "detail": "",
}


class LogHeadOut(Struct):
    """
    How far a log is sealed, and what waits. `is_slow`: entries have waited for more than a minute.
    `outside_number` and `outside_root` are the newest checkpoint outside the database, null and empty where
    there is no storage; `problem` and `outside_problem` say why it is not sealed and not given out.
    """

    log: str
    number: int
    tree_size: int
    root: str
    signed_at: str
    key_id: str
    unsealed: int
    lag_s: float
    is_slow: bool
    tried_at: str
    problem: str
    outside_number: int | None
    outside_root: str
    outside_problem: str


class VerifiedLogOut(Struct):
    """What one log came to in a check."""

    log: str
    entries: int
    checkpoints: int
    outside: int
    root: str


class FindingOut(Struct):
    """The first tampered entry of a log."""

    log: str
    what: Literal["edited", "deleted", "inserted", "reordered", "truncated", "backdated", "rewritten"]
    id: int
    subject: str
    seq: int
    at: str
    position: int
    checkpoint: int
    witness: str
    detail: str


@openapi.example(CHECK)
class IntegrityCheckOut(Struct):
    """One verification of the sealed logs."""

    id: int
    status: Literal["running", "intact", "tampered", "failed"]
    started_at: Instant
    finished_at: Instant | None
    asked_by: str
    done: int
    total: int
    logs: list[VerifiedLogOut]
    findings: list[FindingOut]
    detail: str


@openapi.example({"heads": [HEAD], "check": CHECK})
class IntegrityOut(Struct):
    """The heads of the sealed logs and the newest check; null: none was made yet."""

    heads: list[LogHeadOut]
    check: IntegrityCheckOut | None


def action_view(row: StaffAction) -> Told:
    """Return an entry of the staff log as it is answered."""
    shown = {name: getattr(row, name) for name in StaffActionOut.__struct_fields__}
    return {
        **shown,
        "at": clock.rfc3339(row.at),
        "command_id": None if row.command_id is None else str(row.command_id),
        "approval_id": None if row.approval_id is None else str(row.approval_id),
    }


def approval_view(row: Approval) -> Told:
    """Return an approval as it is answered."""
    shown = {name: getattr(row, name) for name in ApprovalOut.__struct_fields__}
    return {
        **shown,
        "id": str(row.pk),
        "content": json.loads(row.content),
        "created_at": clock.rfc3339(row.created_at),
        "expires_at": clock.rfc3339(row.expires_at),
        "checked_at": None if row.checked_at is None else clock.rfc3339(row.checked_at),
    }
