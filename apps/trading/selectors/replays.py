"""
One account as of an instant, with the quotes and conversion rates that value it. Changes nothing.

The figures come from the same functions as those of the public interface, so they equal what it showed then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.accounts.models import TradingAccount
from apps.trading.domain import journal, profit
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.orders import Position, Side
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors import as_of, books
from apps.trading.selectors.as_of import PastMarkets
from apps.trading.selectors.markets import conversions
from rtx.kernel import clock
from rtx.kernel.errors import NotFound
from rtx.kernel.money import text

Payload = dict[str, Any]


class AccountUnknown(NotFound):
    """There is no such account, or it was opened later."""

    code = "account_not_found"
    title = "Account not found"


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion that a valuation needs; `selling`: a profit is sold, else a loss is bought."""

    source: str
    target: str
    selling: bool


def account_replay(*, login: int, at: datetime) -> Payload:
    """
    Return an account as of an instant: money, positions, working orders, quotes, rates and what was missing.

    :raises AccountUnknown: there is no account of this login, or it was opened after the instant.
    """
    row = TradingAccount.objects.filter(login=login).first()
    if row is None:
        raise AccountUnknown(f"There is no account {login}.")
    found = as_of.accounts_at([row.pk], at=at).get(row.pk)
    if found is None:
        raise AccountUnknown(f"Account {login} was opened at {clock.rfc3339(row.opened_at)}, after that.")
    held = Holdings(account=found.account, positions=found.positions, orders=found.orders)
    past = as_of.markets_at(at)
    market = past.views.of_group(held.account.group_id)
    needed = list(dict.fromkeys(_conversions(held, market)))
    missing = list(_missing(held, market, needed))
    return {
        "at": clock.rfc3339(at),
        "account": books.account_view(held, past.views),
        "positions": [books.position_view(one, held, market) for one in held.positions.values()],
        "orders": [journal.order_payload(order) for order in held.orders.values()],
        "quotes": [_quote(symbol, past, market, at) for symbol in _priced_by(held, past, needed)],
        "rates": [_rate(one, past, market) for one in needed],
        "missing": missing,
        "terms": "present" if past.views.book.version else "read back from the history",
    }


def _conversions(held: Holdings, market: MarketView) -> Iterator[Conversion]:
    """Yield the conversions of the positions' floating profits."""
    for position in held.positions.values():
        source, target = position.terms.profit_currency, held.account.currency
        amount = _gross(position, market)
        if source != target and amount is not None:
            yield Conversion(source, target, selling=amount > 0)


def _gross(position: Position, market: MarketView) -> Decimal | None:
    """Return a position's profit in its profit currency; None without a price."""
    quote = market.client(position.symbol)
    if quote is None:
        return None
    return profit.gross(
        side=position.side,
        volume=position.volume,
        cost=position.cost,
        close_price=quote.bid if position.side is Side.BUY else quote.ask,
        terms=position.terms,
    )


def _missing(held: Holdings, market: MarketView, needed: list[Conversion]) -> Iterator[str]:
    """Yield what keeps the account from being valued."""
    for symbol in sorted({position.symbol for position in held.positions.values()}):
        if market.client(symbol) is None:
            yield f"no quote of {symbol} is stored at or before that instant"
    for one in needed:
        if market.rate(one.source, one.target, selling=one.selling) is None:
            yield f"{one.source} could not be converted to {one.target} at that instant"


def _priced_by(held: Holdings, past: PastMarkets, needed: list[Conversion]) -> list[str]:
    """Return the symbols whose quotes the valuation or a working order looks at."""
    symbols = {position.symbol for position in held.positions.values()}
    symbols |= {order.symbol for order in held.orders.values()}
    for one in needed:
        symbols |= set(_legs(one, past))
    return sorted(symbol for symbol in symbols if symbol in past.quotes)


def _legs(one: Conversion, past: PastMarkets) -> list[str]:
    path = conversions(past.views.book).path(one.source, one.target)
    return [leg.symbol for leg in path or ()]


def _quote(symbol: str, past: PastMarkets, market: MarketView, at: datetime) -> Payload:
    found, shown = past.quotes[symbol], market.client(symbol)
    assert shown is not None  # the raw quote is there
    quoted_at = clock.from_ms(found.quote.time_ms)
    return {
        "symbol": symbol,
        "bid": text(shown.bid),
        "ask": text(shown.ask),
        "raw_bid": text(found.quote.bid),
        "raw_ask": text(found.quote.ask),
        "time": clock.rfc3339(quoted_at),
        "age_s": round((at - quoted_at).total_seconds(), 3),
        "origin": found.origin.value,
        "source": found.source,
    }


def _rate(one: Conversion, past: PastMarkets, market: MarketView) -> Payload:
    rate = market.rate(one.source, one.target, selling=one.selling)
    return {
        "from": one.source,
        "to": one.target,
        "side": "sold" if one.selling else "bought",
        "rate": None if rate is None else text(rate),
        "through": _legs(one, past),
    }
