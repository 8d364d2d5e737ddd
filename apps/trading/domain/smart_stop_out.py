"""
The smart stop-out: the fewest and smallest closes that bring the level back. Pure.

Source: cTrader help ("Smart stop-out": the part of the position with the largest margin that restores the
level). What a close would leave is computed as it would be booked, so the part that is found is exact.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from apps.groups.domain.terms import GroupSpec, StopOutRule, Terms
from apps.trading.domain import checks, deals, profit
from apps.trading.domain.filling import Desk
from apps.trading.domain.orders import Position
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.stop_out_rules import (
    CHOSEN_BY,
    Candidate,
    Choice,
    Known,
    Standing,
    by_rule,
    first_of,
    largest_close,
)
from rtx.kernel.money import ZERO, booked, digits, quantum

FREES_MOST = "frees the most margin"


class Smart:
    """Looks for the next close on one account as it stands."""

    def __init__(
        self,
        *,
        desk: Desk,
        market: MarketView,
        group: GroupSpec,
        standing: Standing,
        known: Known,
    ) -> None:
        self.desk, self.market, self.group = desk, market, group
        self.standing, self.known = standing, known

    def choose(self, positions: list[Position]) -> Choice:
        """
        Return what to close next, of positions that can be closed.

        Of the first by margin that restores the level, the smallest volume on its step that is enough. Where
        no single close is enough, the one that frees the most margin; where none frees any (positions that
        cover each other), the largest loss; once equity is gone all must go, the largest margin first.
        """
        if self.standing.equity <= -quantum(digits(self.desk.account.currency)):  # rounding cannot help
            reason = CHOSEN_BY[StopOutRule.LARGEST_MARGIN]
            return first_of(self._by_margin(positions), chosen_by=reason, market=self.market)
        ranked = sorted(self._by_margin(positions), key=lambda candidate: candidate.rank)
        freeing: list[tuple[Candidate, Decimal]] = []
        for candidate in _leaders(ranked):
            found = self._smallest(candidate.position)
            if found is not None:
                behind = ranked.index(candidate) + 1
                following = ranked[behind] if behind < len(ranked) else None
                return Choice(candidate, found, CHOSEN_BY[StopOutRule.SMART], following)
            freeing += self._freeing(candidate.position)
        if freeing:
            return _most(freeing)
        losing = by_rule(StopOutRule.LARGEST_LOSS, positions, self.known)
        return first_of(losing, chosen_by=CHOSEN_BY[StopOutRule.LARGEST_LOSS], market=self.market)

    def _by_margin(self, positions: list[Position]) -> Iterator[Candidate]:
        """Rank by the margin of what one close may take."""
        for position in positions:
            alone = self.known.margin_of(position) * largest_close(position, self.market) / position.volume
            yield Candidate(position, (-alone, position.opened_at, position.id), alone)

    def _freeing(self, position: Position) -> Iterator[tuple[Candidate, Decimal]]:
        """Yield the close of a position that frees the most margin, if any does."""
        freed, lots = max(
            (self.standing.margin - self._after(position, lots).margin, lots)
            for lots in self._turns(position)
        )
        if freed > 0:
            yield Candidate(position, (-freed, position.opened_at, position.id), freed), lots

    # -- how much of one position

    def _turns(self, position: Position) -> list[Decimal]:
        """
        Return the volumes between which margin only falls or only rises: where both sides of the symbol are
        even, and all that one close may take.
        """
        whole, terms = largest_close(position, self.market), self._terms(position)
        step = terms.symbol.volume_step
        net = self.known.net_beside(position)
        even = {net // step * step, _steps(net, step) * step} if net > 0 else set()
        least = min(terms.volume_min, whole)
        return sorted({whole, *(lots for lots in even if least <= lots < whole)})

    def _smallest(self, position: Position) -> Decimal | None:
        """Return the smallest volume on the step that restores the level, found by halving; None: none."""
        terms = self._terms(position)
        step = terms.symbol.volume_step
        low = _steps(min(terms.volume_min, largest_close(position, self.market)), step)
        for turn in self._turns(position):
            high = _steps(turn, step)
            if self._restores(position, turn):
                while low < high:
                    middle = (low + high) // 2
                    if self._restores(position, min(middle * step, turn)):
                        high = middle
                    else:
                        low = middle + 1
                return min(high * step, turn)
            low = high + 1
        return None

    def _restores(self, position: Position, lots: Decimal) -> bool:
        is_exposed = len(self.desk.positions) > 1 or lots < position.volume
        after = self._after(position, lots)
        return not after.is_at_most(self.group.stop_out_pct, is_exposed=is_exposed)

    # -- what a close leaves

    def _terms(self, position: Position) -> Terms:
        terms = self.market.terms(position.symbol)
        assert terms is not None  # it can be closed
        return terms

    def _after(self, position: Position, lots: Decimal) -> Standing:
        """Return how the account would stand if `lots` of a position were closed at the market."""
        desk, market, currency = self.desk, self.market, self.desk.account.currency
        quote = market.client(position.symbol)
        assert quote is not None  # it can be closed
        price = checks.closing_price(position.side, quote)
        is_whole = lots == position.volume
        cost = position.cost if is_whole else position.cost * lots / position.volume
        swap = position.swap if is_whole else booked(position.swap * lots / position.volume, currency)
        earned = profit.gross(
            side=position.side, volume=lots, cost=cost, close_price=price, terms=position.terms
        )
        rate = market.rate(position.terms.profit_currency, currency, selling=earned > 0, fresh=True)
        assert rate is not None  # it can be closed
        kept = self.standing.equity - self.known.result_of(position) + booked(earned * rate, currency) + swap
        others = [held for held in desk.of_symbol(position.symbol) if held.id != position.id]
        if not is_whole:
            rest = replace(
                position,
                volume=position.volume - lots,
                cost=position.cost - cost,
                swap=position.swap - swap,
            )
            others.append(rest)
            kept += (profit.floating(rest, market=market, currency=currency) or ZERO) + rest.swap
        return Standing(
            kept - self._commission(position, lots, price, rate),
            desk.margin_with(position.symbol, positions=others),
        )

    def _commission(self, position: Position, lots: Decimal, price: Decimal, rate: Decimal) -> Decimal:
        terms = self._terms(position)
        due, _ = deals.commission_due(
            terms.commission,
            entering=ZERO,
            leaving=lots,
            notional_per_lot=deals.lot_notional(terms, price=price, rate=rate),
            currency=self.desk.account.currency,
        )
        return due


def _leaders(ranked: list[Candidate]) -> list[Candidate]:
    """Return the first of each symbol and side: what it cannot free, no smaller one beside it can."""
    found: dict[tuple[str, str], Candidate] = {}
    for candidate in ranked:
        found.setdefault((candidate.position.symbol, candidate.position.side), candidate)
    return list(found.values())


def _most(freeing: list[tuple[Candidate, Decimal]]) -> Choice:
    ranked = sorted(freeing, key=lambda found: found[0].rank)
    (first, lots), *others = ranked
    return Choice(first, lots, FREES_MOST, others[0][0] if others else None)


def _steps(lots: Decimal, step: Decimal) -> int:
    """Return how many steps reach a volume, rounded up."""
    return int(lots // step) + bool(lots % step)
