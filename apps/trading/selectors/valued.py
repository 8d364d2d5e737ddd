"""
Rows of open positions with their present price and floating profit, all at one instant. Reads only.
"""

from collections.abc import Iterable
from typing import Any

from apps.trading.domain import checks, journal, margin, profit
from apps.trading.domain import orders as domain
from apps.trading.models import Position
from apps.trading.selectors.markets import markets
from rtx.kernel import clock
from rtx.kernel.money import booked, text

Payload = dict[str, Any]


def value(rows: Iterable[Position]) -> None:
    """
    Note on each row its present closing price and floating profit, all at one instant; None without a price.
    """
    found = list(rows)
    if not found:
        return
    views = markets(now=clock.now())
    for row in found:
        market = views.of_group(row.account.group_id)
        held = as_domain(row)
        quote = market.client(row.symbol.name)
        shown: Any = row
        shown.closing_price = None if quote is None else checks.closing_price(held.side, quote)
        shown.floating = profit.floating(held, market=market, currency=row.account.currency)


def as_domain(row: Position) -> domain.Position:
    """Return the row as the book sees it."""
    return domain.Position(
        id=row.pk,
        symbol=row.symbol.name,
        side=domain.Side(row.side),
        volume=row.volume,
        cost=row.cost,
        margin_rate=row.margin_rate,
        terms=domain.ContractTerms.decoded(row.terms),
        book=row.book,
        last_deal_id=row.last_deal_id,
        opened_at=row.opened_at,
        stop_loss=row.stop_loss,
        take_profit=row.take_profit,
        trailing_points=row.trailing_points,
        swap=row.swap,
        commission=row.commission,
    )


def views(rows: Iterable[Position]) -> list[Payload]:
    """Return rows with `account` and its group loaded as the interface for staff shows them, valued."""
    found = list(rows)
    value(found)
    return [_view(row) for row in found]


def _view(row: Any) -> Payload:
    held, currency = as_domain(row), row.account.currency
    return {
        **journal.position_payload(held),
        "account": row.account.login,
        "group": row.account.group.name,
        "book": row.book,
        "current_price": None if row.closing_price is None else text(row.closing_price),
        "profit": None if row.floating is None else text(booked(row.floating, currency)),
        "margin": text(booked(margin.of_symbol([held]), currency)),
        "currency": currency,
    }
