"""The commands that actions on pages stand for: made once, for the dry run and for the deed."""

from typing import Any

from apps.accounts.models import TradingAccount
from apps.trading.domain.commands import Command, Outcome, ReversePosition
from apps.trading.forms import order_changes, position_changes
from apps.trading.models import Order, Position
from apps.trading.services import orders, positions, reversals
from rtx.kernel.admin_actions import Operation
from rtx.kernel.errors import Conflict


class OrderRefused(Conflict):
    """The book refused an order; the journal and the staff log tell of it."""

    is_logged = True


def filled(outcome: Outcome) -> dict[str, Any]:
    """
    Return the order of an outcome, the first one when it came again.

    :raises OrderRefused: the book refused it.
    """
    order: dict[str, Any] = outcome.payload["order"]
    reason = order["reject_reason"]
    if reason:
        raise OrderRefused(f"the book refused it ({reason})", code=reason)
    return order


def staff_key(operation: Operation, row: Any) -> str:
    """Return the id that makes a submission about a row the same request when it comes again."""
    return f"staff-{operation.request_key.hex}-{row.pk}"


def placing(account: TradingAccount, operation: Operation) -> Command:
    """Place the order that the form describes."""
    return orders.staff_command(
        account_id=account.pk,
        wanted=operation.values,
        client_order_id=staff_key(operation, account),
        actor=operation.actor,
    )


def canceling(order: Order, operation: Operation) -> Command:
    """Take one order back."""
    return orders.cancel_command(
        account_id=order.account_id,
        order_id=order.pk,
        key=staff_key(operation, order),
        actor=operation.actor,
    )


def modifying_order(order: Order, operation: Operation) -> Command:
    """Change what was edited on an order."""
    return orders.modify_command(
        account_id=order.account_id,
        order_id=order.pk,
        changes=order_changes(operation.values),
        key=staff_key(operation, order),
        actor=operation.actor,
    )


def closing(position: Position, operation: Operation) -> Command:
    """Close a position, or the lots that the form names."""
    return positions.close_command(
        account_id=position.account_id,
        position_id=position.pk,
        volume=operation.values.get("volume"),
        client_order_id=staff_key(operation, position),
        actor=operation.actor,
    )


def closing_by(position: Position, operation: Operation) -> Command:
    """Close a position by the opposite one that was chosen."""
    return positions.close_by_command(
        account_id=position.account_id,
        position_id=position.pk,
        opposite_id=operation.values["opposite_id"],
        client_order_id=staff_key(operation, position),
        actor=operation.actor,
    )


def closing_all(account: TradingAccount, operation: Operation) -> Command:
    """Close everything, or one symbol."""
    return positions.close_all_command(
        account_id=account.pk,
        symbol=operation.values["symbol"] or None,
        client_order_id=staff_key(operation, account),
        actor=operation.actor,
    )


def modifying_position(position: Position, operation: Operation) -> Command:
    """Change the stops that were edited."""
    return positions.modify_command(
        account_id=position.account_id,
        position_id=position.pk,
        changes=position_changes(operation.values),
        key=staff_key(operation, position),
        actor=operation.actor,
    )


def reversing(position: Position, operation: Operation) -> ReversePosition:
    """Reverse a position at its present price (only asked for: a second person decides)."""
    return reversals.command_of(position, deviation=operation.values["deviation"], actor=operation.actor)
