"""What requests of the risk interface may contain. Form only; what values mean is the selectors' matter."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from apps.risk.domain.shocks import GroupDraft
from apps.risk.selectors.shocks import Asked
from apps.risk.selectors.what_if import LISTED, LISTED_MAX
from rtx.kernel import openapi
from rtx.kernel.rest import Input

Percent = Annotated[
    str,
    Meta(pattern=r"^-?[0-9]{1,6}(\.[0-9]{1,6})?\Z", description="Percent, as plain text; may be negative."),
]
Level = Annotated[
    str,
    Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?\Z", description="A margin level in percent, as plain text."),
]
Points = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?\Z", description="Points, as plain text.")]
Name = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[\x21-\x7e]+\Z")]
SymbolName = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[\x21-\x7e]+\Z")]
Reason = Annotated[str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00]*[^\x00\s][^\x00]*\Z")]
Leverage = Annotated[int, Meta(ge=1, le=10_000)]
Login = Annotated[int, Meta(ge=1, le=10**15)]


class GroupDraftIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Terms of a group as they might be; what is absent stays."""

    leverage: Leverage | None = None
    margin_call_pct: Level | None = None
    stop_out_pct: Level | None = None
    protects_balance: bool | None = None
    markup_bid_points: Points | None = None
    markup_ask_points: Points | None = None

    def draft(self) -> GroupDraft:
        """Return it in the domain's terms."""
        return GroupDraft(
            leverage_max=self.leverage,
            margin_call_pct=_decimal(self.margin_call_pct),
            stop_out_pct=_decimal(self.stop_out_pct),
            protects_balance=self.protects_balance,
            markup_bid_points=_decimal(self.markup_bid_points),
            markup_ask_points=_decimal(self.markup_ask_points),
        )


@openapi.example(
    {
        "prices": {"EURUSD": "-3.5", "GBPUSD": "-2"},
        "spread_pct": "100",
        "groups": {"standard": {"stop_out_pct": "60"}},
        "limit": 50,
    }
)
class WhatIfIn(Input):
    """POST /api/admin/risk/what-if: a move of all symbols, others for single ones, and drafts of groups."""

    price_pct: Percent = "0"
    prices: dict[SymbolName, Percent] = {}
    spread_pct: Percent = "0"
    spreads: dict[SymbolName, Percent] = {}
    groups: dict[Name, GroupDraftIn] = {}
    every_group: GroupDraftIn | None = None
    limit: Annotated[int, Meta(ge=0, le=LISTED_MAX)] = LISTED

    def asked(self) -> Asked:
        """Return what is asked, in the selector's terms."""
        return Asked(
            price_pct=Decimal(self.price_pct),
            prices_pct={name: Decimal(value) for name, value in self.prices.items()},
            spread_pct=Decimal(self.spread_pct),
            spreads_pct={name: Decimal(value) for name, value in self.spreads.items()},
            groups={name: draft.draft() for name, draft in self.groups.items()},
            every_group=None if self.every_group is None else self.every_group.draft(),
        )


@openapi.example(
    {
        "action": "engage",
        "scope": "symbol",
        "symbol": "EURUSD",
        "reason": "the feed prints nonsense",
        "cancels_orders": True,
    }
)
class KillSwitchIn(Input):
    """
    POST /api/admin/risk/kill-switch. To engage: scope and what it names. To release: the switch's `id`, or
    the scope and target that it was engaged for.
    """

    action: Literal["engage", "release"]
    reason: Reason
    id: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    scope: Literal["platform", "group", "symbol", "account"] | None = None
    group: Name | None = None
    symbol: SymbolName | None = None
    account: Login | None = None
    cancels_orders: bool = False
    closes_positions: bool = False


@openapi.example({"reason": "the feed was repaired"})
class ReasonIn(Input):
    """Why something is done."""

    reason: Reason


@openapi.example({"first": "EURUSD", "second": "GBPUSD", "value": "0.9", "reason": "both follow one event"})
class CorrelationIn(Input):
    """PUT /api/admin/risk/correlations: a value instead of the estimate; null brings the estimate back."""

    first: SymbolName
    second: SymbolName
    value: Annotated[str, Meta(pattern=r"^-?(0(\.[0-9]{1,6})?|1(\.0{1,6})?)\Z")] | None
    reason: Reason


@openapi.example({"method": "historical", "confidence_pct": "99", "horizon_days": 1, "interval": "1d"})
class ValueAtRiskIn(Input):
    """POST /api/admin/risk/value-at-risk."""

    method: Literal["historical", "parametric"] = "historical"
    confidence_pct: Level = "99"
    horizon_days: Annotated[int, Meta(ge=1, le=60)] = 1
    interval: Literal["1d", "1h"] = "1d"


def _decimal(given: str | None) -> Decimal | None:
    return None if given is None else Decimal(given)
