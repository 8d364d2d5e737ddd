"""Pages of trading calendars: sessions with their hours and holidays."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Max, Q
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.forms import PaginationInlineFormSet

from apps.market.admin.terms import TermsModelAdmin
from apps.market.forms import HolidayForm, SessionHoursForm, SessionHoursFormSet, TradingSessionForm
from apps.market.models import Holiday, SessionHours, TradingSession
from rtx.kernel.admin import ConfiguredModelAdmin
from rtx.kernel.admin_display import EMPTY, badge
from rtx.kernel.admin_filters import ReferenceFilter


def origin_badge(holiday: Holiday) -> SafeString:
    """Say whether a holiday was imported: then the next import may change it."""
    return badge("exchange calendar", "info") if holiday.is_imported else badge("by hand", "muted")


class WeekFormSet(SessionHoursFormSet, PaginationInlineFormSet):
    """Openings of a week, with the checks of the form set."""


class SessionHoursInline(TabularInline):
    """Openings of a session."""

    model = SessionHours
    form = SessionHoursForm
    formset = WeekFormSet
    extra = 0
    hide_title = True
    tab = True


class HolidayInline(TabularInline):
    """Days on which a session stays closed or closes early."""

    model = Holiday
    form = HolidayForm
    extra = 0
    hide_title = True
    per_page = 40
    tab = True
    fields = ["date", "name", "closes_at", "origin"]
    readonly_fields = ["origin"]

    @admin.display(description="Origin")
    def origin(self, holiday: Holiday) -> SafeString:
        """Imported, or entered by hand."""
        return origin_badge(holiday)


@admin.register(TradingSession)
class TradingSessionAdmin(TermsModelAdmin):
    """Calendars with their hours and holidays."""

    parts = ((SessionHours, "session"), (Holiday, "session"))
    form = TradingSessionForm
    list_display = ["name", "timezone", "kind", "exchange", "known_until", "symbol_count"]
    list_filter = [("always_open", BooleanRadioFilter)]
    search_fields = ["name", "timezone", "exchange"]
    search_help_text = "Name, time zone or exchange"
    fieldsets = [
        (None, {"fields": [("name", "timezone", "always_open")]}),
        (
            "Holidays",
            {
                "description": (
                    "Holidays of the exchange are imported every week (manage.py sync_holidays does it at "
                    "once). Rows entered or changed by hand are left alone."
                ),
                "fields": ["exchange"],
            },
        ),
    ]
    inlines = [SessionHoursInline, HolidayInline]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count the symbols of each session, and find its last holiday, in the same statement."""
        return (
            super()
            .get_queryset(request)
            .annotate(
                symbols_using=Count("symbols", distinct=True),
                last_holiday=Max("holidays__date", filter=Q(holidays__is_imported=True)),
            )
        )

    @admin.display(description="Hours", ordering="always_open")
    def kind(self, session: TradingSession) -> SafeString:
        """Whether the session has hours."""
        return badge("always open", "info") if session.always_open else badge("by hours", "muted")

    @admin.display(description="Last imported holiday")
    def known_until(self, session: Any) -> str:
        """How far the imported holidays reach."""
        return f"{session.last_holiday}" if session.last_holiday else EMPTY

    @admin.display(description="Symbols", ordering="symbols_using")
    def symbol_count(self, session: Any) -> int:
        """How many symbols trade in it."""
        return int(session.symbols_using)


@admin.register(SessionHours)
class SessionHoursAdmin(ConfiguredModelAdmin):
    """Openings of all sessions in one list."""

    form = SessionHoursForm
    list_display = ["session", "weekday", "opens_at", "closes_at"]
    list_filter = [("session", ReferenceFilter), ("weekday", ChoicesDropdownFilter)]
    list_select_related = ["session"]
    search_fields = ["session__name"]
    search_help_text = "Session"
    autocomplete_fields = ["session"]


@admin.register(Holiday)
class HolidayAdmin(ConfiguredModelAdmin):
    """Holidays of all sessions in one list."""

    form = HolidayForm
    list_display = ["date", "session", "name", "closes_at", "origin"]
    list_filter = [("session", ReferenceFilter), ("is_imported", BooleanRadioFilter)]
    list_select_related = ["session"]
    search_fields = ["name", "session__name"]
    search_help_text = "Holiday or session"
    autocomplete_fields = ["session"]

    @admin.display(description="Origin", ordering="is_imported")
    def origin(self, holiday: Holiday) -> SafeString:
        """Imported, or entered by hand."""
        return origin_badge(holiday)
