"""What dealing requests of staff may contain. Form only: what is allowed is the account book's business."""

from typing import Annotated, Literal

from msgspec import Meta

from apps.trading.api.inputs import (
    Comment,
    Distance,
    Instant,
    OrderChange,
    Points,
    PositionChange,
    SymbolName,
)
from apps.trading.domain.commands import Command
from apps.trading.services import orders
from rtx.kernel import openapi
from rtx.kernel.actor import Actor
from rtx.kernel.rest import Input, PositiveDecimal

Reason = Annotated[str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00]*[^\x00\s][^\x00]*\Z")]


@openapi.example(
    {
        "account": 100001,
        "symbol": "EURUSD",
        "side": "buy",
        "type": "market",
        "volume": "0.10",
        "stop_loss": "1.09500",
        "reason": "Client called, ticket 4711",
    }
)
class StaffOrderIn(Input):
    """POST /api/admin/order/create. What waits needs a `price`; a market order may name one to hold it to."""

    account: int
    symbol: SymbolName
    side: Literal["buy", "sell"]
    volume: PositiveDecimal
    reason: Reason
    type: Literal["market", "limit", "stop", "stop_limit"] = "market"
    price: PositiveDecimal | None = None
    deviation: Points | None = None
    stop_limit_price: PositiveDecimal | None = None
    stop_loss: PositiveDecimal | None = None
    take_profit: PositiveDecimal | None = None
    trailing_points: Distance | None = None
    time_in_force: Literal["gtc", "day", "gtd", "ioc", "fok"] | None = None
    expires_at: Instant | None = None
    comment: Comment = ""

    def command(self, *, account_id: int, client_order_id: str, actor: Actor) -> Command:
        """
        Return the command that places the order.

        :raises Invalid: a field does not belong to this type of order, or is missing.
        """
        wanted = {name: getattr(self, name) for name in self.__struct_fields__ if name not in _NOT_ORDER}
        return orders.staff_command(
            account_id=account_id, wanted=wanted, client_order_id=client_order_id, actor=actor
        )


_NOT_ORDER = frozenset({"account", "reason"})


@openapi.example({"price": "1.09750", "take_profit": None, "reason": "Client called, ticket 4711"})
class StaffChangeOrderIn(OrderChange, kw_only=True):
    """PUT /api/admin/order/{id}: what is absent stays, null removes."""

    reason: Reason


@openapi.example({"reason": "Client called, ticket 4711"})
class StaffCancelIn(Input):
    """DELETE /api/admin/order/{id}."""

    reason: Reason


@openapi.example({"volume": "0.05", "reason": "Client called, ticket 4711"})
class StaffCloseIn(Input):
    """POST /api/admin/position/{id}/close; without `volume` the whole position."""

    reason: Reason
    volume: PositiveDecimal | None = None


@openapi.example({"stop_loss": "1.09600", "trailing_points": 150, "reason": "Client called, ticket 4711"})
class StaffChangePositionIn(PositionChange, kw_only=True):
    """POST /api/admin/position/{id}/modify: what is absent stays, null removes."""

    reason: Reason


@openapi.example({"deviation": 20, "reason": "Booked the wrong way round, ticket 4711"})
class StaffReverseIn(Input):
    """
    POST /api/admin/position/{id}/reverse. `deviation`: how many points the price may leave the present one
    until a second person approves.
    """

    reason: Reason
    deviation: Points | None = None
