"""Pages of prices: last quotes, feeds and candles. Only shown."""

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter

from apps.market.models import Candle, FeedStatus, LastQuote, Symbol
from rtx.kernel import clock
from rtx.kernel.admin import ReadOnlyModelAdmin
from rtx.kernel.admin_display import badge, instant, number, price
from rtx.kernel.admin_filters import PeriodFilter, ReferenceFilter


def source_badge(*, source: str, simulated: bool) -> SafeString:
    """Write where a price comes from; simulated prices are always named so."""
    return badge("simulated prices", "warn") if simulated else badge(source or "unknown", "info")


@admin.register(LastQuote)
class LastQuoteAdmin(ReadOnlyModelAdmin):
    """The latest quote of each symbol as the engine saved it."""

    list_display = ["symbol_link", "bid_", "ask_", "spread", "time_", "age", "origin"]
    list_filter = [("simulated", BooleanRadioFilter), ("symbol__asset_class", ChoicesDropdownFilter)]
    list_select_related = ["symbol"]
    search_fields = ["symbol__name"]
    search_help_text = "Symbol"
    ordering = ["symbol__name"]
    fields = ["symbol", "bid", "ask", "time", "age", "source", "origin"]
    readonly_fields = ["age", "origin"]

    @admin.display(description="Symbol", ordering="symbol__name")
    def symbol_link(self, quote: LastQuote) -> str:
        """The symbol's name."""
        return quote.symbol.name

    @admin.display(description="Bid")
    def bid_(self, quote: LastQuote) -> SafeString:
        """Bid with the symbol's decimals."""
        return price(quote.bid, quote.symbol.digits)

    @admin.display(description="Ask")
    def ask_(self, quote: LastQuote) -> SafeString:
        """Ask with the symbol's decimals."""
        return price(quote.ask, quote.symbol.digits)

    @admin.display(description="Spread, points")
    def spread(self, quote: LastQuote) -> SafeString:
        """Ask minus bid in points."""
        return number((quote.ask - quote.bid).scaleb(quote.symbol.digits))

    @admin.display(description="Time (UTC)", ordering="time")
    def time_(self, quote: LastQuote) -> SafeString:
        """When the quote was made."""
        return instant(quote.time)

    @admin.display(description="Age")
    def age(self, quote: LastQuote) -> SafeString:
        """Seconds since the quote; red above the symbol's limit."""
        seconds = (clock.now() - quote.time).total_seconds()
        tone = "bad" if seconds > quote.symbol.quote_age_max_s else "good"
        return badge(f"{max(seconds, 0):.0f} s", tone)

    @admin.display(description="Origin")
    def origin(self, quote: LastQuote) -> SafeString:
        """Provider, or the mark of simulated prices."""
        return source_badge(source=quote.source, simulated=quote.simulated)


@admin.register(FeedStatus)
class FeedStatusAdmin(ReadOnlyModelAdmin):
    """What each symbol's feed delivered and what the tick filters refused."""

    list_display = ["symbol_name", "origin", "accepted", "refused", "started", "updated"]
    list_filter = [("simulated", BooleanRadioFilter)]
    list_select_related = ["symbol"]
    search_fields = ["symbol__name", "provider"]
    search_help_text = "Symbol or provider"
    ordering = ["symbol__name"]

    @admin.display(description="Symbol", ordering="symbol__name")
    def symbol_name(self, status: FeedStatus) -> str:
        """The symbol's name."""
        return status.symbol.name

    @admin.display(description="Feed")
    def origin(self, status: FeedStatus) -> SafeString:
        """Provider, or the mark of simulated prices."""
        return source_badge(source=status.provider, simulated=status.simulated)

    @admin.display(description="Refused")
    def refused(self, status: FeedStatus) -> int:
        """Ticks that the filters refused, all reasons together."""
        return (
            status.refused_crossed
            + status.refused_empty
            + status.refused_non_positive
            + status.refused_out_of_order
            + status.refused_spike
        )

    @admin.display(description="Since (UTC)")
    def started(self, status: FeedStatus) -> SafeString:
        """Since when is counted."""
        return instant(status.started_at)

    @admin.display(description="Updated (UTC)", ordering="updated_at")
    def updated(self, status: FeedStatus) -> SafeString:
        """When the engine last wrote this row."""
        return instant(status.updated_at)


@admin.register(Candle)
class CandleAdmin(ReadOnlyModelAdmin):
    """Bid candles, newest first within a symbol and an interval."""

    list_display = ["symbol", "interval", "opened", "open_", "high_", "low_", "close_", "ticks"]
    list_filter = [
        ("symbol", ReferenceFilter),
        ("interval", ChoicesDropdownFilter),
        ("opened_at", PeriodFilter),
    ]
    list_select_related = ["symbol"]
    search_fields = ["symbol__name"]
    search_help_text = "Symbol"
    ordering = ["-symbol_id", "-interval", "-opened_at"]  # the unique index, read backwards
    sortable_by: list[str] = []

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find a symbol by name first, so that its index serves the list."""
        return Q(
            symbol_id__in=list(Symbol.objects.filter(name__icontains=term).values_list("pk", flat=True)[:100])
        )

    @admin.display(description="Opened (UTC)")
    def opened(self, candle: Candle) -> SafeString:
        """When the candle begins."""
        return instant(candle.opened_at)

    @admin.display(description="Open")
    def open_(self, candle: Candle) -> SafeString:
        """First bid."""
        return price(candle.open, candle.symbol.digits)

    @admin.display(description="High")
    def high_(self, candle: Candle) -> SafeString:
        """Highest bid."""
        return price(candle.high, candle.symbol.digits)

    @admin.display(description="Low")
    def low_(self, candle: Candle) -> SafeString:
        """Lowest bid."""
        return price(candle.low, candle.symbol.digits)

    @admin.display(description="Close")
    def close_(self, candle: Candle) -> SafeString:
        """Last bid."""
        return price(candle.close, candle.symbol.digits)
