"""The shapes of CRM connections, runs and mappings in answers, for the OpenAPI description."""

from typing import Literal

from msgspec import Struct

from apps.crm.api.inputs import CONFIG, Kind, PairIn
from apps.trading.api.outputs import Instant
from rtx.kernel import openapi

AT = "2026-11-20T14:30:00.250Z"
RUN = {
    "id": 12,
    "config": 1,
    "kind": "full",
    "status": "running",
    "phase": "push",
    "total": 200,
    "done": 100,
    "created": 96,
    "updated": 4,
    "unchanged": 0,
    "pulled": 0,
    "conflicts": 0,
    "failed": 0,
    "calls": 5,
    "cancel_asked": False,
    "asked_by": "staff:user:7",
    "reason": "first sync",
    "created_at": AT,
    "started_at": AT,
    "heartbeat_at": AT,
    "finished_at": None,
    "waits_until": None,
    "error_code": "",
    "error": "",
}
KEPT = {name: value for name, value in CONFIG.items() if name not in ("reason", "client_secret")}
Provider = Literal["hubspot", "salesforce", "zoho"]
State = Literal["draft", "active", "paused", "revoked", "removed"]


@openapi.example(
    KEPT
    | {
        "id": 1,
        "provider": "hubspot",
        "status": "draft",
        "has_client_secret": True,
        "has_webhook_secret": False,
        "region": "",
        "created_at": AT,
    }
)
class CrmConfigOut(Struct):
    """A connection as it is set up. Of secrets only whether one is kept."""

    id: int
    provider: Provider
    name: str
    status: State
    client_id: str
    has_client_secret: bool
    has_webhook_secret: bool
    region: str
    customer_object: str
    account_object: str
    creates_clients: bool
    erases_there: bool
    calls_max: int
    window_s: int
    pull_every_s: int
    keep_days: int
    created_at: Instant


class CrmFindingOut(Struct):
    """One step of a test. `advice` says what to do."""

    step: Literal["settings", "address", "access", "account", "object", "fields", "limits", "webhook"]
    outcome: Literal["ok", "warning", "failed", "skipped"]
    code: str
    detail: str
    advice: str


@openapi.example(
    {
        "ok": False,
        "findings": [
            {
                "step": "settings",
                "outcome": "ok",
                "code": "",
                "detail": "Everything needed is there.",
                "advice": "",
            },
            {
                "step": "access",
                "outcome": "failed",
                "code": "not_connected",
                "detail": "Nobody has given access yet.",
                "advice": "Connect first.",
            },
        ],
    }
)
class CrmDiagnosisOut(Struct):
    """What a real call found out, step by step."""

    ok: bool
    findings: list[CrmFindingOut]


@openapi.example(RUN)
class SyncRunOut(Struct):
    """A run; `done` of `total` in its present phase."""

    id: int
    config: int
    kind: Literal["full", "incremental", "preview"]
    status: Literal["queued", "running", "done", "canceled", "failed"]
    phase: str
    total: int
    done: int
    created: int
    updated: int
    unchanged: int
    pulled: int
    conflicts: int
    failed: int
    calls: int
    cancel_asked: bool
    asked_by: str
    reason: str
    created_at: Instant
    started_at: Instant | None
    heartbeat_at: Instant | None
    finished_at: Instant | None
    waits_until: Instant | None
    error_code: str
    error: str


class CrmCustomersOut(Struct):
    """Links counted by how they stand; `given_up` are dead letters' links, `gone` were deleted there."""

    clients: int
    accounts: int
    in_step: int
    waiting: int
    given_up: int
    gone: int
    waiting_since: Instant | None


class CrmLimitsOut(Struct):
    """Calls of the present window, and what the provider said."""

    calls: int
    calls_max: int
    window_s: int
    not_before: Instant | None
    daily_max: int | None
    daily_left: int | None


class CrmBreakerOut(Struct):
    """The circuit breaker: `half_open` lets one call through to see."""

    state: Literal["closed", "open", "half_open"]
    failures: int
    open_until: Instant | None


class CrmAccessOut(Struct):
    """Whether access was given; tokens are never answered."""

    is_given: bool
    expires_at: Instant | None
    refreshed_at: Instant | None


class CrmErrorOut(Struct):
    """The last call that failed."""

    code: str
    detail: str
    at: Instant | None


class CrmFaultOut(Struct):
    """
    What keeps the whole connection from working, since when, and what a person does about it. What changes
    meanwhile waits; it goes on by itself once a call succeeds again.
    """

    code: str
    detail: str
    advice: str
    at: Instant | None


@openapi.example(
    {
        "config": 1,
        "provider": "hubspot",
        "name": "HubSpot",
        "status": "active",
        "api_url": "https://api.hubapi.com",
        "account": "62515",
        "customers": {
            "clients": 200,
            "accounts": 214,
            "in_step": 410,
            "waiting": 4,
            "given_up": 0,
            "gone": 0,
            "waiting_since": AT,
        },
        "dead_letters": 0,
        "conflicts_24h": 1,
        "limits": {
            "calls": 3,
            "calls_max": 100,
            "window_s": 10,
            "not_before": None,
            "daily_max": 250000,
            "daily_left": 249310,
        },
        "breaker": {"state": "closed", "failures": 0, "open_until": None},
        "access": {"is_given": True, "expires_at": AT, "refreshed_at": AT},
        "last_ok_at": AT,
        "pulled_at": AT,
        "last_error": {"code": "", "detail": "", "at": None},
        "fault": None,
        "run": RUN,
    }
)
class CrmStatusOut(Struct):
    """How a connection stands; `account` is the portal or organization there."""

    config: int
    provider: Provider
    name: str
    status: State
    api_url: str
    account: str
    customers: CrmCustomersOut
    dead_letters: int
    conflicts_24h: int
    limits: CrmLimitsOut
    breaker: CrmBreakerOut
    access: CrmAccessOut
    last_ok_at: Instant | None
    pulled_at: Instant | None
    last_error: CrmErrorOut
    fault: CrmFaultOut | None
    run: SyncRunOut | None


class RtxFieldOut(Struct):
    """A field of RTX that may be mapped; `is_personal`: it identifies a person."""

    name: str
    label: str
    type: Literal["text", "number", "money", "date", "datetime"]
    is_personal: bool
    is_pullable: bool
    choices: list[str]


class TransformOut(Struct):
    """A transformation: what it takes, and the names of its options."""

    name: str
    label: str
    takes: list[str]
    options: list[str]
    is_readable: bool


@openapi.example(
    {
        "config": 1,
        "kind": "client",
        "object": "contacts",
        "pairs": [
            {
                "rtx_field": "country",
                "crm_field": "country",
                "direction": "newest",
                "transform": "country_name",
                "options": {},
                "is_active": True,
            }
        ],
        "fields": [
            {
                "name": "country",
                "label": "Country",
                "type": "text",
                "is_personal": False,
                "is_pullable": True,
                "choices": [],
            }
        ],
        "transforms": [
            {
                "name": "country_name",
                "label": "Country's name",
                "takes": ["text"],
                "options": [],
                "is_readable": True,
            }
        ],
    }
)
class MappingsOut(Struct):
    """The pairs of one kind, and what may be chosen. `object`: what it becomes in the CRM."""

    config: int
    kind: Kind
    object: str
    pairs: list[PairIn]
    fields: list[RtxFieldOut]
    transforms: list[TransformOut]


@openapi.example(
    {
        "id": 3,
        "config": 1,
        "direction": "push",
        "status": "open",
        "client": "0d0c1b8e-3a54-4a07-8a1b-1f5d3f1b6a10",
        "account": None,
        "error_code": "call_refused",
        "error": "The field phone does not fit.",
        "attempts": 8,
        "created_at": AT,
        "resolved_at": None,
    }
)
class DeadLetterOut(Struct):
    """What was given up. `client` by id, `account` by login; neither: a webhook delivery."""

    id: int
    config: int
    direction: Literal["push", "erase", "webhook"]
    status: Literal["open", "replayed", "dropped"]
    client: str | None
    account: int | None
    error_code: str
    error: str
    attempts: int
    created_at: Instant
    resolved_at: Instant | None


@openapi.example({"url": "https://app.hubspot.com/oauth/authorize?client_id=...", "expires_in_s": 600})
class OAuthStartOut(Struct):
    """Where a person goes to agree; it holds a state that is used once."""

    url: str
    expires_in_s: int
