"""
A market view as a decision saw it, kept as plain values, and made again from them. Pure.

Only what was looked at is kept: prices with their state, the ways between currencies, the terms. A view made
again answers exactly as the first one did, whatever has happened to quotes, sessions and terms since.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from apps.groups.domain.terms import GroupSpec, Terms
from apps.market.domain.quotes import Quote
from apps.market.domain.sessions import Calendar
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.orders import RejectReason
from apps.trading.domain.pricing import ConversionTable, Leg, MarketView, Path
from rtx.kernel.money import text

Record = dict[str, Any]

OPEN = "open"
NO_PRICE = "no_price"
NO_CALENDAR = Calendar()


def recorded(market: MarketView, *, symbols: Iterable[str], pairs: Iterable[tuple[str, str]]) -> Record:
    """
    Return what a view says about `symbols` and about the conversion of `pairs` (source, target currency).

    `prices` and `rates` are for people too; `paths`, `terms` and `group` are what a new view needs besides.
    """
    wanted = set(symbols)
    rates, paths = {}, {}
    for source, target in sorted(set(pairs)):
        path = market.path(source, target)
        wanted.update(leg.symbol for leg in path or ())
        name = f"{source}>{target}"
        gain, loss = (market.rate(source, target, selling=selling) for selling in (True, False))
        rates[name] = {
            "gain": None if gain is None else text(gain),
            "loss": None if loss is None else text(loss),
        }
        paths[name] = None if path is None else [[leg.symbol, leg.inverted] for leg in path]
    known = {name: terms for name in sorted(wanted) if (terms := market.terms(name)) is not None}
    return {
        "prices": {name: _price(market, name) for name in sorted(wanted)},
        "rates": rates,
        "paths": paths,
        "terms": {name: _terms(terms) for name, terms in known.items()},
        "group": None if market.group is None else _group(market.group),
        "version": market.version,
    }


def state_of(market: MarketView, symbol: str) -> str:
    """Return `open` when a symbol can be closed now, else the refusal that says why not."""
    terms = market.terms(symbol)
    if market.client(symbol) is None:
        return NO_PRICE
    if not market.in_session(symbol):
        return RejectReason.MARKET_CLOSED.value
    if not market.is_usable(symbol):
        return RejectReason.OFF_QUOTES.value
    if terms is not None and terms.trade_mode is TradeMode.DISABLED:
        return RejectReason.TRADE_DISABLED.value
    return OPEN


def _price(market: MarketView, symbol: str) -> Record:
    raw, shown = market.raw(symbol), market.client(symbol)
    price: Record = {"state": state_of(market, symbol)}
    if raw is not None and shown is not None:
        price |= {
            "raw_bid": text(raw.bid),
            "raw_ask": text(raw.ask),
            "bid": text(shown.bid),
            "ask": text(shown.ask),
            "quote_time_ms": raw.time_ms,
        }
    return price


@lru_cache(maxsize=4096)
def _terms(terms: Terms) -> Record:
    """Return terms without their group (kept once) and without the calendar (the states tell)."""
    kept = replace(terms, symbol=replace(terms.symbol, calendar=NO_CALENDAR))
    found: Record = msgspec.to_builtins(kept, str_keys=True)
    del found["group"]
    del found["symbol"]["calendar"]
    return found


@lru_cache(maxsize=256)
def _group(group: GroupSpec) -> Record:
    found: Record = msgspec.to_builtins(group, str_keys=True)
    return found


class _KeptPaths(ConversionTable):
    """Knows the ways that were used, and no others."""

    def __init__(self, paths: Record) -> None:
        super().__init__(())
        for name, legs in paths.items():
            source, target = name.split(">")
            path: Path | None = None if legs is None else tuple(Leg(symbol, way) for symbol, way in legs)
            self._paths[(source, target)] = path


class RecordedMarket(MarketView):
    """The view that a record was made of."""

    __slots__ = ("_states",)

    def __init__(self, record: Record, *, now: datetime) -> None:
        group = record["group"] and msgspec.convert(record["group"], GroupSpec, strict=False)
        terms = {name: _terms_read(kept, record["group"]) for name, kept in record["terms"].items()}
        if terms:
            group = next(iter(terms.values())).group
        prices = {name: kept for name, kept in record["prices"].items() if "bid" in kept}
        super().__init__(
            quotes={name: _quote(name, kept) for name, kept in prices.items()},
            terms=terms,
            symbols={name: found.symbol for name, found in terms.items()},
            conversions=_KeptPaths(record["paths"]),
            now=now,
            now_ms=int(now.timestamp() * 1000),
            version=record["version"],
            group=group or None,
        )
        self._states = {name: kept["state"] for name, kept in record["prices"].items()}

    def in_session(self, symbol: str) -> bool:
        """Say whether the symbol was in session."""
        return bool(self._states.get(symbol, NO_PRICE) != RejectReason.MARKET_CLOSED.value)

    def is_usable(self, symbol: str) -> bool:
        """Say whether the price could be used: out of session the last one counts."""
        return self._states.get(symbol, NO_PRICE) not in (NO_PRICE, RejectReason.OFF_QUOTES.value)


def _terms_read(kept: Record, group: Record) -> Terms:
    whole = {**kept, "group": group, "symbol": {**kept["symbol"], "calendar": {}}}
    found: Terms = msgspec.convert(whole, Terms, strict=False)
    return found


def _quote(symbol: str, kept: Record) -> Quote:
    """Return the feed's quote; the client's follows from it by the terms, as it did then."""
    return Quote(
        symbol=symbol,
        bid=Decimal(kept["raw_bid"]),
        ask=Decimal(kept["raw_ask"]),
        time_ms=kept["quote_time_ms"],
    )
