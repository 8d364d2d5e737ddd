"""
Margin of positions. Pure; formulas are those of the MetaTrader 5 help ("Margin calculation").

A position's margin depends on its volume, its cost and the conversion rate and terms of its last deal, so
it does not move with the market. Opposite positions on one symbol are covered (hedged margin, basic
calculation).
"""

from collections.abc import Iterable
from decimal import Decimal

from apps.market.domain.symbols import MarginMode
from apps.trading.domain.orders import ContractTerms, Position, Side
from rtx.kernel.money import ZERO

HUNDRED = Decimal(100)


def unit_value(*, terms: ContractTerms, contract_size: Decimal, price: Decimal) -> Decimal:
    """
    Return the margin of one lot in the margin currency before margin rate and conversion, unrounded.

    forex: contract / leverage; cfd: contract x price; cfd_leverage: contract x price / leverage;
    fixed: the initial amount; index: contract x price x tick price / tick size.
    """
    match terms.mode:
        case MarginMode.FOREX:
            return contract_size / terms.leverage
        case MarginMode.CFD:
            return contract_size * price
        case MarginMode.CFD_LEVERAGE:
            return contract_size * price / terms.leverage
        case MarginMode.FIXED:
            return terms.initial
        case MarginMode.INDEX:
            return contract_size * price * terms.tick_factor
    raise AssertionError(terms.mode)


def of_symbol(positions: Iterable[Position]) -> Decimal:
    """
    Return the margin that one symbol's positions need, in the account's currency, unrounded.

    Covered volume is charged once, at the volume-weighted price and conversion of all positions, the hedged
    contract and the mean of both margin rates; the uncovered rest at its own side's. The terms are those of
    the newest deal.
    """
    held = list(positions)
    if not held:
        return ZERO
    if len(held) == 1:
        return _of_side(held, held[0].terms)
    terms = max(held, key=lambda position: position.last_deal_id).terms
    buys = [position for position in held if position.side is Side.BUY]
    sells = [position for position in held if position.side is Side.SELL]
    if not buys or not sells:
        return _of_side(held, terms)
    bought, sold = (sum((p.volume for p in side), ZERO) for side in (buys, sells))
    covered = min(bought, sold)
    larger, larger_volume = (buys, bought) if bought > sold else (sells, sold)
    need = covered * _covered_unit(held, terms, bought + sold)
    uncovered = larger_volume - covered
    if uncovered:
        need += _of_side(larger, terms) * uncovered / larger_volume
    return need


def _covered_unit(held: list[Position], terms: ContractTerms, total: Decimal) -> Decimal:
    """Return the margin of one covered lot, in the account's currency."""
    if not terms.hedged_contract_size:
        return ZERO
    price = sum((p.cost for p in held), ZERO) / total
    conversion = sum((p.margin_rate * p.volume for p in held), ZERO) / total
    mean_rate = (terms.rate_buy + terms.rate_sell) / 2
    return (
        unit_value(terms=terms, contract_size=terms.hedged_contract_size, price=price)
        * conversion
        * mean_rate
    )


def _of_side(held: list[Position], terms: ContractTerms) -> Decimal:
    """Return the margin of positions that all point the same way."""
    need = ZERO
    for position in held:
        price = position.cost / position.volume
        unit = unit_value(terms=terms, contract_size=terms.contract_size, price=price)
        need += unit * position.volume * position.margin_rate
    return need * (terms.rate_buy if held[0].side is Side.BUY else terms.rate_sell)


def level_pct(*, equity: Decimal, margin: Decimal) -> Decimal | None:
    """Return equity / margin x 100; None without margin."""
    return equity / margin * HUNDRED if margin else None
