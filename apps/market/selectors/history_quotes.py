"""
Quotes as of an instant: the last one that is stored at or before it. Changes nothing.

The tick history tells it; else the last quote that was saved, when no later one came; else a candle that had
ended by then, whose bid close stands for both sides because candles keep no ask.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import connection
from django.db.models import Max

from apps.market.domain.quotes import Quote
from apps.market.models import FeedStatus
from apps.market.selectors.quotes import to_ms


class Origin(StrEnum):
    """Where a quote of the past was found."""

    TICK = "tick"
    LAST_QUOTE = "last_quote"
    CANDLE = "candle"


@dataclass(frozen=True, slots=True)
class PastQuote:
    """One symbol's quote as of an instant, and where it comes from."""

    quote: Quote
    origin: Origin
    source: str


WIDTHS = {
    "1m": "1 minute",
    "5m": "5 minutes",
    "15m": "15 minutes",
    "1h": "1 hour",
    "4h": "4 hours",
    "1d": "1 day",
}

# One descent of an index for each symbol and origin; partitions are read from the newest backwards. `since`
# is when the price began to hold: a candle counts only when it began after the last tick.
STATEMENT = """
    SELECT DISTINCT ON (y.name) y.name, found.bid, found.ask, found.time, found.origin, found.source
    FROM market_symbol y CROSS JOIN LATERAL (
        (
            SELECT bid, ask, time, time AS since, 'tick' AS origin, source, 1 AS rank
            FROM market_tick
            WHERE symbol_id = y.id AND time <= %(at)s
            ORDER BY time DESC, nth DESC, source LIMIT 1
        )
        UNION ALL
        SELECT bid, ask, time, time, 'last_quote', source, 2
        FROM market_lastquote WHERE symbol_id = y.id AND time <= %(at)s
        UNION ALL
        SELECT bar.close, bar.close, bar.opened_at + width.span, bar.opened_at, 'candle', width.name, 3
        FROM (VALUES {widths}) width(name, span) CROSS JOIN LATERAL (
            SELECT close, opened_at FROM market_candle
            WHERE symbol_id = y.id AND interval = width.name AND opened_at <= %(at)s - width.span
            ORDER BY opened_at DESC LIMIT 1
        ) bar
    ) found
    WHERE %(names)s::text[] IS NULL OR y.name = ANY(%(names)s)
    ORDER BY y.name, found.since DESC, found.rank
""".format(widths=", ".join(f"('{name}', interval '{span}')" for name, span in WIDTHS.items()))  # noqa: S608 - built from the names above


def quotes_at(at: datetime, *, names: Iterable[str] | None = None) -> dict[str, PastQuote]:
    """Return the last quote of every symbol (or of those named) at or before an instant; none, no entry."""
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, {"at": at, "names": None if names is None else list(names)})
        return {
            name: PastQuote(Quote(name, bid, ask, to_ms(time)), Origin(origin), source)
            for name, bid, ask, time, origin, source in cursor.fetchall()
        }


def stored_until() -> datetime | None:
    """Return until when the engine has stored what it saw; None: no engine has run yet."""
    found: datetime | None = FeedStatus.objects.aggregate(last=Max("updated_at"))["last"]
    return found
