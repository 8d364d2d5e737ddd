"""
An account that changes its trading group: what may move, and what it is worth there. Pure.

The market of a move is the new group's: margin, prices and levels are those under which the account will
trade. What is held keeps its contract; leverage and margin schedule are the new group's.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from apps.groups.domain.terms import GroupSpec
from apps.trading.domain.commands import MoveAccount, Outcome
from apps.trading.domain.filling import Desk
from apps.trading.domain.holdings import Holdings, Valuation
from apps.trading.domain.orders import ContractTerms
from apps.trading.domain.pricing import MarketView
from rtx.kernel.errors import Conflict, Invalid
from rtx.kernel.money import ZERO


class MoveRefused(Conflict):
    """The account does not fit the group; the code says why."""

    code = "move_refused"
    title = "The account cannot be moved"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a move brings: contract terms per position and working order, and the account as it would be."""

    leverage: int
    terms: dict[int, ContractTerms]
    order_terms: dict[int, ContractTerms]
    after: Holdings
    value: Valuation | None

    def stops_out(self, group: GroupSpec) -> bool:
        """Tell whether the account would be at or below the group's stop-out level."""
        return self.value is not None and _is_at(self.value, self.after, group.stop_out_pct)

    def calls_margin(self, group: GroupSpec) -> bool:
        """Tell whether the account would be at or below the group's margin-call level."""
        return self.value is not None and _is_at(self.value, self.after, group.margin_call_pct)


def _is_at(value: Valuation, held: Holdings, level_pct: Decimal) -> bool:
    if value.level_pct is None:
        return bool(held.positions) and value.equity <= ZERO
    return value.level_pct <= level_pct


def plan(held: Holdings, command: MoveAccount, market: MarketView) -> Plan:
    """
    Work out a move without changing anything.

    :raises MoveRefused: currency, position mode or an open symbol does not fit the group.
    :raises Invalid: the leverage is not one of the group's.
    """
    account, group = held.account, market.group
    if group is None or group.id != command.group_id:
        raise MoveRefused("There is no such trading group.", code="group_not_found")
    _check_fit(held, group)
    leverage = min(account.leverage, group.leverage_max) if command.leverage is None else command.leverage
    if not 1 <= leverage <= group.leverage_max:
        raise Invalid(f"Leverage lies between 1 and {group.leverage_max}.", code="invalid_leverage")
    terms = {
        position.id: _terms(position.symbol, position.terms, leverage, market)
        for position in held.positions.values()
    }
    order_terms = {}
    for order in held.orders.values():
        kept = _terms(order.symbol, order.terms, leverage, market)
        if kept is not None:
            order_terms[order.id] = kept
    after = Holdings(
        account=replace(account, group_id=group.id),
        positions=held.positions.values(),
        orders=[replace(order) for order in held.orders.values()],
    )
    known = {key: kept for key, kept in terms.items() if kept is not None}
    after.set_leverage(leverage, known, order_terms)
    return Plan(leverage, known, order_terms, after, after.valuation(market))


def _check_fit(held: Holdings, group: GroupSpec) -> None:
    account = held.account
    if group.id == account.group_id:
        raise MoveRefused(f"The account already is in group {group.name}.", code="same_group")
    if not group.is_active:
        raise MoveRefused(f"Group {group.name} is not active.", code="group_inactive")
    if group.currency != account.currency:
        raise MoveRefused(
            f"Group {group.name} keeps accounts in {group.currency}, this one is in {account.currency}.",
            code="currency_differs",
        )
    if group.position_mode is not account.position_mode:
        raise MoveRefused(
            f"Group {group.name} is {group.position_mode}, this account is {account.position_mode}.",
            code="position_mode_differs",
        )


def _terms(
    symbol: str, kept: ContractTerms | None, leverage: int, market: MarketView
) -> ContractTerms | None:
    """Return what was agreed about a position or an order, at the leverage and schedule of the new group."""
    offered = market.terms(symbol)
    if offered is None or not offered.is_offered:
        raise MoveRefused(f"{symbol} is held and not offered in the group.", code="symbol_not_offered")
    if kept is None:
        return None
    return replace(kept, leverage=min(leverage, offered.leverage_max), schedule=offered.margin_schedule)


def move(desk: Desk, command: MoveAccount, market: MarketView, now: datetime) -> Outcome:
    """
    Move the account; what is held and what waits takes margin under the new group's terms.

    :raises MoveRefused: it does not fit, would be stopped out at once, or cannot be valued.
    """
    planned = plan(desk, command, market)
    group = market.group
    assert group is not None  # the plan has seen it
    if not command.accepts_stop_out:
        if planned.value is None:
            raise MoveRefused("A position has no price: the margin level is unknown.", code="off_quotes")
        if planned.stops_out(group):
            raise MoveRefused(
                f"The account would be at or below the stop-out level of group {group.name}.",
                code="would_stop_out",
            )
    before = desk.account.group_id
    desk.move(group.id, planned.leverage, planned.terms, planned.order_terms)
    payload = {
        "group": group.name,
        "leverage": planned.leverage,
        **desk.money(),
        "house": {
            "group_id": group.id,
            "from_group_id": before,
            "terms": {str(key): kept.encoded() for key, kept in planned.terms.items()},
            "order_terms": {str(key): kept.encoded() for key, kept in planned.order_terms.items()},
        },
    }
    return desk.outcome("account_moved", payload, orders=[desk.orders[key] for key in planned.order_terms])
