"""What requests about trading groups may contain. Form only; what fits together, the groups know."""

from datetime import time
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from rtx.kernel import openapi
from rtx.kernel.rest import Input

Number = Annotated[
    str, Meta(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,12})?\Z", description="A number as plain text.")
]
Size = Annotated[
    str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,12})?\Z", description="Not negative, as plain text.")
]
Name = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[-a-zA-Z0-9_]+\Z")]
Text = Annotated[str, Meta(max_length=120, pattern=r"^[^\x00]*\Z")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3,8}\Z")]
Reason = Annotated[str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00]*[^\x00\s][^\x00]*\Z")]
Count = Annotated[int, Meta(ge=0, le=2_147_483_647)]
Leverage = Annotated[int, Meta(ge=1, le=10_000)]
SymbolName = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[\x21-\x7e]+\Z")]
CommissionMode = Literal["none", "per_lot", "per_deal", "per_million"]
CommissionCharge = Literal["both", "entry", "exit"]


class SymbolTermsIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a group sets for one symbol: what is absent stays, null (or "") inherits."""

    is_offered: bool | UnsetType = UNSET
    book: Literal["a", "b"] | UnsetType = UNSET
    trade_mode: Literal["", "full", "long_only", "short_only", "close_only", "disabled"] | UnsetType = UNSET
    markup_bid_points: Size | UnsetType | None = UNSET
    markup_ask_points: Size | UnsetType | None = UNSET
    commission_mode: Literal["", "none", "per_lot", "per_deal", "per_million"] | UnsetType = UNSET
    commission_value: Size | UnsetType | None = UNSET
    commission_charge: Literal["", "both", "entry", "exit"] | UnsetType = UNSET
    commission_minimum: Size | UnsetType | None = UNSET
    leverage_max: Leverage | UnsetType | None = UNSET
    margin_schedule: Name | UnsetType | None = UNSET
    volume_min: Size | UnsetType | None = UNSET
    volume_max: Size | UnsetType | None = UNSET
    stop_level_points: Count | UnsetType | None = UNSET
    freeze_level_points: Count | UnsetType | None = UNSET
    swap_mode: Literal["", "none", "points", "money", "percent"] | UnsetType = UNSET
    swap_long: Number | UnsetType | None = UNSET
    swap_short: Number | UnsetType | None = UNSET


@openapi.example(
    {
        "reason": "spring campaign",
        "markup_bid_points": "3",
        "symbols": {"XAUUSD": {"markup_bid_points": "12", "swap_long": "-8.5"}, "EURUSD": None},
        "confirm": False,
    }
)
class GroupIn(Input, kw_only=True):
    """
    A change of a group: what is absent stays. `symbols`: terms per symbol, null removes a symbol's own.
    `confirm`: the accounts that the change would call or close were seen.
    """

    reason: Reason
    confirm: bool = False
    description: Text | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    position_mode: Literal["hedging", "netting"] | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    leverage_max: Leverage | UnsetType = UNSET
    margin_call_pct: Size | UnsetType = UNSET
    margin_call_reset_pct: Size | UnsetType | None = UNSET
    stop_out_pct: Size | UnsetType = UNSET
    stop_out_rule: Literal["largest_loss", "largest_margin", "fifo", "smart"] | UnsetType = UNSET
    protects_balance: bool | UnsetType = UNSET
    markup_bid_points: Size | UnsetType = UNSET
    markup_ask_points: Size | UnsetType = UNSET
    commission_mode: CommissionMode | UnsetType = UNSET
    commission_value: Size | UnsetType = UNSET
    commission_charge: CommissionCharge | UnsetType = UNSET
    commission_minimum: Size | UnsetType = UNSET
    margin_schedule: Name | UnsetType | None = UNSET
    positions_max: Count | UnsetType = UNSET
    orders_max: Count | UnsetType = UNSET
    allows_hedging: bool | UnsetType = UNSET
    closes_fifo: bool | UnsetType = UNSET
    rollover_time: time | UnsetType = UNSET
    rollover_timezone: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    swap_free: bool | UnsetType = UNSET
    admin_fee_per_lot: Size | UnsetType = UNSET
    admin_fee_after_nights: Annotated[int, Meta(ge=0, le=32_767)] | UnsetType = UNSET
    symbols: dict[SymbolName, SymbolTermsIn | None] | UnsetType = UNSET

    def values(self) -> dict[str, Any]:
        """Return what is given of the group itself."""
        apart = ("reason", "confirm", "symbols")
        return {name: value for name, value in _given(self).items() if name not in apart}

    def terms(self) -> dict[str, dict[str, Any] | None]:
        """Return what is given per symbol."""
        given = {} if self.symbols is UNSET else self.symbols
        return {name: None if one is None else _given(one) for name, one in given.items()}


@openapi.example({"name": "gold", "reason": "new offer", "currency": "USD", "leverage_max": 200})
class NewGroupIn(GroupIn, kw_only=True):
    """A group to be; what is absent has its usual value."""

    name: Name


@openapi.example({"reason": "offer ended"})
class DeactivateIn(Input, kw_only=True):
    """Why a group is switched off."""

    reason: Reason
    confirm: bool = False


def _given(struct: Struct) -> dict[str, Any]:
    return {name: value for name, value in structs.asdict(struct).items() if value is not UNSET}
