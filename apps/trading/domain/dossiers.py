"""
Dossiers: the full working of a stop-out, as canonical text that can be derived again byte for byte. Pure.

A dossier carries everything that decided besides the account itself, which the journal gives back: prices,
ways and rates between currencies, terms, the instant. `reproduced` makes the decision once more from these.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any, Protocol
from uuid import UUID

import orjson

from apps.groups.domain.terms import GroupSpec
from apps.trading.domain import journal, margin, market_record
from apps.trading.domain.commands import StopOut
from apps.trading.domain.filling import Desk
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.market_record import RecordedMarket
from apps.trading.domain.orders import Position, Side
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.stop_out_rules import Standing, margin_of_order, shown
from rtx.kernel.actor import Actor
from rtx.kernel.money import plain, text

VERSION = 1
NOBODY = UUID(int=0)


class NotReproduced(Exception):
    """The dossier's decision cannot be made again from what it says and what the journal says."""


def encoded(dossier: Mapping[str, Any]) -> str:
    """Return a dossier as canonical JSON text: keys sorted, no spaces."""
    return orjson.dumps(dossier, option=orjson.OPT_SORT_KEYS).decode()


def standing(found: Standing) -> journal.Payload:
    """Return equity, margin and level of one moment."""
    level = found.level_pct
    return {
        "equity": shown(found.equity),
        "margin": text(found.margin),
        "level_pct": None if level is None else shown(level),
    }


def opened(
    desk: Desk,
    command: StopOut,
    market: MarketView,
    *,
    group: GroupSpec,
    now: datetime,
    results: Mapping[int, Decimal],
) -> journal.Payload:
    """Return the dossier as far as it can be told before the first step."""
    account = desk.account
    held = [desk.positions[key] for key in sorted(desk.positions)]
    waiting = [desk.orders[key] for key in sorted(desk.orders)]
    record = _recorded(desk, market, held)
    return {
        "version": VERSION,
        "at": journal.instant(now),
        "rule": group.stop_out_rule.value,
        "stop_out_pct": plain(group.stop_out_pct),
        "protects_balance": group.protects_balance,
        "asked": {
            "cause": command.cause,
            "quote_time_ms": command.quote_time_ms,
            "fence": command.fence,
        },
        "account": {
            "id": account.id,
            "login": account.login,
            "group_id": account.group_id,
            "group": group.name,
            "currency": account.currency,
            "leverage": account.leverage,
            "balance": text(account.balance),
            "credit": text(account.credit),
            "margin": text(account.margin),
            "seq": account.seq,
        },
        "prices": record.pop("prices"),
        "rates": record.pop("rates"),
        "positions": [_position(one, market, result=results[one.id]) for one in held],
        "orders": [
            {
                "id": order.id,
                "symbol": order.symbol,
                "side": order.side.value,
                "volume": plain(order.volume),
                "price": None if order.waits_for is None else text(order.waits_for),
                "margin": shown(margin_of_order(order)),
            }
            for order in waiting
        ],
        "inputs": record,
    }


def _recorded(desk: Desk, market: MarketView, held: list[Position]) -> market_record.Record:
    """Record the market as far as the account looks at it: its symbols and what converts them."""
    currency = desk.account.currency
    symbols = {position.symbol for position in held}
    sources = {position.terms.profit_currency for position in held}
    sources |= {terms.symbol.margin_currency for name in symbols if (terms := market.terms(name))}
    sources |= {terms.symbol.profit_currency for name in symbols if (terms := market.terms(name))}
    return market_record.recorded(
        market, symbols=symbols, pairs={(source, currency) for source in sources if source != currency}
    )


def _position(position: Position, market: MarketView, *, result: Decimal) -> journal.Payload:
    quote = market.client(position.symbol)
    assert quote is not None  # it was valued
    return {
        "id": position.id,
        "symbol": position.symbol,
        "side": position.side.value,
        "volume": plain(position.volume),
        "open_price": text(position.open_price),
        "opened_at": journal.instant(position.opened_at),
        "price": text(quote.bid if position.side is Side.BUY else quote.ask),
        "profit": shown(result - position.swap),
        "swap": text(position.swap),
        "margin": shown(margin.of_symbol([position])),
    }


class Handler(Protocol):
    """What decides a stop-out."""

    def __call__(self, desk: Desk, command: StopOut, market: MarketView, now: datetime) -> Any:
        """Return the outcome."""


def reproduced(dossier: str, before: Holdings, *, decide: Handler) -> str:
    """
    Make a dossier's decision again on the account as the journal has it; return the text that comes of it.

    `before` is the account just before the event; it is used up. `decide` is stop_out.stop_out.

    :raises NotReproduced: what the dossier says is not enough to decide again.
    """
    told = orjson.loads(dossier)
    now = datetime.fromisoformat(told["at"])
    record = {**told["inputs"], "prices": told["prices"], "rates": told["rates"]}
    try:
        market = RecordedMarket(record, now=now)
        desk = Desk(
            account=before.account,
            positions=before.positions.values(),
            orders=before.orders.values(),
            tickets=count(1),
        )
        command = StopOut(
            account_id=before.account.id,
            command_id=NOBODY,
            actor=Actor.system("explain"),
            cause=told["asked"]["cause"],
            quote_time_ms=told["asked"]["quote_time_ms"],
            fence=told["asked"]["fence"],
        )
        outcome = decide(desk, command, market, now)
    except (KeyError, ValueError, AssertionError) as error:
        raise NotReproduced(f"the decision cannot be made again: {error!r}") from error
    return encoded(outcome.dossier)
