"""What trader requests may contain. Form only: whether an order is allowed is the account book's business."""

from typing import Annotated, Literal

from msgspec import Meta

from apps.trading.domain.orders import Side
from apps.trading.services.orders import MarketOrder
from rtx.kernel.rest import Input, PositiveDecimal

ClientOrderId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+\Z")]
SymbolName = Annotated[str, Meta(min_length=1, max_length=32)]
Points = Annotated[int, Meta(ge=0, le=1_000_000)]


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
    comment: Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")] = ""

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


class ClosePositionIn(Input):
    """POST /api/positions/{id}/close and `position.close` (there with `position_id`)."""

    client_order_id: ClientOrderId
    volume: PositiveDecimal | None = None
