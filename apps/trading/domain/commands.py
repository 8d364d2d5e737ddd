"""
Commands that change an account, and the outcome that answers them. Pure.

A command's `command_id` makes it unique in the journal; its `fingerprint` tells whether a repeat has the
same content.
"""

import hashlib
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from apps.accounts.domain.ledger import BalanceKind, Line
from apps.market.domain.quotes import Quote
from apps.trading.domain.orders import Order, OrderReason, OrderType, RejectReason, Side, TimeInForce
from rtx.kernel.actor import Actor
from rtx.kernel.money import plain

_IDENTITY = frozenset({"command_id", "actor", "raw", "unwatched_ms", "cause", "quote_time_ms", "fence"})


def order_command_id(*, account_id: int, client_order_id: str) -> UUID:
    """Return the one command id that an account's `client_order_id` stands for."""
    return uuid5(NAMESPACE_OID, f"rtx:order:{account_id}:{client_order_id}")


def rollover_command_id(*, account_id: int, day: date) -> UUID:
    """Return the one command id of an account's rollover at the end of a trading day."""
    return uuid5(NAMESPACE_OID, f"rtx:rollover:{account_id}:{day.isoformat()}")


def trigger_command_id(*, account_id: int, what: str) -> UUID:
    """Return the one command id of setting something off once, for example an order or a position's stop."""
    return uuid5(NAMESPACE_OID, f"rtx:trigger:{account_id}:{what}")


def balance_command_id(*, account_id: int, reference: str) -> UUID:
    """Return the one command id that a balance operation's reference stands for."""
    return uuid5(NAMESPACE_OID, f"rtx:balance:{account_id}:{reference}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Base of every command: which account, which id, by whom."""

    account_id: int
    command_id: UUID
    actor: Actor

    @property
    def fingerprint(self) -> str:
        """A hash of kind and content, without id, actor and the quote of a trigger: 32 hex digits."""
        parts = [type(self).__name__]
        for name in _content_fields(type(self)):
            value = getattr(self, name)
            parts.append(plain(value) if isinstance(value, Decimal) else str(value))
        return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


_FIELDS: dict[type, tuple[str, ...]] = {}


def _content_fields(kind: type) -> tuple[str, ...]:
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(f.name for f in fields(kind) if f.name not in _IDENTITY)
    return _FIELDS[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceMarket(Command):
    """
    Buy or sell at the market. Volume in lots.

    With `price`, a fill worse than it by more than `deviation` points (none given: 0) is refused as a
    requote.
    """

    client_order_id: str
    symbol: str
    side: Side
    volume: Decimal
    price: Decimal | None = None
    deviation: int | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacePending(Command):
    """
    Leave an order that waits for its price: a limit, a stop, or a stop that becomes a limit.

    `expires_at` belongs to GTD. IOC and FOK are for limits: what cannot fill at once is canceled.
    """

    client_order_id: str
    symbol: str
    side: Side
    volume: Decimal
    type: OrderType
    price: Decimal
    stop_limit_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_points: int | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at: datetime | None = None
    comment: str = ""


class Keep(Enum):
    """Says that a modification leaves a value as it is; None would remove it."""

    KEEP = "keep"


KEEP = Keep.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyOrder(Command):
    """Change a working order. What is KEEP stays."""

    order_id: int
    volume: Decimal | Keep = KEEP
    price: Decimal | Keep = KEEP
    stop_limit_price: Decimal | Keep = KEEP
    stop_loss: Decimal | Keep | None = KEEP
    take_profit: Decimal | Keep | None = KEEP
    trailing_points: int | Keep | None = KEEP
    time_in_force: TimeInForce | Keep = KEEP
    expires_at: datetime | Keep | None = KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder(Command):
    """Take a working order back."""

    order_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireOrder(Command):
    """End a working order whose time is over (the engine's clock asks, the book checks)."""

    order_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerOrder(Command):
    """
    Set off a working order that one quote reached: fill it, or turn a stop limit into a limit.

    `armed_price` is the price the engine watched: an order that meanwhile waits for another is left alone.
    `raw` is the feed's quote that reached it; the fill is at this quote's client price. `unwatched_ms` is how
    long nobody watched before it (an outage), 0 in normal operation.
    """

    order_id: int
    armed_price: Decimal
    raw: Quote
    unwatched_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerStop(Command):
    """Close a position whose stop loss or take profit one quote reached (see TriggerOrder)."""

    position_id: int
    kind: OrderReason
    armed_price: Decimal
    raw: Quote
    unwatched_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailStop(Command):
    """Pull a trailing stop after a quote that moved in the position's favor."""

    position_id: int
    raw: Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyPosition(Command):
    """Change a position's stop loss, take profit or trailing distance. What is KEEP stays."""

    position_id: int
    stop_loss: Decimal | Keep | None = KEEP
    take_profit: Decimal | Keep | None = KEEP
    trailing_points: int | Keep | None = KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePosition(Command):
    """Close a position at the market, or `volume` lots of it."""

    client_order_id: str
    position_id: int
    volume: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseBy(Command):
    """Close a position by an opposite one on the same symbol: the smaller volume of both leaves."""

    client_order_id: str
    position_id: int
    opposite_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAll(Command):
    """Close every position of the account, or of one symbol, at the market. What cannot close stays open."""

    client_order_id: str
    symbol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversePosition(Command):
    """
    Turn a position of the B-book round: close it whole and open as much the other way, at one price.

    `side` and `volume` are what the position must still be, `price` what was agreed on; a present one more
    than `deviation` points away from it, either way, is refused as a requote. The command's id is the
    reversal's.
    """

    position_id: int
    side: Side
    volume: Decimal
    price: Decimal
    deviation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapDue:
    """One position's charge for one night (negative: the client pays), computed by swaps.py."""

    position_id: int
    symbol: str
    kind: str
    side: Side
    volume: Decimal
    mode: str
    value: Decimal
    multiplier: int
    price: Decimal | None
    rate: Decimal
    amount: Decimal
    terms_version: int = field(repr=False)  # not content: a run under another version says the same


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeSwaps(Command):
    """Charge one trading day's swaps: what is still open carries them, what has closed since pays at once."""

    date: date
    rolled_at: datetime
    charges: tuple[SwapDue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBalance(Command):
    """
    Deposit, withdraw, adjust or credit: `amount` is signed as the client sees it, in the account's currency.
    """

    kind: BalanceKind
    amount: Decimal
    reference: str
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAccount(Command):
    """Change an account's leverage or status. None leaves a value as it is."""

    leverage: int | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAccount(Command):
    """Close an account that holds nothing and owes nothing: it is disabled, its history stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAccount(Command):
    """
    Move an account to another trading group; without a leverage it keeps its own, at most the group's.

    A move that would leave the account at or below the group's stop-out level is refused, and so is one that
    cannot be judged for want of a price, unless `accepts_stop_out` says that this was seen and wanted.
    """

    group_id: int
    leverage: int | None = None
    accepts_stop_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOut(Command):
    """
    Bring an account back above its stop-out level by the group's rule, and protect its balance.

    The book decides by itself whether the level is at or below stop-out: nothing to do is StopOutVoid,
    nothing that can be closed now is StopOutStuck. `cause`, `quote_time_ms` (the quote that called for it)
    and `fence` (the leadership that asked) are told in the dossier and decide nothing.
    """

    cause: str = "monitor"
    quote_time_ms: int | None = None
    fence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMargin(Command):
    """Tell of a margin call (the level is at or below the group's), or (`ends`) that it is over."""

    ends: bool = False


@dataclass(frozen=True, slots=True)
class SwapBooked:
    """A charge as it was booked: on the position, or (`is_settled`) to the balance."""

    due: SwapDue
    date: date
    rolled_at: datetime
    is_settled: bool


@dataclass(slots=True)
class Outcome:
    """
    What became of one command: the event to append, with its effects. `orders` are those it made or changed.

    `refusal` is set when a business rule said no; the event is journaled all the same. `repeated` marks the
    first outcome of a command that came again. `dossier` is the full working of a stop-out (dossiers.py).
    """

    seq: int
    type: str
    payload: dict[str, Any]
    orders: list[Order] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    swaps: list[SwapBooked] = field(default_factory=list)
    refusal: RejectReason | None = None
    repeated: bool = False
    dossier: dict[str, Any] | None = None

    @property
    def order(self) -> Order | None:
        """The order that the command was about, the first one when there are several."""
        return self.orders[0] if self.orders else None
