"""Positions: closing and changing them through the executor."""

from decimal import Decimal
from typing import TypedDict

from apps.trading.domain.commands import (
    CloseAll,
    CloseBy,
    ClosePosition,
    ModifyPosition,
    Outcome,
    order_command_id,
)
from apps.trading.services import executor
from apps.trading.services.orders import accepted, change_command_id
from rtx.kernel.actor import Actor


class PositionChanges(TypedDict, total=False):
    """What shall change on a position: absent stays, None is removed."""

    stop_loss: Decimal | None
    take_profit: Decimal | None
    trailing_points: int | None


def close_command(
    *, account_id: int, position_id: int, volume: Decimal | None, client_order_id: str, actor: Actor
) -> ClosePosition:
    """Return the command that closes a position, or `volume` lots of it."""
    return ClosePosition(
        account_id=account_id,
        command_id=order_command_id(account_id=account_id, client_order_id=client_order_id),
        actor=actor,
        client_order_id=client_order_id,
        position_id=position_id,
        volume=volume,
    )


def close_by_command(
    *, account_id: int, position_id: int, opposite_id: int, client_order_id: str, actor: Actor
) -> CloseBy:
    """Return the command that closes two opposite positions by one another."""
    return CloseBy(
        account_id=account_id,
        command_id=order_command_id(account_id=account_id, client_order_id=client_order_id),
        actor=actor,
        client_order_id=client_order_id,
        position_id=position_id,
        opposite_id=opposite_id,
    )


def close_all_command(
    *, account_id: int, client_order_id: str, actor: Actor, symbol: str | None = None
) -> CloseAll:
    """Return the command that closes every position of an account, or of one symbol on it."""
    return CloseAll(
        account_id=account_id,
        command_id=order_command_id(account_id=account_id, client_order_id=client_order_id),
        actor=actor,
        client_order_id=client_order_id,
        symbol=symbol,
    )


def modify_command(
    *, account_id: int, position_id: int, changes: PositionChanges, actor: Actor, key: str | None = None
) -> ModifyPosition:
    """Return the command that changes a position's stops; the same key again is the same request."""
    return ModifyPosition(
        account_id=account_id,
        command_id=change_command_id(account_id=account_id, key=key),
        actor=actor,
        position_id=position_id,
        **changes,
    )


def close(
    *,
    account_id: int,
    position_id: int,
    client_order_id: str,
    actor: Actor,
    volume: Decimal | None = None,
) -> Outcome:
    """
    Close a position at the market and wait for the outcome; `volume` in lots closes a part.

    :raises PositionNotFound: it is not open on this account.
    :raises ClientOrderIdReused: the id already names a different request.
    :raises Busy: the executor's queue is full; nothing was accepted.
    :raises OutcomeUnknown: no answer in time; repeat with the same id.
    """
    return executor.run(
        close_command(
            account_id=account_id,
            position_id=position_id,
            volume=volume,
            client_order_id=client_order_id,
            actor=actor,
        )
    )


def close_by(
    *, account_id: int, position_id: int, opposite_id: int, client_order_id: str, actor: Actor
) -> Outcome:
    """
    Close two opposite positions by one another and wait for the outcome.

    :raises PositionNotFound: one of them is not open on this account.
    :raises RtxError: as `close`.
    """
    return executor.run(
        close_by_command(
            account_id=account_id,
            position_id=position_id,
            opposite_id=opposite_id,
            client_order_id=client_order_id,
            actor=actor,
        )
    )


def close_all(*, account_id: int, client_order_id: str, actor: Actor, symbol: str | None = None) -> Outcome:
    """
    Close every position of an account, or of one symbol, and wait for the outcome.

    What cannot close stays open and is named, with its reason.

    :raises SymbolNotOffered: the account's group does not know the symbol.
    :raises RtxError: as `close`.
    """
    command = close_all_command(
        account_id=account_id, client_order_id=client_order_id, actor=actor, symbol=symbol
    )
    return executor.run(command)


def modify(
    *, account_id: int, position_id: int, changes: PositionChanges, actor: Actor, key: str | None = None
) -> Outcome:
    """
    Change a position's stop loss, take profit or trailing distance and wait for the outcome.

    :raises ChangeRefused: a rule refused it; nothing changed.
    :raises PositionNotFound: it is not open on this account.
    :raises RtxError: as `close`.
    """
    command = modify_command(
        account_id=account_id, position_id=position_id, changes=changes, actor=actor, key=key
    )
    return accepted(executor.run(command))
