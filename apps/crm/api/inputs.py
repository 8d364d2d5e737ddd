"""What requests about CRM connections may contain. Form only; what fits is decided by services."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from apps.crm.domain.mapping import Pair
from rtx.kernel import openapi
from rtx.kernel.rest import Input

CLEAN = r"^[^\x00-\x1f\x7f]*\Z"
Reason = Annotated[str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00]*[^\x00\s][^\x00]*\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*\Z")]
ObjectName = Annotated[str, Meta(max_length=80, pattern=r"^[A-Za-z0-9_.\-]*\Z")]
AppId = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+\Z")]
Secret = Annotated[str, Meta(max_length=400, pattern=r"^[\x21-\x7e]*\Z")]
HookSecret = Annotated[
    str, Meta(max_length=400, pattern=r"^(?:[A-Za-z0-9._~\-]{16,})?\Z")
]  # empty: as it was
Number = Annotated[int, Meta(ge=1, le=10**15)]
Calls = Annotated[int, Meta(ge=1, le=10**6)]
Window = Annotated[int, Meta(ge=1, le=3600)]
Every = Annotated[int, Meta(ge=10, le=10**6)]
Days = Annotated[int, Meta(ge=1, le=3650)]
Region = Literal["", "com", "eu", "in", "com.au", "jp", "com.cn", "sa", "ca"]
Kind = Literal["client", "account"]

CONFIG = {
    "name": "HubSpot",
    "client_id": "6f1ac3d2-0f4e-4f8e-9df5-1f2a3b4c5d6e",
    "client_secret": "given-by-the-provider",
    "customer_object": "contacts",
    "account_object": "deals",
    "creates_clients": False,
    "erases_there": True,
    "calls_max": 100,
    "window_s": 10,
    "pull_every_s": 300,
    "keep_days": 90,
    "reason": "the CRM of the sales team",
}


@openapi.example({"provider": "hubspot", **CONFIG})
class NewCrmConfigIn(Input, kw_only=True):
    """
    POST /api/admin/crm/config. Secrets are kept encrypted and never answered. Objects that are not given: the
    usual ones of the provider; an empty `account_object`: accounts are not sent.
    """

    provider: Literal["hubspot", "salesforce", "zoho"]
    name: Name
    client_id: AppId
    client_secret: Secret
    reason: Reason
    webhook_secret: HookSecret = ""
    region: Region = ""
    customer_object: ObjectName | UnsetType = UNSET
    account_object: ObjectName | UnsetType = UNSET
    creates_clients: bool = False
    erases_there: bool = True
    calls_max: Calls = 100
    window_s: Window = 10
    pull_every_s: Every = 300
    keep_days: Days = 90


@openapi.example(CONFIG)
class CrmConfigIn(Input, kw_only=True):
    """PUT /api/admin/crm/config/{id}: what is given changes, the rest stays; secrets too."""

    reason: Reason
    name: Name | UnsetType = UNSET
    client_id: AppId | UnsetType = UNSET
    client_secret: Secret | UnsetType = UNSET
    webhook_secret: HookSecret | UnsetType = UNSET
    region: Region | UnsetType = UNSET
    customer_object: ObjectName | UnsetType = UNSET
    account_object: ObjectName | UnsetType = UNSET
    creates_clients: bool | UnsetType = UNSET
    erases_there: bool | UnsetType = UNSET
    calls_max: Calls | UnsetType = UNSET
    window_s: Window | UnsetType = UNSET
    pull_every_s: Every | UnsetType = UNSET
    keep_days: Days | UnsetType = UNSET


@openapi.example({"reason": "asked for by the sales team"})
class CrmReasonIn(Input):
    """Calls that change one row and need nothing but the reason."""

    reason: Reason


@openapi.example({"config": 1, "kind": "incremental", "reason": "asked for by the sales team"})
class SyncTriggerIn(Input, kw_only=True):
    """POST /api/admin/crm/sync/trigger. `preview`: count what a full run would do, write nothing."""

    config: Number
    reason: Reason
    kind: Literal["full", "incremental", "preview"] = "incremental"


class PairIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """
    One pair of fields; transformations and their options are listed by GET /api/admin/crm/mappings. One that
    is not active is kept and not synced.
    """

    rtx_field: Annotated[str, Meta(min_length=1, max_length=40, pattern=CLEAN)]
    crm_field: Annotated[str, Meta(min_length=1, max_length=100, pattern=CLEAN)]
    direction: Literal["push", "pull", "newest"] = "push"
    transform: Annotated[str, Meta(max_length=24, pattern=CLEAN)] = "text"
    options: dict[
        Annotated[str, Meta(max_length=100, pattern=CLEAN)],
        Annotated[str, Meta(max_length=200, pattern=CLEAN)] | Annotated[int, Meta(ge=0, le=10**6)],
    ] = {}
    is_active: bool = True

    def pair(self) -> Pair:
        """Return it as the domain knows it."""
        options: dict[str, Any] = dict(self.options)
        return Pair(self.rtx_field, self.crm_field, self.direction, self.transform, options, self.is_active)


@openapi.example(
    {
        "config": 1,
        "kind": "client",
        "reason": "phone numbers are kept by sales",
        "pairs": [
            {"rtx_field": "email", "crm_field": "email"},
            {"rtx_field": "phone", "crm_field": "phone", "direction": "newest", "transform": "phone"},
            {
                "rtx_field": "balance",
                "crm_field": "balance",
                "transform": "number",
                "options": {"decimals": 2},
            },
        ],
    }
)
class MappingsIn(Input, kw_only=True):
    """PUT /api/admin/crm/mappings: all pairs of one kind, in place of those that were."""

    config: Number
    kind: Kind
    pairs: Annotated[list[PairIn], Meta(max_length=200)]
    reason: Reason
