"""Positions: closing them, whole or in part, through the executor."""

from decimal import Decimal

from apps.trading.domain.commands import ClosePosition, Outcome, order_command_id
from apps.trading.services import executor
from rtx.kernel.actor import Actor


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
