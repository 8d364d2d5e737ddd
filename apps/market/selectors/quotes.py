"""Reads of last quotes and of what the feeds deliver, as the engine last saved them."""

from dataclasses import dataclass
from datetime import datetime

from apps.market.domain.quotes import Quote
from apps.market.models import FeedStatus, LastQuote, Symbol
from rtx.kernel import clock


@dataclass(frozen=True, slots=True)
class StoredQuotes:
    """The last quotes in PostgreSQL and the names of those whose price is simulated."""

    quotes: dict[str, Quote]
    simulated: frozenset[str]


@dataclass(frozen=True, slots=True)
class FeedAge:
    """How old the last saved quote of a symbol is; None: it never had one."""

    symbol: str
    provider: str
    simulated: bool
    age_s: float | None
    accepted: int
    refused: int


def last_quotes() -> StoredQuotes:
    """Return the last saved quote of every symbol."""
    rows = LastQuote.objects.values_list("symbol__name", "bid", "ask", "time", "simulated")
    quotes, simulated = {}, set()
    for name, bid, ask, time, is_simulated in rows:
        quotes[name] = Quote(name, bid, ask, to_ms(time))
        if is_simulated:
            simulated.add(name)
    return StoredQuotes(quotes, frozenset(simulated))


def feed_ages(*, now: datetime) -> list[FeedAge]:
    """Return the age of each active symbol's last saved quote and its feed's counters, by symbol."""
    rows = Symbol.objects.filter(is_active=True).select_related("last_quote", "feed_status").order_by("name")
    ages = []
    for row in rows:
        quote: LastQuote | None = getattr(row, "last_quote", None)
        status: FeedStatus | None = getattr(row, "feed_status", None)
        ages.append(
            FeedAge(
                symbol=row.name,
                provider=quote.source if quote else "",
                simulated=quote.simulated if quote else False,
                age_s=(now - quote.time).total_seconds() if quote else None,
                accepted=status.accepted if status else 0,
                refused=status.refused if status else 0,
            )
        )
    return ages


def to_ms(instant: datetime) -> int:
    """Return an instant as milliseconds since the epoch, exactly; the opposite of `clock.from_ms`."""
    delta = instant - clock.from_ms(0)
    return delta.days * 86_400_000 + delta.seconds * 1000 + delta.microseconds // 1000
