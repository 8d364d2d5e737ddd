"""
Which position a stop-out closes next, and how much of it. Pure. The smart rule is in smart_stop_out.py.

Source: MetaTrader 5 help ("Stop Out": the order with the largest margin, then the position with the largest
loss).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.groups.domain.terms import StopOutRule
from apps.trading.domain import margin
from apps.trading.domain.filling import Desk
from apps.trading.domain.orders import Order, Position, Side
from apps.trading.domain.pricing import MarketView
from rtx.kernel.money import ZERO, plain, rounded

HUNDRED = Decimal(100)
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

    def is_at_most(self, level_pct: Decimal, *, is_exposed: bool) -> bool:
        """
        Say whether the margin level is at or below a level.

        Without margin the level is undefined: then an account with open positions counts as below every level
        once its equity is gone.
        """
        if self.margin:
            return self.equity * HUNDRED <= self.margin * level_pct
        return is_exposed and self.equity <= 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A position that could be closed, with what the rule ranks it by; `value` is for the dossier."""

    position: Position
    rank: tuple[Any, ...]
    value: str


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


def by_rule(rule: StopOutRule, positions: Iterable[Position], known: Known) -> list[Candidate]:
    """Return positions in the order in which a rule closes them; equals by age."""
    found = []
    for position in positions:
        if rule is StopOutRule.FIFO:
            found.append(Candidate(position, (position.opened_at,), position.opened_at.isoformat()))
        elif rule is StopOutRule.LARGEST_LOSS:
            result = known.result_of(position)
            found.append(Candidate(position, (result,), shown(result)))
        else:
            found.append(_by_margin(position, known))
    return sorted(found, key=lambda one: (*one.rank, one.position.opened_at, one.position.id))


def _by_margin(position: Position, known: Known) -> Candidate:
    """
    Rank a position by the margin that goes with it: covered volume holds none of its own, and to close into
    it would need more. Where all is covered, the larger one first.
    """
    alone = known.margin_of(position)
    lots = min(position.volume, max(known.net_beside(position), ZERO))
    held = alone * lots / position.volume
    return Candidate(position, (-held, position.volume - lots if lots else ZERO, -alone), shown(held))


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


def first_of(ranked: list[Candidate], *, chosen_by: str, market: MarketView) -> Choice:
    """Return the close of the first of a ranking, as much as one close may take."""
    first = ranked[0]
    return Choice(first, largest_close(first.position, market), chosen_by, _second(ranked))


def _second(ranked: list[Candidate]) -> Candidate | None:
    return ranked[1] if len(ranked) > 1 else None


def shown(amount: Decimal) -> str:
    """Return an unrounded amount as a dossier tells it."""
    return plain(rounded(amount, SHOWN_DIGITS))
