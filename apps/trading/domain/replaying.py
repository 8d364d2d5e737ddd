"""
An account derived again from its journal. Pure: fed with events alone, compares what follows with what they
say.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

from apps.accounts.domain import ledger
from apps.accounts.domain.ledger import Line
from apps.trading.domain import deals, journal
from apps.trading.domain.commands import SwapBooked
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.journal import Payload
from apps.trading.domain.operations import swap_lines
from apps.trading.domain.orders import ContractTerms


class Divergence(Exception):
    """The journal and what is derived from it differ: a broken invariant."""


class Replay(Holdings):
    """Holdings that events change. Begins with the account as it was opened: no money, nothing held."""

    def replay(self, *, seq: int, type_: str, payload: Payload) -> list[Line]:
        """
        Derive one event again and return its ledger lines.

        :raises Divergence: the number is out of order, or what is derived differs from what the event says.
        """
        account = self.account
        if seq != account.seq + 1:
            raise Divergence(f"event {seq} follows event {account.seq}")
        account.seq = seq
        derive = _DERIVED.get(type_)
        if derive is None and type_ not in journal.WITHOUT_EFFECT:
            raise Divergence(f"event {seq} has the unknown type {type_}")
        lines = derive(self, payload) if derive else []
        for name, derived in (
            ("balance", account.balance),
            ("credit", account.credit),
            ("margin", account.margin),
        ):
            if name in payload and Decimal(payload[name]) != derived:
                raise Divergence(f"event {seq} says {name} {payload[name]}, derived is {derived}")
        return lines

    def _fills(self, payload: Payload) -> list[Line]:
        """One order, or several closed at once."""
        lines: list[Line] = []
        for order in payload["orders"] if "orders" in payload else [payload["order"]]:
            self.drop_order(order["id"])
            for kept in order["deals"]:
                lines += self._deal(kept, order=order, house=payload["house"][str(kept["id"])])
        return lines

    def _deal(self, kept: Payload, *, order: Payload, house: Payload) -> list[Line]:
        deal = journal.deal_read(kept, house=house, order=order)
        held = self.positions.get(deal.position_id)
        result = deals.settle(deal, position=held, currency=self.account.currency)
        for name, derived in (("profit", result.profit), ("swap", result.swap)):
            if Decimal(kept[name]) != derived:
                raise Divergence(f"deal {deal.id} says {name} {kept[name]}, derived is {derived}")
        return self.book_deal(deal, result)

    def _stops_out(self, payload: Payload) -> list[Line]:
        for order in payload["canceled"]:
            self.drop_order(order["id"])
        lines = self._fills(payload)
        protection = ledger.protection_lines(
            credit_used=Decimal(payload["credit_used"]), compensation=Decimal(payload["compensation"])
        )
        self.post(protection)
        return lines + protection

    def _works(self, payload: Payload) -> list[Line]:
        self.put_order(journal.order_read(payload["order"], house=payload["house"]["order"]))
        return []

    def _ends(self, payload: Payload) -> list[Line]:
        self.drop_order(payload["order"]["id"])
        return []

    def _stops(self, payload: Payload) -> list[Line]:
        told = payload["position"]
        stop_loss, take_profit = told["stop_loss"], told["take_profit"]
        self.change_stops(
            told["id"],
            stop_loss=None if stop_loss is None else Decimal(stop_loss),
            take_profit=None if take_profit is None else Decimal(take_profit),
            trailing_points=told["trailing_points"],
        )
        return []

    def _swaps(self, payload: Payload) -> list[Line]:
        lines: list[Line] = []
        day = date.fromisoformat(payload["date"])
        rolled_at = datetime.fromisoformat(payload["rolled_at"])
        for kept in payload["charges"]:
            due = journal.swap_read(kept, terms_version=payload["house"]["terms_version"])
            is_settled = not self.accrue_swap(due.position_id, due.amount)
            if is_settled is not kept["is_settled"]:
                raise Divergence(f"swap of position {due.position_id} on {day}: open or not is not as told")
            lines += swap_lines(SwapBooked(due, day, rolled_at, is_settled))
        self.post(lines)
        return lines

    def _balance(self, payload: Payload) -> list[Line]:
        lines = journal.balance_lines_read(payload)
        self.post(lines)
        return lines

    def _account(self, payload: Payload) -> list[Line]:
        self.account.status = payload.get("status", self.account.status)
        self.set_leverage(payload.get("leverage", self.account.leverage), *_terms_read(payload["house"]))
        return []

    def _moves(self, payload: Payload) -> list[Line]:
        house = payload["house"]
        if self.account.group_id not in (0, house["from_group_id"]):
            raise Divergence(f"it moves from group {house['from_group_id']}, not {self.account.group_id}")
        self.move(house["group_id"], payload["leverage"], *_terms_read(house))
        return []


def _terms_read(house: Payload) -> tuple[dict[int, ContractTerms], dict[int, ContractTerms]]:
    """Return the contract terms that an event tells, per position and per working order."""
    terms, order_terms = (
        {int(key): ContractTerms.decoded(kept) for key, kept in house.get(name, {}).items()}
        for name in ("terms", "order_terms")
    )
    return terms, order_terms


_DERIVED: dict[str, Callable[[Replay, Payload], list[Line]]] = {
    "order_filled": Replay._fills,
    "positions_closed": Replay._fills,
    "positions_closed_by": Replay._fills,
    "position_reversed": Replay._fills,
    "stopped_out": Replay._stops_out,
    "balance_protected": Replay._stops_out,
    "order_placed": Replay._works,
    "order_modified": Replay._works,
    "order_activated": Replay._works,
    "order_canceled": Replay._ends,
    "order_expired": Replay._ends,
    "order_rejected": Replay._ends,
    "position_modified": Replay._stops,
    "swaps_charged": Replay._swaps,
    "balance_changed": Replay._balance,
    "account_changed": Replay._account,
    "account_moved": Replay._moves,
}
