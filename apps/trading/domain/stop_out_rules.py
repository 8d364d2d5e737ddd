"""
Which position a stop-out closes next, and how much of it. Pure. The smart rule is in smart_stop_out.py.

Source: MetaTrader 5 help ("Stop Out": the order with the largest margin, then the position with the largest
loss).
"""

import heapq
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from apps.groups.domain.terms import StopOutRule
from apps.trading.domain import margin
from apps.trading.domain.filling import Desk
from apps.trading.domain.orders import Order, Position, Side
from apps.trading.domain.pricing import MarketView
from rtx.kernel.money import ZERO, plain, rounded, text

HUNDRED = Decimal(100)
LEVEL_DIGITS = 2
SHOWN_DIGITS = 8  # of unrounded amounts in a dossier

CHOSEN_BY = {
    StopOutRule.LARGEST_LOSS: "largest loss",
    StopOutRule.LARGEST_MARGIN: "largest margin",
    StopOutRule.FIFO: "oldest",
    StopOutRule.SMART: "smallest part that restores the level",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Equity against margin at one moment of a stop-out, unrounded, in the account's currency."""

    equity: Decimal
    margin: Decimal

    @property
    def level_pct(self) -> Decimal | None:
        """Equity / margin x 100; None without margin."""
        return margin.level_pct(equity=self.equity, margin=self.margin)

    @property
    def level_text(self) -> str:
        """The level as clients are told it, in percent; empty without margin."""
        level = self.level_pct
        return "" if level is None else text(rounded(level, LEVEL_DIGITS))

    def is_at_most(self, level_pct: Decimal, *, is_exposed: bool) -> bool:
        """
        Say whether the margin level is at or below a level.

        Without margin the level is undefined: then an account with open positions counts as below every level
        once its equity is gone.
        """
        if self.margin:
            return self.equity * HUNDRED <= self.margin * level_pct
        return is_exposed and self.equity <= 0


class Candidate(NamedTuple):
    """A position that could be closed, with what the rule ranks it by and, of that, what a dossier shows."""

    position: Position
    rank: tuple[Any, ...]
    measure: Decimal | datetime

    @property
    def value(self) -> str:
        """What the rule ranks by, for the dossier."""
        return shown(self.measure) if isinstance(self.measure, Decimal) else self.measure.isoformat()


@dataclass(frozen=True, slots=True)
class Known:
    """
    What the rules rank by, as it is now: `result_of` is what closing a position would bring (floating profit
    with swap, unrounded), `margin_of` what it needs by itself, `nets` the net volume of a symbol, buys
    positive.
    """

    result_of: Callable[[Position], Decimal]
    margin_of: Callable[[Position], Decimal]
    nets: Mapping[str, Decimal]

    def net_beside(self, position: Position) -> Decimal:
        """Return by how much a position's side of its symbol outweighs the other."""
        net = self.nets[position.symbol]
        return net if position.side is Side.BUY else -net


def net_volumes(positions: Iterable[Position]) -> dict[str, Decimal]:
    """Return the net volume of each symbol, buys positive."""
    nets: dict[str, Decimal] = {}
    for held in positions:
        signed = held.volume if held.side is Side.BUY else -held.volume
        nets[held.symbol] = nets.get(held.symbol, ZERO) + signed
    return nets


def by_rule(rule: StopOutRule, positions: Iterable[Position], known: Known) -> Iterator[Candidate]:
    """Yield positions with their places in the order of a rule: the lowest rank goes first, equals by age."""
    for position in positions:
        age = (position.opened_at, position.id)
        if rule is StopOutRule.FIFO:
            yield Candidate(position, age, position.opened_at)
        elif rule is StopOutRule.LARGEST_LOSS:
            result = known.result_of(position)
            yield Candidate(position, (result, *age), result)
        else:
            yield _by_margin(position, known)


def _by_margin(position: Position, known: Known) -> Candidate:
    """
    Rank a position by the margin that goes with it: covered volume holds none of its own, and to close into
    it would need more. Where all is covered, the larger one first.
    """
    alone = known.margin_of(position)
    lots = min(position.volume, max(known.net_beside(position), ZERO))
    held = alone * lots / position.volume
    even = position.volume - lots if lots else ZERO
    return Candidate(position, (-held, even, -alone, position.opened_at, position.id), held)


def margin_of_order(order: Order) -> Decimal:
    """Return what a working order reserves by itself, unrounded."""
    return margin.of_symbol([], [order])


def frees_margin(desk: Desk, order: Order) -> bool:
    """Say whether canceling a working order would lower the account's margin."""
    return desk.margin_without(order.id) < desk.account.margin


def largest_close(position: Position, market: MarketView) -> Decimal:
    """
    Return the lots that one close of a position may take: the symbol's maximum volume, on its step, caps it.
    """
    terms = market.terms(position.symbol)
    if terms is None or position.volume <= terms.volume_max:
        return position.volume
    step = terms.symbol.volume_step
    return terms.volume_max // step * step or terms.volume_max


@dataclass(frozen=True, slots=True)
class Choice:
    """What is closed next and why; `runner_up` would have been next after it."""

    candidate: Candidate
    lots: Decimal
    chosen_by: str
    runner_up: Candidate | None


def first_of(candidates: Iterable[Candidate], *, chosen_by: str, market: MarketView) -> Choice:
    """Return the close of the first by rank, as much as one close may take; there is one at least."""
    first, *following = heapq.nsmallest(2, candidates, key=_rank)
    lots = largest_close(first.position, market)
    return Choice(first, lots, chosen_by, following[0] if following else None)


_rank = operator.attrgetter("rank")


def shown(amount: Decimal) -> str:
    """Return an unrounded amount as a dossier tells it."""
    return plain(rounded(amount, SHOWN_DIGITS))
