"""
Exposure of the clients' open positions as the admin and its interface show it: one statement, kept for a
moment, so that it may be asked for every second. Amounts at mid prices, for the eye; nothing is booked by it.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db.models import Count, Sum

from apps.accounts.models import AccountState
from apps.groups.selectors import TermsBook, terms_book
from apps.market.domain.symbols import SymbolSpec
from apps.market.services.board import board
from apps.risk.domain.exposure import CurrencyLine, Held, Line, exposure
from apps.risk.domain.rates import SHOWN_CURRENCY, Rates
from apps.risk.selectors.kept import kept
from apps.trading.domain.orders import ContractTerms
from apps.trading.models import Position
from apps.trading.selectors.markets import conversions
from rtx.kernel import clock
from rtx.kernel.money import ZERO, plain, rounded, text

Payload = dict[str, Any]
Reach = frozenset[int] | None
KEPT_S = 1


def held(reach: Reach, *, book: TermsBook) -> list[Held]:
    """Return the open positions within reach, added up by group, symbol, side, book and contract terms."""
    rows = Position.objects.order_by()
    if reach is not None:
        rows = rows.filter(account__group__in=reach)
    names = {spec.id: name for name, spec in book.symbols.items()}
    sums = rows.values_list("account__group", "symbol_id", "side", "book", "terms").annotate(
        Count("pk"), Sum("volume"), Sum("cost")
    )
    return [
        Held(
            group_id=group_id,
            symbol=names[symbol_id],
            is_buy=side == "buy",
            book=kind,
            terms=ContractTerms.decoded(terms),
            positions=count,
            lots=lots,
            cost=cost,
        )
        for group_id, symbol_id, side, kind, terms, count, lots, cost in sums
        if symbol_id in names
    ]


def is_known(currency: str) -> bool:
    """Tell whether a symbol or a group has a currency, so that amounts can be meant in it."""
    book = terms_book()
    of_symbols = {
        code
        for spec in book.symbols.values()
        for code in (spec.base_currency, spec.profit_currency, spec.margin_currency)
    }
    of_groups = {group.currency for group in book.groups.values()}
    return currency == SHOWN_CURRENCY or currency in of_symbols | of_groups


def kept_held(reach: Reach, *, book: TermsBook) -> list[Held]:
    """Return the sums of a moment ago: for at least a second, longer when they take longer."""
    sums: list[Held] = kept.get(("held", reach, book.version), KEPT_S, lambda: held(reach, book=book))
    return sums


def present_rates(book: TermsBook) -> Rates:
    """Return conversions at the mid of the latest quotes."""
    return Rates(quotes=dict(board().latest), table=conversions(book))


def margins(reach: Reach) -> dict[int, tuple[str, Decimal, int]]:
    """Return currency, margin held and number of accounts with margin of each group within reach."""
    rows = AccountState.objects.order_by().filter(margin__gt=0)
    if reach is not None:
        rows = rows.filter(account__group__in=reach)
    sums = rows.values_list("account__group", "account__currency").annotate(Sum("margin"), Count("pk"))
    found: dict[int, tuple[str, Decimal, int]] = {}
    for group_id, currency, margin, count in sums:
        found.setdefault(group_id, (currency, margin, count))
    return found


def exposure_view(reach: Reach, *, currency: str = SHOWN_CURRENCY) -> Payload:
    """Return the exposure of the accounts within reach in every cut, amounts in `currency`, largest first."""
    book = terms_book()
    rates = present_rates(book)
    found = exposure(kept_held(reach, book=book), symbols=book.symbols, rates=rates, currency=currency)
    held_margin = kept.get(("margins", reach), KEPT_S, lambda: margins(reach))
    groups = []
    for group_id, line in found.groups.items():
        own_currency, margin, accounts = held_margin.get(group_id, (book.groups[group_id].currency, ZERO, 0))
        net_own = None if line.net is None else rates.convert(line.net, currency, own_currency)
        gross_own = None if line.gross is None else rates.convert(line.gross, currency, own_currency)
        groups.append(
            {
                "group": book.groups[group_id].name,
                "currency": own_currency,
                "accounts": accounts,
                "margin": text(margin),
                "net_own": _whole(net_own),
                "gross_own": _whole(gross_own),
                **line_view(line),
            }
        )
    return {
        "at": clock.rfc3339(clock.now()),
        "currency": currency,
        "total": line_view(found.total),
        "symbols": _sorted({"symbol": name, **line_view(line)} for name, line in found.symbols.items()),
        "currencies": _currencies(found.currencies),
        "groups": _sorted(groups),
        "books": _sorted({"book": name, **line_view(line)} for name, line in found.books.items()),
        "unpriced": sorted(found.unpriced),
    }


def line_view(line: Line) -> Payload:
    """Return one line as text; what has no price or rate is null. `house` is the clients' opposite."""
    return {
        "positions": line.positions,
        "buy_lots": plain(line.buy_lots),
        "sell_lots": plain(line.sell_lots),
        "net_lots": plain(line.net_lots),
        "net": _whole(line.net),
        "gross": _whole(line.gross),
        "house": _whole(None if line.floating is None else -line.floating),
    }


def symbol_rows(sums: Iterable[Held], *, symbols: dict[str, SymbolSpec], rates: Rates) -> list[Payload]:
    """Return the clients' net exposure per symbol, largest first, and what the house holds against it."""
    found = exposure(sums, symbols=symbols, rates=rates)
    rows = [
        {
            "symbol": name,
            "buy": plain(line.buy_lots),
            "sell": plain(line.sell_lots),
            "net": plain(line.net_lots),
            "positions": line.positions,
            "notional": _whole(line.net),
            "house": _whole(None if line.floating is None else -line.floating),
        }
        for name, line in found.symbols.items()
    ]
    return sorted(rows, key=lambda row: abs(Decimal(row["notional"] or 0)), reverse=True)


def currency_rows(sums: Iterable[Held], *, symbols: dict[str, SymbolSpec], rates: Rates) -> list[Payload]:
    """Return the clients' net exposure per currency, largest first."""
    return _currencies(exposure(sums, symbols=symbols, rates=rates).currencies)


def _currencies(lines: dict[str, CurrencyLine]) -> list[Payload]:
    rows = [
        {
            "currency": name,
            "long": plain(rounded(line.long, 2)),
            "short": plain(rounded(line.short, 2)),
            "net": plain(rounded(line.net, 2)),
            "gross": plain(rounded(line.gross, 2)),
            "net_shown": _whole(line.net_shown),
            "gross_shown": _whole(line.gross_shown),
        }
        for name, line in lines.items()
    ]
    return sorted(rows, key=lambda row: abs(Decimal(row["net_shown"] or 0)), reverse=True)


def _sorted(rows: Iterable[Payload]) -> list[Payload]:
    return sorted(rows, key=lambda row: (abs(Decimal(row["net"] or 0)), row["positions"]), reverse=True)


def _whole(amount: Decimal | None) -> str | None:
    return None if amount is None else text(rounded(amount, 2))
