"""
The figures of the operator's dashboard, read cheaply enough to be asked for every second.

Expensive sums are kept in this process for a moment, longer when they take longer; whole past hours of the
ledger are kept for the day. Amounts converted to one currency use mid prices and are for the eye only:
nothing is booked by them.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncHour

from apps.accounts.models import LedgerLine, TradingAccount
from apps.audit.selectors import integrity
from apps.console.selectors import attention
from apps.crm.selectors.status import connections_in_trouble
from apps.groups.selectors import TermsBook, terms_book
from apps.market.models import EngineLease, FeedStatus
from apps.market.services.board import board
from apps.risk.domain.rates import SHOWN_CURRENCY, Rates
from apps.risk.selectors.exposure import currency_rows, held, symbol_rows
from apps.risk.selectors.kept import Kept
from apps.trading.models import Order
from apps.trading.selectors.markets import conversions
from rtx.kernel import clock
from rtx.kernel.money import ZERO, booked, plain, rounded, text

Payload = dict[str, Any]
Reach = frozenset[int] | None

HOUSE_LEDGERS = ("bbook", "markup", "commission", "swap")
ORDERS_SHOWN = 10
LATE_COMMIT = timedelta(minutes=2)  # how long after an hour its sums may still grow


kept = Kept()


def _within(rows: QuerySet[Any], path: str, reach: Reach) -> QuerySet[Any]:
    return rows if reach is None else rows.filter(**{f"{path}__in": reach})


def account_counts(reach: Reach) -> Payload:
    """Return how many accounts there are and how many of them may trade."""
    rows = _within(TradingAccount.objects.order_by(), "group", reach)
    counted = rows.aggregate(total=Count("pk"), active=Count("pk", filter=Q(status="active")))
    return {"total": counted["total"], "active": counted["active"]}


def _whole(amount: Decimal | None) -> str | None:
    return None if amount is None else text(rounded(amount, 2))


def house_hours(reach: Reach, *, now: datetime) -> dict[datetime, dict[tuple[str, str], Decimal]]:
    """Return the house's booked result of today: hour -> (ledger, currency) -> sum. UTC days."""
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    hours = [start + timedelta(hours=hour) for hour in range(now.hour + 1)]
    settled: dict[datetime, Any] = kept.get(("hours", reach, start), 90_000, dict)
    missing = [hour for hour in hours if hour not in settled]
    found: dict[datetime, dict[tuple[str, str], Decimal]] = {hour: {} for hour in missing}
    rows = _within(LedgerLine.objects.order_by(), "account__group", reach)
    rows = rows.filter(ledger__in=HOUSE_LEDGERS, at__gte=missing[0])
    sums = (
        rows.annotate(hour=TruncHour("at")).values_list("hour", "ledger", "currency").annotate(Sum("amount"))
    )
    for hour, ledger, currency, amount in sums:
        found.setdefault(hour, {})[(ledger, currency)] = amount
    result = {hour: settled.get(hour, found.get(hour, {})) for hour in hours}
    for hour in hours:
        if hour + timedelta(hours=1) + LATE_COMMIT <= now:
            settled.setdefault(hour, result[hour])
    return result


def house(reach: Reach, *, rates: Rates, now: datetime) -> Payload:
    """Return today's result of the house by ledger and currency, and by hour in the shown currency."""
    hours = kept.get(("house", reach), 1, lambda: house_hours(reach, now=now))
    totals: dict[str, dict[str, Decimal]] = {}
    by_hour: list[Payload] = []
    for hour, sums in hours.items():
        parts = dict.fromkeys(HOUSE_LEDGERS, ZERO)
        for (ledger, currency), amount in sums.items():
            of_currency = totals.setdefault(currency, dict.fromkeys(HOUSE_LEDGERS, ZERO))
            of_currency[ledger] += amount
            parts[ledger] += rates.convert(amount, currency) or ZERO
        by_hour.append({"hour": f"{hour:%H}:00", **{name: _whole(part) for name, part in parts.items()}})
    currencies = [
        {
            "currency": currency,
            "total": text(booked(sum(parts.values(), ZERO), currency)),
            **{name: text(booked(part, currency)) for name, part in parts.items()},
        }
        for currency, parts in sorted(totals.items())
    ]
    converted = [rates.convert(sum(parts.values(), ZERO), currency) for currency, parts in totals.items()]
    total = None if None in converted else sum((part for part in converted if part is not None), ZERO)
    return {"currencies": currencies, "hours": by_hour, "total": _whole(total)}


def feed_counts() -> dict[str, Payload]:
    """Return provider and counters of each symbol's feed."""
    rows = FeedStatus.objects.select_related("symbol")
    return {
        row.symbol.name: {
            "provider": row.provider,
            "simulated": row.simulated,
            "accepted": row.accepted,
            "refused": row.refused,
        }
        for row in rows
    }


def quote_rows(book: TermsBook, *, now: datetime) -> list[Payload]:
    """Return every symbol with its latest raw quote, its age and where it comes from."""
    known = board()
    feeds = kept.get("feeds", 1, feed_counts)
    now_ms = clock.now_ms()
    rows = []
    for name, spec in sorted(book.symbols.items()):
        quote = known.get(name)
        feed = feeds.get(name, {})
        simulated = known.is_simulated(name) if quote else bool(feed.get("simulated"))
        row = {
            "symbol": name,
            "asset_class": str(spec.asset_class),
            "provider": feed.get("provider", ""),
            "simulated": simulated,
            "accepted": feed.get("accepted", 0),
            "refused": feed.get("refused", 0),
            "open": spec.calendar.is_open(now),
            "age_max_ms": spec.quote_age_max_ms,
            "bid": None,
            "ask": None,
            "spread": None,
            "age_ms": None,
        }
        if quote is not None:
            row |= {
                "bid": text(rounded(quote.bid, spec.digits)),
                "ask": text(rounded(quote.ask, spec.digits)),
                "spread": plain((quote.ask - quote.bid) / spec.point),
                "age_ms": max(now_ms - quote.time_ms, 0),
            }
        rows.append(row)
    return rows


def recent_orders(reach: Reach) -> list[Payload]:
    """Return the newest orders."""
    rows = _within(Order.objects.order_by("-id"), "account__group", reach)
    return [
        {
            "id": row.pk,
            "at": clock.rfc3339(row.created_at),
            "account_id": row.account_id,
            "login": row.account.login,
            "symbol": row.symbol.name,
            "side": row.side,
            "volume": plain(row.volume),
            "price": None
            if row.average_price is None
            else text(rounded(row.average_price, row.symbol.digits)),
            "status": row.status,
            "reason": row.reject_reason,
        }
        for row in rows.select_related("account", "symbol")[:ORDERS_SHOWN]
    ]


def leases(*, now: datetime) -> list[Payload]:
    """Return who leads each engine service and whether the lease still holds."""
    return [
        {
            "name": row.name,
            "holder": row.holder,
            "fence": row.fence,
            "expires_in_s": round((row.expires_at - now).total_seconds(), 1),
        }
        for row in EngineLease.objects.order_by("name")
    ]


def dashboard(*, reach: Reach, may: frozenset[str]) -> Payload:
    """Return everything the dashboard shows to a person with this reach and these rights (see `RIGHTS`)."""
    now = clock.now()
    book = terms_book()
    rates = Rates(quotes=dict(board().latest), table=conversions(book))
    quotes = quote_rows(book, now=now)
    shown: Payload = {
        "now": clock.rfc3339(now),
        "currency": SHOWN_CURRENCY,
        "simulated": any(row["simulated"] for row in quotes),
        "quotes": quotes,
        "leases": kept.get("leases", 1, lambda: leases(now=now)),
        "seals": kept.get("seals", 5, integrity.health),
        "accounts": None,
        "exposure": None,
        "house": None,
        "orders": None,
        "currencies": None,
        "near": None,
        "movers": None,
        "waiting": waiting(reach, may, now=now),
    }
    if "accounts" in may:
        shown["accounts"] = kept.get(("accounts", reach), 5, lambda: account_counts(reach))
    if "exposure" in may:
        sums = kept.get(("exposure", reach), 1, lambda: held(reach, book=book))
        shown["exposure"] = symbol_rows(sums, symbols=book.symbols, rates=rates)
        shown["currencies"] = currency_rows(sums, symbols=book.symbols, rates=rates)
    if "house" in may:
        shown["house"] = house(reach, rates=rates, now=now)
    if "orders" in may:
        shown["orders"] = kept.get(("orders", reach), 0.5, lambda: recent_orders(reach))
    if "risk" in may:
        shown["near"] = kept.get(("near", reach), 2, lambda: attention.near_margin_call(reach))
        shown["movers"] = kept.get(
            ("movers", reach), 2, lambda: attention.winners_and_losers(reach, rates=rates, now=now)
        )
    return shown


def waiting(reach: Reach, may: frozenset[str], *, now: datetime) -> Payload:
    """Return the lengths of the queues that this person may see: how much waits for somebody."""
    queues = {
        "approvals": lambda: attention.approvals_waiting(reach, now=now),
        "reviews": lambda: attention.reviews_waiting(reach),
        "requests": lambda: attention.requests_waiting(reach),
        "letters": lambda: attention.letters_waiting(reach),
        "connections": lambda: connections_in_trouble(now=now).count(),
    }
    return {
        name: kept.get((name, reach), 2, count) if name in may else None for name, count in queues.items()
    }
