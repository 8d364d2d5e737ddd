"""
Which position a stop-out closes next, and how much of it. Pure.

Sources: MetaTrader 5 help ("Stop Out": the order with the largest margin, then the position with the largest
loss) and cTrader help ("Smart stop-out": the smallest part that restores the level).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from apps.groups.domain.terms import GroupSpec, StopOutRule, Terms
from apps.trading.domain import deals, margin
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
    rank: tuple[Decimal | datetime, datetime, int]
    value: str


def by_rule(
    rule: StopOutRule, positions: Iterable[Position], *, result_of: Callable[[Position], Decimal]
) -> list[Candidate]:
    """
    Return positions in the order in which a rule closes them; equals by age.

    `result_of` is what closing a position would bring now: floating profit with swap, unrounded.
    """
    found = []
    for position in positions:
        age = (position.opened_at, position.id)
        if rule is StopOutRule.FIFO:
            found.append(Candidate(position, (position.opened_at, *age), position.opened_at.isoformat()))
        elif rule is StopOutRule.LARGEST_LOSS:
            result = result_of(position)
            found.append(Candidate(position, (result, *age), shown(result)))
        else:
            alone = margin.of_symbol([position])
            found.append(Candidate(position, (-alone, *age), shown(alone)))
    return sorted(found, key=_rank)


def _rank(candidate: Candidate) -> tuple[Decimal | datetime, datetime, int]:
    return candidate.rank


def margin_of_order(desk: Desk, order: Order) -> Decimal:
    """Return what canceling a working order would free."""
    return desk.account.margin - desk.margin_without(order.id)


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a position would be closed, and whether that alone restores the level."""

    candidate: Candidate
    lots: Decimal
    restores: bool


def smart_part(
    candidates: list[Candidate],
    *,
    desk: Desk,
    market: MarketView,
    group: GroupSpec,
    standing: Standing,
    result_of: Callable[[Position], Decimal],
) -> Part:
    """
    Return the close that restores the level in the fewest steps: of the first position by margin whose
    closing frees margin the smallest volume on its step that is enough, else as much as one close may take.

    Where closing frees nothing (positions that cover each other), the largest loss goes, whole.
    """
    for candidate in candidates:
        whole = largest_close(candidate.position, market)
        if (
            _after(candidate.position, whole, desk=desk, market=market, standing=standing).margin
            < standing.margin
        ):
            lots, restores = _smallest(
                candidate.position, whole, desk=desk, market=market, group=group, standing=standing
            )
            return Part(candidate, lots, restores)
    held = [candidate.position for candidate in candidates]
    worst = by_rule(StopOutRule.LARGEST_LOSS, held, result_of=result_of)[0]
    return Part(worst, largest_close(worst.position, market), restores=False)


def largest_close(position: Position, market: MarketView) -> Decimal:
    """Return the lots that one close of a position may take: the symbol's maximum volume caps it."""
    terms = market.terms(position.symbol)
    return position.volume if terms is None else min(position.volume, terms.volume_max)


def _smallest(
    position: Position,
    whole: Decimal,
    *,
    desk: Desk,
    market: MarketView,
    group: GroupSpec,
    standing: Standing,
) -> tuple[Decimal, bool]:
    """Return the smallest volume on the step that restores the level, found by halving."""
    terms = market.terms(position.symbol)
    assert terms is not None  # it is offered or held

    def restores(lots: Decimal) -> bool:
        after = _after(position, lots, desk=desk, market=market, standing=standing)
        is_exposed = len(desk.positions) > 1 or lots < position.volume
        return not after.is_at_most(group.stop_out_pct, is_exposed=is_exposed)

    if not restores(whole):
        return whole, False
    step = terms.symbol.volume_step
    low, high = -(-min(terms.volume_min, whole) // step), -(-whole // step)
    while low < high:
        middle = (low + high) // 2
        if restores(min(middle * step, whole)):
            high = middle
        else:
            low = middle + 1
    return min(high * step, whole), True


def _after(
    position: Position, lots: Decimal, *, desk: Desk, market: MarketView, standing: Standing
) -> Standing:
    """Return how the account would stand if `lots` of a position were closed at the market."""
    terms, quote = market.terms(position.symbol), market.client(position.symbol)
    assert terms is not None and quote is not None  # noqa: PT018 - it can be closed
    others = [held for held in desk.of_symbol(position.symbol) if held.id != position.id]
    if lots < position.volume:
        others.append(_rest(position, lots))
    price = quote.bid if position.side is Side.BUY else quote.ask
    needed = desk.margin_with(position.symbol, positions=others)
    return Standing(standing.equity - _commission(position, lots, price, terms, desk, market), needed)


def _rest(position: Position, lots: Decimal) -> Position:
    left = position.volume - lots
    return replace(position, volume=left, cost=position.cost * left / position.volume)


def _commission(
    position: Position, lots: Decimal, price: Decimal, terms: Terms, desk: Desk, market: MarketView
) -> Decimal:
    """Return what closing would be charged; zero where a rate is missing (then the close itself fails)."""
    rate = market.rate(position.terms.profit_currency, desk.account.currency, selling=True, fresh=True)
    due, _ = deals.commission_due(
        terms.commission,
        entering=ZERO,
        leaving=lots,
        notional_per_lot=deals.lot_notional(terms, price=price, rate=rate or ZERO),
        currency=desk.account.currency,
    )
    return due


def shown(amount: Decimal) -> str:
    """Return an unrounded amount as a dossier tells it."""
    return plain(rounded(amount, SHOWN_DIGITS))
