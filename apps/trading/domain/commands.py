"""
Commands that change an account, and the outcome that answers them. Pure.

A command's `command_id` makes it unique in the journal; its `fingerprint` tells whether a repeat has the
same content.
"""

import hashlib
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from apps.accounts.domain.ledger import BalanceKind, Line
from apps.trading.domain.orders import Order, RejectReason, Side
from rtx.kernel.actor import Actor
from rtx.kernel.money import plain

_IDENTITY = frozenset({"command_id", "actor"})


def order_command_id(*, account_id: int, client_order_id: str) -> UUID:
    """Return the one command id that an account's `client_order_id` stands for."""
    return uuid5(NAMESPACE_OID, f"rtx:order:{account_id}:{client_order_id}")


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
        """A hash of the command's kind and content, without its id and actor: 32 hex digits."""
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
class ClosePosition(Command):
    """Close a position at the market, or `volume` lots of it."""

    client_order_id: str
    position_id: int
    volume: Decimal | None = None


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


@dataclass(slots=True)
class Outcome:
    """
    What became of one command: the event to append, with its effects.

    `refusal` is set when a business rule said no; the event is journaled all the same. `repeated` marks the
    first outcome of a command that came again.
    """

    seq: int
    type: str
    payload: dict[str, Any]
    order: Order | None = None
    lines: list[Line] = field(default_factory=list)
    refusal: RejectReason | None = None
    repeated: bool = False
