"""Pages of accounts at risk: by margin level, and their days. Only shown."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.accounts.models import TradingAccount
from apps.risk.models import AccountRisk, AccountRiskDay
from apps.risk.selectors import levels
from rtx.kernel.admin import ReadOnlyModelAdmin, as_id
from rtx.kernel.admin_display import EMPTY, amount, badge, instant, link, number, percent
from rtx.kernel.admin_filters import DaysFilter, ReachableGroupFilter

DAYS_SHOWN = 90
HUNDRED = Decimal(100)


def level_badge(level_pct: Decimal | None, *, call_pct: Decimal, stop_out_pct: Decimal) -> SafeString | str:
    """Write a margin level: red at stop-out, amber at the margin call."""
    if level_pct is None:
        return EMPTY
    tone = "bad" if level_pct <= stop_out_pct else "warn" if level_pct <= call_pct else "good"
    return badge(percent(level_pct), tone)


class OfAccount(ReadOnlyModelAdmin):
    """Rows that belong to one account."""

    reach_path = "account__group"
    list_select_related = ["account__group"]
    search_fields = ["account__login"]
    search_help_text = "Account"

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find the rows of an account."""
        wanted = as_id(term)
        if wanted is None:
            return Q(pk__in=[])
        accounts = TradingAccount.objects.filter(login=wanted).values_list("pk", flat=True)
        return Q(account_id__in=list(accounts))

    @admin.display(description="Account")
    def account_link(self, row: Any) -> SafeString:
        """A link to the account."""
        return link(row.account)

    @admin.display(description="Group")
    def group_name(self, row: Any) -> str:
        """The account's group."""
        return str(row.account.group.name)


class NearFilter(admin.SimpleListFilter):
    """Accounts by how near they are to their group's levels."""

    title = "margin level"
    parameter_name = "near"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer stop-out, call, near the call, with margin."""
        return [
            ("stop", "At or below stop-out"),
            ("call", "At or below the margin call"),
            ("near", "Up to half above the margin call"),
            ("margin", "With margin"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the chosen accounts."""
        group = "account__group__"
        match self.value():
            case "stop":
                return queryset.filter(level_pct__lte=F(f"{group}stop_out_pct"))
            case "call":
                return queryset.filter(level_pct__lte=F(f"{group}margin_call_pct"))
            case "near":
                return queryset.filter(level_pct__lte=F(f"{group}margin_call_pct") * Decimal("1.5"))
            case "margin":
                return queryset.filter(level_pct__isnull=False)
        return queryset


@admin.register(AccountRisk)
class AccountRiskAdmin(OfAccount):
    """How accounts stand, those nearest to their margin call first; refreshed every few seconds."""

    list_display = [
        "account_link",
        "group_name",
        "level",
        "equity_",
        "margin_",
        "day_result",
        "drawdown",
        "used_credit_",
        "updated",
    ]
    list_filter = [NearFilter, ("account__group", ReachableGroupFilter)]
    list_display_links = ["level"]
    ordering = [F("level_pct").asc(nulls_last=True), "account_id"]
    sortable_by = ["level", "equity_", "margin_"]
    change_form_outer_before_template = "admin/account_days.html"
    fields = [
        ("account_link", "group_name", "level"),
        ("equity_", "margin_", "updated"),
        ("peak", "peak_at_", "drawdown"),
        ("day", "day_start", "day_result"),
        ("day_low", "day_high", "seq"),
        ("used_credit_", "used_credit_most"),
    ]
    readonly_fields = [
        "account_link",
        "group_name",
        "level",
        "equity_",
        "margin_",
        "updated",
        "peak",
        "peak_at_",
        "drawdown",
        "day_start",
        "day_result",
        "day_low",
        "day_high",
        "used_credit_",
        "used_credit_most",
    ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show an account with the equity of its days."""
        risk = self.get_object(request, object_id)
        shown = {} if risk is None else {"day_chart": levels.days_of(risk.account_id, limit=DAYS_SHOWN)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    @admin.display(description="Margin level", ordering="level_pct")
    def level(self, risk: AccountRisk) -> SafeString | str:
        """Equity in percent of the margin."""
        group = risk.account.group
        return level_badge(risk.level_pct, call_pct=group.margin_call_pct, stop_out_pct=group.stop_out_pct)

    @admin.display(description="Equity", ordering="equity")
    def equity_(self, risk: AccountRisk) -> SafeString:
        """Present equity."""
        return amount(risk.equity, risk.account.currency)

    @admin.display(description="Margin", ordering="margin")
    def margin_(self, risk: AccountRisk) -> SafeString:
        """Margin held."""
        return amount(risk.margin, risk.account.currency)

    @admin.display(description="Result of the day")
    def day_result(self, risk: AccountRisk) -> SafeString:
        """Equity against the day's start, without money paid in or out."""
        return amount(risk.equity - risk.day_start_equity, risk.account.currency, signed=True)

    @admin.display(description="Below peak")
    def drawdown(self, risk: AccountRisk) -> str:
        """How far the equity is below its peak."""
        if risk.peak_equity <= 0:
            return EMPTY
        return f"{(risk.peak_equity - risk.equity) / risk.peak_equity * HUNDRED:.1f} %"

    @admin.display(description="Credit in use")
    def used_credit_(self, risk: AccountRisk) -> SafeString:
        """Part of the credit that margin or a loss needs now."""
        return amount(risk.used_credit, risk.account.currency)

    @admin.display(description="Most of the day")
    def used_credit_most(self, risk: AccountRisk) -> SafeString:
        """The most credit in use today."""
        return amount(risk.used_credit_max, risk.account.currency)

    @admin.display(description="Peak equity")
    def peak(self, risk: AccountRisk) -> SafeString:
        """The highest equity."""
        return amount(risk.peak_equity, risk.account.currency)

    @admin.display(description="Peak at (UTC)")
    def peak_at_(self, risk: AccountRisk) -> SafeString:
        """When the equity was highest."""
        return instant(risk.peak_at)

    @admin.display(description="Start of the day")
    def day_start(self, risk: AccountRisk) -> SafeString:
        """Equity at the day's start, moved by money paid in or out."""
        return amount(risk.day_start_equity, risk.account.currency)

    @admin.display(description="Low of the day")
    def day_low(self, risk: AccountRisk) -> SafeString:
        """The day's lowest equity."""
        return amount(risk.day_low_equity, risk.account.currency)

    @admin.display(description="High of the day")
    def day_high(self, risk: AccountRisk) -> SafeString:
        """The day's highest equity."""
        return amount(risk.day_high_equity, risk.account.currency)

    @admin.display(description="As of (UTC)", ordering="updated_at")
    def updated(self, risk: AccountRisk) -> SafeString:
        """When the row was written."""
        return instant(risk.updated_at)


@admin.register(AccountRiskDay)
class AccountRiskDayAdmin(OfAccount):
    """Accounts' UTC days, the latest first."""

    list_display = [
        "day",
        "account_link",
        "group_name",
        "start",
        "low",
        "high",
        "end",
        "orders",
        "average",
        "margin_calls",
        "liquidations",
    ]
    list_filter = [("account__group", ReachableGroupFilter), ("date", DaysFilter)]
    ordering = ["-date", "account_id"]
    sortable_by: list[str] = []
    fields = [
        ("day", "account_link", "group_name"),
        ("start", "end", "peak"),
        ("low", "high", "used_credit_most"),
        ("orders", "orders_rejected"),
        ("volume", "average"),
        ("margin_calls", "liquidations"),
    ]
    readonly_fields = [
        "day",
        "account_link",
        "group_name",
        "start",
        "end",
        "peak",
        "low",
        "high",
        "used_credit_most",
        "average",
    ]

    @admin.display(description="Day (UTC)")
    def day(self, day: AccountRiskDay) -> SafeString:
        """The UTC day."""
        return format_html('<span class="rtx-time">{}</span>', day.date.isoformat())

    @admin.display(description="Start")
    def start(self, day: AccountRiskDay) -> SafeString:
        """Equity at its start, moved by money paid in or out."""
        return amount(day.equity_start, day.account.currency)

    @admin.display(description="Low")
    def low(self, day: AccountRiskDay) -> SafeString:
        """Its lowest equity."""
        return amount(day.equity_low, day.account.currency)

    @admin.display(description="High")
    def high(self, day: AccountRiskDay) -> SafeString:
        """Its highest equity."""
        return amount(day.equity_high, day.account.currency)

    @admin.display(description="End")
    def end(self, day: AccountRiskDay) -> SafeString:
        """Equity at its end."""
        return amount(day.equity_end, day.account.currency)

    @admin.display(description="Peak")
    def peak(self, day: AccountRiskDay) -> SafeString:
        """Peak equity until then."""
        return amount(day.peak_equity, day.account.currency)

    @admin.display(description="Most credit in use")
    def used_credit_most(self, day: AccountRiskDay) -> SafeString:
        """The most credit in use."""
        return amount(day.used_credit_max, day.account.currency)

    @admin.display(description="Lots per order")
    def average(self, day: AccountRiskDay) -> SafeString:
        """Average size of its filled orders."""
        return number(day.order_size_average)
