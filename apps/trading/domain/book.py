"""
The account book: one trading account with its positions and working orders, as pure rules.

It alone decides what a command does to an account. It knows no database and no clock. The rules of each
kind of command stand in one file: market_orders.py, pending_orders.py, order_triggers.py, stops.py,
closing.py, reversal.py, operations.py, moves.py, stop_out.py; what they share in filling.py. What it decides
is an event; replaying.py derives the account again from them.
"""

from collections.abc import Callable
from datetime import datetime

from apps.trading.domain import (
    closing,
    margin_calls,
    market_orders,
    moves,
    operations,
    order_triggers,
    pending_orders,
    reversal,
    stop_out,
    stops,
)
from apps.trading.domain.commands import (
    KEEP,
    CallMargin,
    CancelOrder,
    ChangeAccount,
    ChangeBalance,
    ChargeSwaps,
    CloseAccount,
    CloseAll,
    CloseBy,
    ClosePosition,
    Command,
    ExpireOrder,
    ModifyOrder,
    ModifyPosition,
    MoveAccount,
    Outcome,
    PlaceMarket,
    PlacePending,
    ReversePosition,
    StopOut,
    TrailStop,
    TriggerOrder,
    TriggerStop,
)
from apps.trading.domain.filling import Desk
from apps.trading.domain.orders import RejectReason
from apps.trading.domain.pricing import MarketView

HANDLERS: dict[type[Command], Callable[..., Outcome]] = {
    PlaceMarket: market_orders.place,
    PlacePending: pending_orders.place,
    ModifyOrder: pending_orders.modify,
    CancelOrder: pending_orders.cancel,
    ExpireOrder: order_triggers.expire,
    TriggerOrder: order_triggers.trigger,
    ModifyPosition: stops.modify,
    TrailStop: stops.trail,
    TriggerStop: stops.trigger,
    ClosePosition: closing.close,
    CloseBy: closing.close_by,
    CloseAll: closing.close_all,
    ReversePosition: reversal.reverse,
    ChangeBalance: operations.change_balance,
    ChangeAccount: operations.change_account,
    MoveAccount: moves.move,
    CloseAccount: operations.close_account,
    ChargeSwaps: operations.charge_swaps,
    StopOut: stop_out.stop_out,
    CallMargin: margin_calls.call,
}
PLACING = (PlaceMarket, PlacePending)
TICKETS_PER_COMMAND = 4


class AccountBook(Desk):
    """One trading account. Applies commands; a refusal changes nothing but the journal."""

    def apply(self, command: Command, *, market: MarketView, now: datetime) -> Outcome:
        """
        Decide one command and change the book accordingly. A refusal changes nothing but the journal.

        :raises PositionNotFound: the command names a position that is not open.
        :raises OrderNotWorking: the command names an order that is not working.
        :raises SymbolNotOffered: the command names a symbol that the group does not trade.
        :raises TriggerVoid: what was to be set off has gone, has changed or cannot happen now.
        :raises MoveRefused: the account does not fit the group that it shall move to.
        :raises StopOutVoid, StopOutStuck, MarginCallVoid: see stop_out.py and margin_calls.py.
        """
        return HANDLERS[type(command)](self, command, market, now)

    def grows_risk(self, command: Command) -> bool:
        """Say whether a command may add exposure: only then do pre-trade guards have a say."""
        if isinstance(command, PLACING):
            symbol, side, volume = command.symbol, command.side, command.volume
        elif isinstance(command, TriggerOrder | ModifyOrder):
            order = self.orders.get(command.order_id)
            if order is None:
                return False
            symbol, side, volume = order.symbol, order.side, order.volume
            if isinstance(command, ModifyOrder):
                if command.volume is KEEP or command.volume <= volume:
                    return False
                volume = command.volume
        else:
            return isinstance(command, ReversePosition)
        held = self.net_position(symbol)
        return held is None or held.side is side or volume > held.volume

    def refuse(self, command: Command, reason: RejectReason, *, market: MarketView, now: datetime) -> Outcome:
        """
        Refuse an order for a reason that lies outside the book (a guard).

        :raises TriggerVoid: nothing would be set off, so there is nothing to refuse.
        :raises OrderNotWorking: there is no such working order to change.
        :raises PositionNotFound: there is no such position to reverse.
        """
        if isinstance(command, PlaceMarket):
            self.terms_of(command.symbol, market, is_held=False)
            return self.rejected(market_orders.order_of(self, command, now), reason)
        if isinstance(command, PlacePending):
            self.terms_of(command.symbol, market, is_held=False)
            return self.rejected(pending_orders.order_of(self, command, now), reason)
        if isinstance(command, TriggerOrder):
            return order_triggers.trigger(self, command, market, now, refusal=reason)
        if isinstance(command, ModifyOrder):
            return pending_orders.modify(self, command, market, now, refusal=reason)
        if isinstance(command, ReversePosition):
            return reversal.reverse(self, command, market, now, refusal=reason)
        raise TypeError(f"only orders are guarded, not {type(command).__name__}")

    def tickets_for(self, command: Command) -> int:
        """Return how many numbers a command will take, as far as can be told before."""
        if isinstance(command, CloseAll):
            return closing.tickets_needed(self, command) + TICKETS_PER_COMMAND
        if isinstance(command, ReversePosition):
            return TICKETS_PER_COMMAND + 1
        if isinstance(command, StopOut):
            return TICKETS_PER_COMMAND + 2 * len(self.positions)
        return TICKETS_PER_COMMAND
