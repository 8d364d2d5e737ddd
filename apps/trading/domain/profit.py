"""Profit of positions. Pure; source: the profit calculation of the MetaTrader 5 help."""

from decimal import Decimal

from apps.trading.domain.orders import ContractTerms, Position, Side
from apps.trading.domain.pricing import MarketView


def gross(
    *, side: Side, volume: Decimal, cost: Decimal, close_price: Decimal, terms: ContractTerms
) -> Decimal:
    """
    Return the profit in the profit currency, unrounded: (close - open) x lots x contract, negative for a
    short.

    `cost` is the exact sum of lots x open price of the `volume` that closes.
    """
    moved = (close_price * volume - cost) * terms.contract_size * terms.tick_factor
    return moved if side is Side.BUY else -moved


def floating(position: Position, *, market: MarketView, currency: str) -> Decimal | None:
    """
    Return a position's floating profit in `currency`, unrounded; None without a price or a conversion.

    A buy is valued at bid, a sell at ask; a profit is converted as sold, a loss as bought (the worse side).
    """
    quote = market.client(position.symbol)
    if quote is None:
        return None
    amount = gross(
        side=position.side,
        volume=position.volume,
        cost=position.cost,
        close_price=quote.bid if position.side is Side.BUY else quote.ask,
        terms=position.terms,
    )
    if position.terms.profit_currency == currency:
        return amount
    rate = market.rate(position.terms.profit_currency, currency, selling=amount > 0)
    return None if rate is None else amount * rate
