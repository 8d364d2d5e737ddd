"""
What a trader may do to an account: for each operation its input, its command and its answer, once for REST
and WebSocket. Waits for nothing and knows no transport.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.accounts.selectors.accounts import AccountRef, owned
from apps.trading.api import inputs
from apps.trading.domain.commands import Command, Outcome
from apps.trading.domain.filling import OrderNotWorking
from apps.trading.domain.orders import OrderStatus
from apps.trading.selectors import books, history
from apps.trading.services import orders, positions
from rtx.kernel.actor import Actor
from rtx.kernel.errors import RtxError
from rtx.kernel.rest import Input

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it stands: by whom, for which account, about what (`target`), under which key."""

    account_id: int
    actor: Actor
    given: Any
    target: int = 0
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """
    One thing to do. `input` is the frame's data over WebSocket; `target` names its field for what REST has
    in the address. Without `find`, the input names its account by login.
    """

    input: type[Input]
    command: Callable[[Asked], Command]
    answer: Callable[[Outcome, int], Payload]
    target: str = ""
    find: Callable[[int, int], AccountRef] | None = None
    instead: Callable[[int, int, RtxError], Payload] | None = None
    is_keyed: bool = False

    def target_of(self, given: Any) -> int:
        """Return the id of what a request is about when the input names it; 0: it is about an account."""
        return int(getattr(given, self.target)) if self.target else 0


def _account_of_order(user_id: int, order_id: int) -> AccountRef:
    return history.account_of_order(user_id=user_id, order_id=order_id)


def _account_of_position(user_id: int, position_id: int) -> AccountRef:
    return books.account_of_position(user_id=user_id, position_id=position_id)


def _order(outcome: Outcome, login: int) -> Payload:
    return books.order_answer(orders.accepted(outcome), login=login)


def _position(outcome: Outcome, login: int) -> Payload:
    return books.position_answer(orders.accepted(outcome), login=login)


def _all_closed(outcome: Outcome, login: int) -> Payload:
    return books.close_all_answer(outcome, login=login)


def _final(user_id: int, order_id: int, error: RtxError) -> Payload:
    """
    Say of an order that the book no longer has that it is final.

    :raises OrderNotWorking: it is.
    :raises RtxError: the error as it was, when it says something else.
    """
    if not isinstance(error, OrderNotWorking):
        raise error
    found = history.order(user_id=user_id, order_id=order_id)
    raise OrderNotWorking(f"Order {order_id} is {found.get_status_display().lower()}.") from error


def _canceled(user_id: int, order_id: int, error: RtxError) -> Payload:
    """
    Answer the cancel of an order that is canceled already with the order.

    :raises OrderNotWorking: it ended in another way.
    :raises RtxError: the error as it was, when it says something else.
    """
    if isinstance(error, OrderNotWorking):
        found = history.order(user_id=user_id, order_id=order_id)
        if found.status == OrderStatus.CANCELED:
            return history.order_view(found)
    return _final(user_id, order_id, error)


MARKET = Operation(
    input=inputs.MarketOrderIn,
    command=lambda asked: orders.market_command(
        account_id=asked.account_id, order=asked.given.to_domain(), actor=asked.actor
    ),
    answer=_order,
)
PENDING = Operation(
    input=inputs.PendingOrderIn,
    command=lambda asked: orders.pending_command(
        account_id=asked.account_id, order=asked.given.to_domain(), actor=asked.actor
    ),
    answer=_order,
)
MODIFY_ORDER = Operation(
    input=inputs.OrderModifyIn,
    target="order_id",
    find=_account_of_order,
    is_keyed=True,
    command=lambda asked: orders.modify_command(
        account_id=asked.account_id,
        order_id=asked.target,
        changes=asked.given.changes(),
        actor=asked.actor,
        key=asked.key,
    ),
    answer=_order,
    instead=_final,
)
CANCEL = Operation(
    input=inputs.OrderCancelIn,
    target="order_id",
    find=_account_of_order,
    is_keyed=True,
    command=lambda asked: orders.cancel_command(
        account_id=asked.account_id, order_id=asked.target, actor=asked.actor, key=asked.key
    ),
    answer=_order,
    instead=_canceled,
)
MODIFY_POSITION = Operation(
    input=inputs.PositionModifyIn,
    target="position_id",
    find=_account_of_position,
    is_keyed=True,
    command=lambda asked: positions.modify_command(
        account_id=asked.account_id,
        position_id=asked.target,
        changes=asked.given.changes(),
        actor=asked.actor,
        key=asked.key,
    ),
    answer=_position,
)
CLOSE = Operation(
    input=inputs.PositionCloseIn,
    target="position_id",
    find=_account_of_position,
    command=lambda asked: positions.close_command(
        account_id=asked.account_id,
        position_id=asked.target,
        volume=asked.given.volume,
        client_order_id=asked.given.client_order_id,
        actor=asked.actor,
    ),
    answer=_order,
)
CLOSE_BY = Operation(
    input=inputs.CloseByIn,
    target="position_id",
    find=_account_of_position,
    command=lambda asked: positions.close_by_command(
        account_id=asked.account_id,
        position_id=asked.given.position_id,
        opposite_id=asked.given.opposite_id,
        client_order_id=asked.given.client_order_id,
        actor=asked.actor,
    ),
    answer=_order,
)
CLOSE_ALL = Operation(
    input=inputs.CloseAllIn,
    command=lambda asked: positions.close_all_command(
        account_id=asked.account_id,
        symbol=asked.given.symbol,
        client_order_id=asked.given.client_order_id,
        actor=asked.actor,
    ),
    answer=_all_closed,
)

# By their names over WebSocket.
OPERATIONS: Mapping[str, Operation] = {
    "order.market": MARKET,
    "order.pending": PENDING,
    "order.modify": MODIFY_ORDER,
    "order.cancel": CANCEL,
    "position.modify": MODIFY_POSITION,
    "position.close": CLOSE,
    "position.close_by": CLOSE_BY,
    "position.close_all": CLOSE_ALL,
}


def account_of(operation: Operation, *, user_id: int, given: Any, target: int) -> AccountRef:
    """
    Return the caller's account that a request is about.

    :raises NotFound: there is no such account, order or position of the caller.
    """
    if operation.find is not None:
        return operation.find(user_id, target)
    return owned(user_id=user_id, login=given.account)
