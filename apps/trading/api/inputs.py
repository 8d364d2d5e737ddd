"""What trader requests may contain. Form only: whether an order is allowed is the account book's business."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from msgspec import UNSET, Meta, UnsetType

from apps.trading.domain.orders import OrderType, Side, TimeInForce
from apps.trading.services.orders import MarketOrder, OrderChanges, PendingOrder
from apps.trading.services.positions import PositionChanges
from rtx.kernel import openapi
from rtx.kernel.errors import Invalid
from rtx.kernel.rest import Input, PositiveDecimal

OWN_ID = r"^[\x21\x22\x24-\x7e][\x21-\x7e]*\Z"  # "#" begins the ids that RTX gives

ClientOrderId = Annotated[str, Meta(min_length=1, max_length=64, pattern=OWN_ID)]
SymbolName = Annotated[str, Meta(min_length=1, max_length=32)]
Points = Annotated[int, Meta(ge=0, le=1_000_000)]
Distance = Annotated[int, Meta(ge=1, le=1_000_000)]
Comment = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Instant = Annotated[datetime, Meta(tz=True)]


@openapi.example(
    {
        "account": 100001,
        "symbol": "EURUSD",
        "side": "buy",
        "volume": "0.10",
        "client_order_id": "my-1",
        "stop_loss": "1.09500",
    }
)
class MarketOrderIn(Input):
    """POST /api/orders/market and `order.market`."""

    account: int
    symbol: SymbolName
    side: Literal["buy", "sell"]
    volume: PositiveDecimal
    client_order_id: ClientOrderId
    price: PositiveDecimal | None = None
    deviation: Points | None = None
    stop_loss: PositiveDecimal | None = None
    take_profit: PositiveDecimal | None = None
    comment: Comment = ""

    def to_domain(self) -> MarketOrder:
        """Return the request in the domain's terms."""
        return MarketOrder(
            symbol=self.symbol,
            side=Side(self.side),
            volume=self.volume,
            client_order_id=self.client_order_id,
            price=self.price,
            deviation=self.deviation,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            comment=self.comment,
        )


@openapi.example(
    {
        "account": 100001,
        "symbol": "EURUSD",
        "side": "buy",
        "type": "limit",
        "volume": "0.10",
        "price": "1.09800",
        "stop_loss": "1.09500",
        "time_in_force": "gtd",
        "expires_at": "2099-01-05T21:00:00Z",
        "client_order_id": "my-2",
    }
)
class PendingOrderIn(Input):
    """POST /api/orders/pending and `order.pending`."""

    account: int
    symbol: SymbolName
    side: Literal["buy", "sell"]
    volume: PositiveDecimal
    client_order_id: ClientOrderId
    type: Literal["limit", "stop", "stop_limit"]
    price: PositiveDecimal
    stop_limit_price: PositiveDecimal | None = None
    stop_loss: PositiveDecimal | None = None
    take_profit: PositiveDecimal | None = None
    trailing_points: Distance | None = None
    time_in_force: Literal["gtc", "day", "gtd", "ioc", "fok"] = "gtc"
    expires_at: Instant | None = None
    comment: Comment = ""

    def to_domain(self) -> PendingOrder:
        """Return the request in the domain's terms."""
        return PendingOrder(
            symbol=self.symbol,
            side=Side(self.side),
            volume=self.volume,
            client_order_id=self.client_order_id,
            type=OrderType(self.type),
            price=self.price,
            stop_limit_price=self.stop_limit_price,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            trailing_points=self.trailing_points,
            time_in_force=TimeInForce(self.time_in_force),
            expires_at=self.expires_at,
            comment=self.comment,
        )


class Change(Input):
    """Base of changes: what is absent stays, null removes."""

    def given(self, *names: str) -> dict[str, Any]:
        """
        Return those of the named fields that are present.

        :raises Invalid: there is none.
        """
        found = {name: value for name in names if (value := getattr(self, name)) is not UNSET}
        if not found:
            raise Invalid("Nothing to change.", errors={"body": [f"one of {', '.join(names)}"]})
        return found


class OrderChange(Change):
    """What may change on a working order."""

    volume: PositiveDecimal | UnsetType = UNSET
    price: PositiveDecimal | UnsetType = UNSET
    stop_limit_price: PositiveDecimal | UnsetType = UNSET
    stop_loss: PositiveDecimal | UnsetType | None = UNSET
    take_profit: PositiveDecimal | UnsetType | None = UNSET
    trailing_points: Distance | UnsetType | None = UNSET
    time_in_force: Literal["gtc", "day", "gtd"] | UnsetType = UNSET
    expires_at: Instant | UnsetType | None = UNSET

    def changes(self) -> OrderChanges:
        """Return what shall change, in the domain's terms."""
        found = self.given(
            "volume",
            "price",
            "stop_limit_price",
            "stop_loss",
            "take_profit",
            "trailing_points",
            "time_in_force",
            "expires_at",
        )
        if "time_in_force" in found:
            found["time_in_force"] = TimeInForce(found["time_in_force"])
        return cast(OrderChanges, found)


@openapi.example({"price": "1.09750", "take_profit": None, "client_order_id": "my-3"})
class ChangeOrderIn(OrderChange):
    """PATCH /api/orders/{id}; `client_order_id` makes a repeat the same request."""

    client_order_id: ClientOrderId | None = None


@openapi.example({"order_id": 1002, "price": "1.09750", "take_profit": None, "client_order_id": "my-3"})
class OrderModifyIn(ChangeOrderIn, kw_only=True):
    """`order.modify`: as over REST, where the order stands in the address."""

    order_id: int


class CancelOrderIn(Input):
    """DELETE /api/orders/{id}; the body may be left out."""

    client_order_id: ClientOrderId | None = None


@openapi.example({"order_id": 1002, "client_order_id": "my-4"})
class OrderCancelIn(CancelOrderIn, kw_only=True):
    """`order.cancel`."""

    order_id: int


class PositionChange(Change):
    """What may change on a position."""

    stop_loss: PositiveDecimal | UnsetType | None = UNSET
    take_profit: PositiveDecimal | UnsetType | None = UNSET
    trailing_points: Distance | UnsetType | None = UNSET

    def changes(self) -> PositionChanges:
        """Return what shall change, in the domain's terms."""
        return cast(PositionChanges, self.given("stop_loss", "take_profit", "trailing_points"))


@openapi.example({"stop_loss": "1.09600", "trailing_points": 150})
class ChangePositionIn(PositionChange):
    """PATCH /api/positions/{id}; `client_order_id` makes a repeat the same request."""

    client_order_id: ClientOrderId | None = None


@openapi.example({"position_id": 1004, "stop_loss": "1.09600", "trailing_points": 150})
class PositionModifyIn(ChangePositionIn, kw_only=True):
    """`position.modify`."""

    position_id: int


@openapi.example({"client_order_id": "my-5", "volume": "0.05"})
class ClosePositionIn(Input):
    """POST /api/positions/{id}/close."""

    client_order_id: ClientOrderId
    volume: PositiveDecimal | None = None


@openapi.example({"position_id": 1004, "client_order_id": "my-5", "volume": "0.05"})
class PositionCloseIn(ClosePositionIn, kw_only=True):
    """`position.close`."""

    position_id: int


@openapi.example({"position_id": 1004, "opposite_id": 1009, "client_order_id": "my-6"})
class CloseByIn(Input):
    """POST /api/positions/close-by and `position.close_by`."""

    position_id: int
    opposite_id: int
    client_order_id: ClientOrderId


@openapi.example({"account": 100001, "symbol": "EURUSD", "client_order_id": "my-7"})
class CloseAllIn(Input):
    """POST /api/positions/close-all and `position.close_all`."""

    account: int
    client_order_id: ClientOrderId
    symbol: SymbolName | None = None
