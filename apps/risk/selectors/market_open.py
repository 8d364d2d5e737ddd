"""Whether symbols trade now: until when, or from when and why not. Reads only."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from apps.groups.selectors import TermsBook, terms_book
from apps.market.domain.symbols import SymbolSpec, TradeMode
from apps.market.services.board import board
from apps.risk.selectors.controls import Controls, controls_version, read_controls
from rtx.kernel import clock
from rtx.kernel.errors import NotFound

Payload = dict[str, Any]
NOBODY = 0  # no account and no group has this number


def market_open(*, now: datetime, symbol: str | None = None) -> list[Payload]:
    """
    Return for each symbol (or one) whether it can be traded, the next change of its session, and what is in
    the way: `session`, `holiday`, `trade_disabled`, `close_only`, `no_price`, `stale_price`, `kill_switch`,
    `circuit_breaker`, `trading_hours`. What holds for one group or account only is not looked at.

    :raises NotFound: there is no such symbol.
    """
    book = terms_book()
    if symbol is not None and symbol not in book.symbols:
        raise NotFound(f"There is no symbol {symbol[:32]}.", code="symbol_not_found")
    controls = _present()
    names = sorted(book.symbols) if symbol is None else [symbol]
    return [_row(book, name, controls, now) for name in names]


def _row(book: TermsBook, name: str, controls: Controls, now: datetime) -> Payload:
    spec = book.symbols[name]
    is_open = spec.calendar.is_open(now)
    change = spec.calendar.next_change(now)
    reasons = [*_of_session(spec, now), *_of_price(spec, now), *_of_controls(controls, name, now)]
    shown = None if change is None else clock.rfc3339(change)
    return {
        "symbol": name,
        "session_open": is_open,
        "tradable": not reasons,
        "opens_at": None if is_open else shown,
        "closes_at": shown if is_open else None,
        "always_open": spec.calendar.always_open,
        "reasons": reasons,
    }


def _of_session(spec: SymbolSpec, now: datetime) -> list[str]:
    found = []
    if not spec.calendar.is_open(now):
        local = now.astimezone(ZoneInfo(spec.calendar.timezone)).date()
        is_holiday = any(closed.date == local for closed in spec.calendar.holidays)
        found.append("holiday" if is_holiday else "session")
    if spec.trade_mode is TradeMode.DISABLED:
        found.append("trade_disabled")
    elif spec.trade_mode is TradeMode.CLOSE_ONLY:
        found.append("close_only")
    return found


def _of_price(spec: SymbolSpec, now: datetime) -> list[str]:
    quote = board().get(spec.name)
    if quote is None:
        return ["no_price"]
    age_ms = int(now.timestamp() * 1000) - quote.time_ms
    return ["stale_price"] if spec.calendar.is_open(now) and age_ms > spec.quote_age_max_ms else []


def _present() -> Controls:
    """Return what stands before orders now, as the guards read it."""
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        return read_controls(cursor, controls_version(cursor))


def _of_controls(controls: Controls, name: str, now: datetime) -> list[str]:
    """Return what refuses new exposure in a symbol whoever asks."""
    found = []
    if controls.switches.stops(account_id=NOBODY, group_id=NOBODY, symbol=name):
        found.append("kill_switch")
    if controls.broken.stops(account_id=NOBODY, group_id=NOBODY, symbol=name):
        found.append("circuit_breaker")
    if not controls.times.is_open(account_id=NOBODY, group_id=NOBODY, symbol=name, now=now):
        found.append("trading_hours")
    return found
