"""
What the staff log says about a command that staff gave: the executor writes it in the command's transaction.
Decides nothing.
"""

import re
from datetime import datetime
from typing import Any

import orjson

from apps.trading.domain import journal
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import Command, Outcome, PlaceMarket, PlacePending
from apps.trading.domain.orders import Position
from rtx.kernel.actor import ActorKind
from rtx.kernel.money import ZERO, plain, text

TABLE = "audit_staffaction"
COLUMNS = [
    "at",
    "actor",
    "user_id",
    "ip",
    "request_id",
    "operation",
    "target_type",
    "target_id",
    "target_label",
    "group_id",
    "account_id",
    "reason",
    "before",
    "after",
    "outcome",
    "detail",
    "command_id",
]
Told = dict[str, Any]
_word = re.compile(r"(?<=[a-z])(?=[A-Z])")


def state_before(command: Command, book: AccountBook) -> Told | None:
    """Return what a staff command is about to change; None for a command of anybody else."""
    if command.actor.kind is not ActorKind.STAFF:
        return None
    told = {**_money(book), **_facts(book)}
    position = _position_of(command, book)
    if position is not None:
        told["position"] = _position(position)
    order = book.orders.get(getattr(command, "order_id", 0))
    if order is not None:
        told["order"] = journal.public(journal.order_payload(order))
    return told


def action_row(
    command: Command, outcome: Outcome, book: AccountBook, *, before: Told, now: datetime
) -> tuple[Any, ...]:
    """Return the entry of a staff command that was decided, in the order of COLUMNS."""
    after = {
        "event_seq": outcome.seq,
        "event": outcome.type,
        **_money(book),
        **_facts(book),
    }
    position = _position_of(command, book)
    if position is not None:
        after["position"] = _position(position)
    opened = book.positions.get((outcome.payload.get("position") or {}).get("id", 0))
    if opened is not None and opened is not position:
        after["opened"] = {"id": opened.id, **_position(opened)}
    deals = [deal for order in outcome.orders for deal in order.deals]
    if deals:
        after["money"] = {
            name: text(sum((getattr(deal, name) for deal in deals), ZERO))
            for name in ("profit", "commission", "swap")
        }
    if outcome.orders:
        after["orders"] = [journal.public(journal.order_payload(order)) for order in outcome.orders]
    if outcome.refusal:
        after["reject_reason"] = outcome.refusal.value
    actor = command.actor
    kind, key, label = _target(command, outcome, book)
    return (
        now,
        actor.as_text(),
        actor.user_id,
        actor.ip,
        actor.request_id,
        f"trading.{_word.sub('_', type(command).__name__).lower()}",
        kind,
        str(key),
        label,
        book.account.group_id,
        book.account.id,
        actor.reason[:400],
        orjson.dumps(before).decode(),
        orjson.dumps(after).decode(),
        "refused" if outcome.refusal else "done",
        "",
        command.command_id,
    )


def _target(command: Command, outcome: Outcome, book: AccountBook) -> tuple[str, int, str]:
    position_id = getattr(command, "position_id", None)
    if position_id is not None:
        return "trading.position", position_id, f"position #{position_id} of {book.account.login}"
    order_id = getattr(command, "order_id", None) or (outcome.order.id if outcome.order else None)
    if order_id is not None:
        return "trading.order", order_id, f"order #{order_id} of {book.account.login}"
    return "accounts.tradingaccount", book.account.id, f"account {book.account.login}"


def _position_of(command: Command, book: AccountBook) -> Position | None:
    """Return the position that a command is about: the one it names, or that a netting order meets."""
    if isinstance(command, PlaceMarket | PlacePending):
        return book.net_position(command.symbol)
    return book.positions.get(getattr(command, "position_id", 0))


def _money(book: AccountBook) -> Told:
    account = book.account
    return {"balance": text(account.balance), "credit": text(account.credit), "margin": text(account.margin)}


def _facts(book: AccountBook) -> Told:
    account = book.account
    return {"group_id": account.group_id, "leverage": account.leverage, "status": account.status}


def _position(position: Position) -> Told:
    return {
        "symbol": position.symbol,
        "side": position.side.value,
        "volume": plain(position.volume),
        "open_price": text(position.open_price),
        "stop_loss": None if position.stop_loss is None else text(position.stop_loss),
        "take_profit": None if position.take_profit is None else text(position.take_profit),
        "trailing_points": position.trailing_points,
        "book": position.book,
    }
