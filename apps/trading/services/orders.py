"""Orders: build the command of a request and run it through the executor."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict
from uuid import UUID, uuid4

from apps.trading.domain.commands import (
    CancelOrder,
    ModifyOrder,
    Outcome,
    PlaceMarket,
    PlacePending,
    order_command_id,
)
from apps.trading.domain.orders import OrderType, Side, TimeInForce
from apps.trading.services import executor
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Invalid

REFUSED_CHANGES = frozenset({"order_change_rejected", "position_change_rejected"})


class ChangeRefused(Conflict):
    """A rule refused to change an order or a position; the code is the rule's reason."""

    is_logged = True

    title = "Change refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketOrder:
    """A request to buy or sell at the market; volume in lots, deviation in points."""

    symbol: str
    side: Side
    volume: Decimal
    client_order_id: str
    price: Decimal | None = None
    deviation: int | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingOrder:
    """A request to buy or sell once a price is reached; volume in lots, `trailing_points` in points."""

    symbol: str
    side: Side
    volume: Decimal
    client_order_id: str
    type: OrderType
    price: Decimal
    stop_limit_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_points: int | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at: datetime | None = None
    comment: str = ""


class OrderChanges(TypedDict, total=False):
    """What shall change on a working order: absent stays, None is removed."""

    volume: Decimal
    price: Decimal
    stop_limit_price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    trailing_points: int | None
    time_in_force: TimeInForce
    expires_at: datetime | None


def change_command_id(*, account_id: int, key: str | None) -> UUID:
    """
    Return the id of a command that creates no order: the one that the caller's key stands for, else a new
    one.

    Keys and `client_order_id`s of an account share one space, so that none can stand for two requests.
    """
    return order_command_id(account_id=account_id, client_order_id=key) if key else uuid4()


def accepted(outcome: Outcome) -> Outcome:
    """
    Return the outcome of a change that was made, the first one when it came again.

    :raises ChangeRefused: a rule refused it; `code` is the reason.
    """
    if outcome.type in REFUSED_CHANGES:
        reason = outcome.payload["reject_reason"]
        raise ChangeRefused(f"The change was refused: {reason}.", code=reason)
    return outcome


def market_command(*, account_id: int, order: MarketOrder, actor: Actor) -> PlaceMarket:
    """Return the command of a market order; its `client_order_id` makes it unique on the account."""
    return PlaceMarket(
        account_id=account_id,
        command_id=order_command_id(account_id=account_id, client_order_id=order.client_order_id),
        actor=actor,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        volume=order.volume,
        price=order.price,
        deviation=order.deviation,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        comment=order.comment,
    )


def pending_command(*, account_id: int, order: PendingOrder, actor: Actor) -> PlacePending:
    """Return the command of a pending order; its `client_order_id` makes it unique on the account."""
    return PlacePending(
        account_id=account_id,
        command_id=order_command_id(account_id=account_id, client_order_id=order.client_order_id),
        actor=actor,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        volume=order.volume,
        type=order.type,
        price=order.price,
        stop_limit_price=order.stop_limit_price,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        trailing_points=order.trailing_points,
        time_in_force=order.time_in_force,
        expires_at=order.expires_at,
        comment=order.comment,
    )


FIELDS_OF = {
    OrderType.MARKET: frozenset({"deviation"}),
    OrderType.LIMIT: frozenset({"trailing_points", "time_in_force", "expires_at"}),
    OrderType.STOP: frozenset({"trailing_points", "time_in_force", "expires_at"}),
    OrderType.STOP_LIMIT: frozenset({"stop_limit_price", "trailing_points", "time_in_force", "expires_at"}),
}
NEEDED_BY = {OrderType.STOP_LIMIT: ("price", "stop_limit_price"), OrderType.MARKET: ()}


def misplaced(wanted: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return which fields of an order do not belong to its type, or are missing, each with the reason."""
    kind = OrderType(wanted["type"])
    given = {name for name, value in wanted.items() if value not in (None, "")}
    foreign = frozenset().union(*FIELDS_OF.values()) - FIELDS_OF[kind]
    words = kind.value.replace("_", " ")
    wrong = {name: [f"does not belong to a {words} order"] for name in sorted(foreign & given)}
    missing = set(NEEDED_BY.get(kind, ("price",))) - given
    return wrong | {name: [f"is needed for a {words} order"] for name in sorted(missing)}


def staff_command(
    *, account_id: int, wanted: Mapping[str, Any], client_order_id: str, actor: Actor
) -> PlaceMarket | PlacePending:
    """
    Return the command of an order that staff place, of whatever `type`; what is empty was not asked for.

    :raises Invalid: a field does not belong to this type of order, or is missing.
    """
    wrong = misplaced(wanted)
    given = {name: value for name, value in wanted.items() if value not in (None, "")}
    kind = OrderType(given.pop("type"))
    given["side"] = Side(given["side"])
    if wrong:
        raise Invalid(f"An order of type {kind} cannot be like this: {', '.join(wrong)}.", errors=wrong)
    if kind is OrderType.MARKET:
        order = MarketOrder(**given, client_order_id=client_order_id)
        return market_command(account_id=account_id, order=order, actor=actor)
    given["time_in_force"] = TimeInForce(given.get("time_in_force", TimeInForce.GTC))
    waiting = PendingOrder(**given, type=kind, client_order_id=client_order_id)
    return pending_command(account_id=account_id, order=waiting, actor=actor)


def modify_command(
    *, account_id: int, order_id: int, changes: OrderChanges, actor: Actor, key: str | None = None
) -> ModifyOrder:
    """Return the command that changes a working order; the same key again is the same request."""
    return ModifyOrder(
        account_id=account_id,
        command_id=change_command_id(account_id=account_id, key=key),
        actor=actor,
        order_id=order_id,
        **changes,
    )


def cancel_command(*, account_id: int, order_id: int, actor: Actor, key: str | None = None) -> CancelOrder:
    """Return the command that takes a working order back; the same key again is the same request."""
    return CancelOrder(
        account_id=account_id,
        command_id=change_command_id(account_id=account_id, key=key),
        actor=actor,
        order_id=order_id,
    )


def place_market(*, account_id: int, order: MarketOrder, actor: Actor) -> Outcome:
    """
    Place one market order and wait for its outcome. A repeated `client_order_id` returns the first outcome.

    :raises ClientOrderIdReused: the id already names a different request.
    :raises SymbolNotOffered: the account's group does not trade the symbol.
    :raises Busy: the executor's queue is full; nothing was accepted.
    :raises OutcomeUnknown: no answer in time; repeat with the same id.
    """
    return executor.run(market_command(account_id=account_id, order=order, actor=actor))


def place_pending(*, account_id: int, order: PendingOrder, actor: Actor) -> Outcome:
    """
    Place one pending order and wait for its outcome. A repeated `client_order_id` returns the first outcome.

    :raises Invalid: type, time in force and expiry do not fit together.
    :raises RtxError: as `place_market`.
    """
    return executor.run(pending_command(account_id=account_id, order=order, actor=actor))


def modify(
    *, account_id: int, order_id: int, changes: OrderChanges, actor: Actor, key: str | None = None
) -> Outcome:
    """
    Change a working order and wait for the outcome.

    :raises ChangeRefused: a rule refused it; nothing changed.
    :raises NotFound: the account has no such working order.
    :raises RtxError: as `place_market`.
    """
    command = modify_command(account_id=account_id, order_id=order_id, changes=changes, actor=actor, key=key)
    return accepted(executor.run(command))


def cancel(*, account_id: int, order_id: int, actor: Actor, key: str | None = None) -> Outcome:
    """
    Take a working order back and wait for the outcome.

    :raises ChangeRefused: a rule refused it; the order works on.
    :raises NotFound: the account has no such working order.
    :raises RtxError: as `place_market`.
    """
    command = cancel_command(account_id=account_id, order_id=order_id, actor=actor, key=key)
    return accepted(executor.run(command))
