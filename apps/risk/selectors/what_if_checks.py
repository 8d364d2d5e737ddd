"""
Single accounts of a what-if, exactly: read from their rows, valued in Decimal as the account book values
them, before and after. Nothing is changed: what is re-margined is a copy in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from apps.risk.domain.shocks import Shock
from apps.risk.selectors.what_if_arrays import CALLED, CLOSED, FREE, Side
from apps.trading.domain.holdings import Account, Holdings
from apps.trading.domain.orders import ContractTerms
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors.books import holdings
from rtx.kernel.money import ZERO


@dataclass(frozen=True, slots=True)
class Figures:
    """One account at one side; `equity` is None without a price, `level_pct` without margin."""

    state: int
    equity: Decimal | None
    margin: Decimal
    level_pct: Decimal | None


@dataclass(frozen=True, slots=True)
class Checked:
    """One account before and after."""

    account: Account
    before: Figures
    after: Figures


def checked(account_ids: Sequence[int], *, sides: tuple[Side, Side], shock: Shock) -> dict[int, Checked]:
    """Value these accounts before and after; one that is gone meanwhile is left out."""
    found = {}
    for held in holdings(account_ids) if account_ids else ():
        if held.account.group_id not in sides[0].book.groups:
            continue
        before = figures(held, sides[0])
        if held.account.group_id in shock.leverages:
            _remargin(held, sides[1].markets.of_group(held.account.group_id))
        found[held.account.id] = Checked(held.account, before, figures(held, sides[1]))
    return found


def figures(held: Holdings, side: Side) -> Figures:
    """Value one account at one side."""
    account = held.account
    value = held.valuation(side.markets.of_group(account.group_id))
    if value is None:
        return Figures(FREE, None, account.margin, None)
    group = side.book.groups[account.group_id]
    state = FREE
    if value.level_pct is None:
        if held.positions and value.equity <= ZERO:
            state = CLOSED
    elif value.level_pct <= group.stop_out_pct:
        state = CLOSED
    elif value.level_pct <= group.margin_call_pct:
        state = CALLED
    return Figures(state, value.equity, account.margin, value.level_pct)


def _remargin(held: Holdings, market: MarketView) -> None:
    """Margin positions and working orders as if the account's leverage were set again under these terms."""

    def under(terms: ContractTerms, symbol: str) -> ContractTerms:
        offered = market.terms(symbol)
        if offered is None:
            return terms
        return replace(terms, leverage=min(held.account.leverage, offered.leverage_max))

    held.set_leverage(
        held.account.leverage,
        {position.id: under(position.terms, position.symbol) for position in held.positions.values()},
        {
            order.id: under(order.terms, order.symbol)
            for order in held.orders.values()
            if order.terms is not None
        },
    )
