"""Reads of stored candles."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet

from apps.market.domain.candles import Bar
from apps.market.models import Candle
from apps.market.selectors.quotes import to_ms


def candles_of(
    *, symbol: str, interval: str, since: datetime | None = None, until: datetime | None = None
) -> QuerySet[Candle]:
    """Return the candles of a symbol that open within [since, until), newest first."""
    found = Candle.objects.filter(symbol__name=symbol, interval=interval)
    if since is not None:
        found = found.filter(opened_at__gte=since)
    if until is not None:
        found = found.filter(opened_at__lt=until)
    return found.order_by("-opened_at")


def minutes_since(*, symbols: Iterable[str], since: datetime) -> dict[str, list[tuple[int, Bar]]]:
    """Return the stored minute bars per symbol in time order, as `(opened_ms, bar)`."""
    rows = (
        Candle.objects.filter(
            symbol__name__in=list(symbols), interval=Candle.Interval.M1, opened_at__gte=since
        )
        .order_by("opened_at")
        .values_list("symbol__name", "opened_at", "open", "high", "low", "close", "ticks")
    )
    found: dict[str, list[tuple[int, Bar]]] = {}
    for name, opened_at, open_, high, low, close, ticks in rows:
        found.setdefault(name, []).append((to_ms(opened_at), Bar(open_, high, low, close, ticks)))
    return found
