"""
Admin pages of the market: symbols and sessions are edited, prices, candles, feeds and leases only shown.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import (
    BooleanRadioFilter,
    ChoicesDropdownFilter,
    RangeDateTimeFilter,
    RelatedDropdownFilter,
)
from unfold.forms import PaginationInlineFormSet

from apps.market.forms import (
    HolidayForm,
    SessionHoursForm,
    SessionHoursFormSet,
    SymbolForm,
    TradingSessionForm,
)
from apps.market.models import (
    Candle,
    EngineLease,
    FeedStatus,
    Holiday,
    LastQuote,
    SessionHours,
    Symbol,
    TermsVersion,
    TickDay,
    TradingSession,
)
from rtx.kernel import clock
from rtx.kernel.admin import ConfiguredModelAdmin, ReadOnlyModelAdmin
from rtx.kernel.admin_display import badge, instant, number, price
from rtx.kernel.money import plain

TRADE_MODE_TONES = {
    "full": "good",
    "long_only": "warn",
    "short_only": "warn",
    "close_only": "warn",
    "disabled": "bad",
}


def source_badge(*, source: str, simulated: bool) -> SafeString:
    """Write where a price comes from; simulated prices are always named so."""
    return badge("simulated prices", "warn") if simulated else badge(source or "unknown", "info")


@admin.register(Symbol)
class SymbolAdmin(ConfiguredModelAdmin):
    """Symbols are closed or switched off, never deleted: deals and journals refer to them."""

    is_deletable = False
    form = SymbolForm
    list_display = [
        "name",
        "description",
        "class_",
        "currencies",
        "digits",
        "lots",
        "contract",
        "mode",
        "session",
        "is_active",
    ]
    list_filter = [
        ("asset_class", ChoicesDropdownFilter),
        ("trade_mode", ChoicesDropdownFilter),
        ("margin_mode", ChoicesDropdownFilter),
        ("session", RelatedDropdownFilter),
        ("is_active", BooleanRadioFilter),
    ]
    list_select_related = ["session"]
    search_fields = ["name", "description", "base_currency", "profit_currency"]
    search_help_text = "Name, description or currency"
    autocomplete_fields = ["session"]
    fieldsets = [
        (
            None,
            {"fields": [("name", "description"), ("asset_class", "trade_mode"), ("session", "is_active")]},
        ),
        (
            "Contract",
            {
                "fields": [
                    ("base_currency", "profit_currency", "margin_currency"),
                    ("digits", "contract_size"),
                ]
            },
        ),
        ("Volume in lots", {"fields": [("volume_min", "volume_max", "volume_step")]}),
        (
            "Margin",
            {
                "fields": [
                    ("margin_mode", "margin_initial"),
                    ("margin_rate_buy", "margin_rate_sell"),
                    ("hedged_contract_size", "tick_size", "tick_price"),
                ]
            },
        ),
        ("Price checks", {"fields": [("quote_age_max_s", "spike_max_pct")]}),
    ]

    @admin.display(description="Class", ordering="asset_class")
    def class_(self, symbol: Symbol) -> str:
        """The asset class."""
        return symbol.get_asset_class_display()

    @admin.display(description="Base / profit")
    def currencies(self, symbol: Symbol) -> str:
        """Both currencies."""
        return f"{symbol.base_currency} / {symbol.profit_currency}"

    @admin.display(description="Lots: min, max, step")
    def lots(self, symbol: Symbol) -> str:
        """The volume limits."""
        return f"{plain(symbol.volume_min)} … {plain(symbol.volume_max)}, {plain(symbol.volume_step)}"

    @admin.display(description="Contract", ordering="contract_size")
    def contract(self, symbol: Symbol) -> SafeString:
        """The contract size."""
        return number(symbol.contract_size)

    @admin.display(description="Trading", ordering="trade_mode")
    def mode(self, symbol: Symbol) -> SafeString:
        """What clients may do."""
        return badge(symbol.get_trade_mode_display(), TRADE_MODE_TONES[symbol.trade_mode])


class WeekFormSet(SessionHoursFormSet, PaginationInlineFormSet):
    """Openings of a week, with the checks of the form set."""


class SessionHoursInline(TabularInline):
    """Openings of a session."""

    model = SessionHours
    form = SessionHoursForm
    formset = WeekFormSet
    extra = 0


class HolidayInline(TabularInline):
    """Days on which a session stays closed or closes early."""

    model = Holiday
    form = HolidayForm
    extra = 0


@admin.register(TradingSession)
class TradingSessionAdmin(ConfiguredModelAdmin):
    """Calendars with their hours and holidays."""

    form = TradingSessionForm
    list_display = ["name", "timezone", "kind", "symbol_count"]
    list_filter = [("always_open", BooleanRadioFilter)]
    search_fields = ["name", "timezone"]
    search_help_text = "Name or time zone"
    inlines = [SessionHoursInline, HolidayInline]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count the symbols of each session in the same statement."""
        return super().get_queryset(request).annotate(symbols_using=Count("symbols"))

    @admin.display(description="Hours", ordering="always_open")
    def kind(self, session: TradingSession) -> SafeString:
        """Whether the session has hours."""
        return badge("always open", "info") if session.always_open else badge("by hours", "muted")

    @admin.display(description="Symbols", ordering="symbols_using")
    def symbol_count(self, session: Any) -> int:
        """How many symbols trade in it."""
        return int(session.symbols_using)


@admin.register(SessionHours)
class SessionHoursAdmin(ConfiguredModelAdmin):
    """Openings of all sessions in one list."""

    form = SessionHoursForm
    list_display = ["session", "weekday", "opens_at", "closes_at"]
    list_filter = [("session", RelatedDropdownFilter), ("weekday", ChoicesDropdownFilter)]
    list_select_related = ["session"]
    search_fields = ["session__name"]
    search_help_text = "Session"
    autocomplete_fields = ["session"]


@admin.register(Holiday)
class HolidayAdmin(ConfiguredModelAdmin):
    """Holidays of all sessions in one list."""

    form = HolidayForm
    list_display = ["date", "session", "name", "closes_at"]
    list_filter = [("session", RelatedDropdownFilter)]
    list_select_related = ["session"]
    search_fields = ["name", "session__name"]
    search_help_text = "Holiday or session"
    autocomplete_fields = ["session"]


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
        ("symbol", RelatedDropdownFilter),
        ("interval", ChoicesDropdownFilter),
        ("opened_at", RangeDateTimeFilter),
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


@admin.register(EngineLease)
class EngineLeaseAdmin(ReadOnlyModelAdmin):
    """Who leads each engine service."""

    list_display = ["name", "holder", "fence", "expires", "state"]
    search_fields = ["name", "holder"]
    search_help_text = "Service or holder"

    @admin.display(description="Expires (UTC)", ordering="expires_at")
    def expires(self, lease: EngineLease) -> SafeString:
        """When the lease ends unless it is renewed."""
        return instant(lease.expires_at)

    @admin.display(description="State")
    def state(self, lease: EngineLease) -> SafeString:
        """Whether the holder still leads."""
        return badge("leading", "good") if lease.expires_at > clock.now() else badge("expired", "bad")


@admin.register(TermsVersion)
class TermsVersionAdmin(ReadOnlyModelAdmin):
    """Counts every change of symbols, sessions, groups and terms."""

    list_display = ["__str__", "version"]
    search_fields = ["version"]


@admin.register(TickDay)
class TickDayAdmin(ReadOnlyModelAdmin):
    """The days of stored ticks."""

    list_display = ["date", "keeps_history", "created_at"]
    list_filter = [("keeps_history", BooleanRadioFilter)]
    search_fields = ["date"]
    search_help_text = "Date"
    date_hierarchy = "date"
