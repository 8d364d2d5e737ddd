"""Pages of circuit breakers: rules, how their subjects stand, and every change."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.enums import ActionVariant

from apps.risk.admin.controls import ScopedAdmin
from apps.risk.forms.controls import BreakerForm
from apps.risk.models import Breaker, BreakerChange, BreakerState
from apps.risk.permissions import RESET_BREAKER, rights_to_reset
from apps.risk.selectors.record_views import of_accounts
from apps.risk.services import breakers
from rtx.kernel.admin import (
    ConfiguredModelAdmin,
    OperatedModelAdmin,
    ReadOnlyModelAdmin,
    ReadOnlyTabularInline,
    as_id,
    reachable_groups,
)
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, badge, grouped, instant, link, number
from rtx.kernel.admin_filters import PeriodFilter
from rtx.kernel.errors import Forbidden
from rtx.kernel.money import plain, rounded

TONES = {"closed": "good", "half_open": "warn", "open": "bad"}
UNITS = {
    "price_move": "%",
    "spread": "points",
    "reject_rate": "%",
    "tick_silence": "s",
}
WINDOWED = frozenset({"price_move", "reject_rate", "house_loss"})


def measured(value: Any) -> SafeString | str:
    """Write a measured value, not longer than it says anything."""
    return EMPTY if value is None else number(rounded(value, 4).normalize() if value else value)


class StateInline(ReadOnlyTabularInline):
    """How the subjects of one breaker stand."""

    model = BreakerState
    hide_title = True
    tab = True
    per_page = 25
    fields = ["subject_", "state_", "since", "cools_until", "trips", "reason"]
    readonly_fields = ["subject_", "state_"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave accounts out of reach out."""
        return of_accounts(super().get_queryset(request), reachable_groups(request.user))

    @admin.display(description="Subject")
    def subject_(self, row: BreakerState) -> SafeString:
        """A link to the state."""
        return link(row, row.subject or "platform")

    @admin.display(description="State")
    def state_(self, row: BreakerState) -> SafeString:
        """How it stands."""
        return badge(row.get_state_display(), TONES[row.state])


class ChangeInline(ReadOnlyTabularInline):
    """The history of one subject."""

    model = BreakerChange
    hide_title = True
    tab = True
    per_page = 25
    show_change_link = False
    fields = ["at", "before", "after_", "measured_", "reason", "actor"]
    readonly_fields = ["after_", "measured_"]

    @admin.display(description="After")
    def after_(self, change: BreakerChange) -> SafeString:
        """What it became."""
        return badge(change.get_after_display(), TONES[change.after])

    @admin.display(description="Measured")
    def measured_(self, change: BreakerChange) -> SafeString | str:
        """What was measured."""
        return measured(change.value)


@admin.register(Breaker)
class BreakerAdmin(ScopedAdmin, ConfiguredModelAdmin):
    """Rules; in force within half a second after saving. Switched off, never deleted: history names them."""

    is_deletable = False
    reach_path = "account__group"
    form = BreakerForm
    list_display = ["name", "kind", "watched", "trips_at", "returns", "stands", "is_active"]
    list_select_related = ["symbol", "account"]
    list_filter = [
        ("kind", ChoicesDropdownFilter),
        ("scope", ChoicesDropdownFilter),
        ("reset", ChoicesDropdownFilter),
        ("is_active", BooleanRadioFilter),
    ]
    search_fields = ["name"]
    search_help_text = "Name, account number or symbol"
    autocomplete_fields = ["symbol"]
    inlines = [StateInline]
    fieldsets = [
        (None, {"fields": [("name", "is_active")]}),
        (
            "What it watches",
            {
                "description": "Without a name it watches each symbol (provider, account) by itself.",
                "fields": ["scope", ("symbol", "account_number", "lp")],
            },
        ),
        (
            "What trips it",
            {
                "description": (
                    "It trips when the measure reaches the threshold: percent of price or of refused orders, "
                    "points of spread, seconds without a tick in session, or what the house lost in the "
                    "currency. Refusals of kill switches and breakers themselves do not count."
                ),
                "fields": [("kind", "threshold", "currency"), ("window_s", "observations_min")],
            },
        ),
        (
            "How it comes back",
            {
                "description": (
                    "While open, orders that add exposure are refused. After the cool-down, and once the "
                    "measure is below again, it lets the probe orders pass and then closes."
                ),
                "fields": [("reset", "cooldown_s", "probe_orders")],
            },
        ),
    ]

    def limit_to(self, rows: QuerySet[Any], groups: frozenset[int], request: HttpRequest) -> QuerySet[Any]:
        """Keep what is about accounts of these groups, or about none."""
        return rows.filter(Q(account__isnull=True) | Q(account__group__in=groups))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by name, account number or symbol."""
        wanted = as_id(term)
        found = Q(name__icontains=term) | Q(symbol__name__istartswith=term)
        return found | Q(account__login=wanted) if wanted is not None else found

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count the subjects that are not closed in the same statement."""
        counted = ~Q(states__state="closed")
        groups = reachable_groups(request.user)
        if groups is not None:
            counted &= Q(states__account__isnull=True) | Q(states__account__group__in=groups)
        tripped = Count("states", filter=counted)
        return super().get_queryset(request).annotate(tripped=tripped)

    @admin.display(description="Watches", ordering="scope")
    def watched(self, breaker: Breaker) -> SafeString:
        """What it watches."""
        named = breaker.symbol or breaker.account or breaker.lp
        each = "" if breaker.scope == "platform" else "each "
        return badge(f"{named}" if named else f"{each}{breaker.get_scope_display()}".lower(), "info")

    @admin.display(description="Trips at")
    def trips_at(self, breaker: Breaker) -> str:
        """The threshold with its unit and window."""
        unit = UNITS.get(breaker.kind, breaker.currency)
        window = f" within {breaker.window_s} s" if breaker.kind in WINDOWED else ""
        return f"{grouped(plain(breaker.threshold))} {unit}{window}"

    @admin.display(description="Comes back")
    def returns(self, breaker: Breaker) -> str:
        """How it is reset."""
        if breaker.reset == Breaker.Reset.MANUAL:
            return "by staff"
        return f"after {breaker.cooldown_s} s and {breaker.probe_orders} probes"

    @admin.display(description="State")
    def stands(self, breaker: Any) -> SafeString:
        """Whether any subject is tripped."""
        return badge(f"{breaker.tripped} tripped", "bad") if breaker.tripped else badge("closed", "good")


@admin.register(BreakerState)
class BreakerStateAdmin(OperatedModelAdmin):
    """How each subject that ever tripped stands, with its history; staff may reset it."""

    reach_path = "account__group"
    list_display = ["name", "subject_", "state_", "since_", "cools", "measured_", "trips", "reason"]
    list_select_related = ["breaker"]
    list_filter = [("state", ChoicesDropdownFilter), ("breaker__kind", ChoicesDropdownFilter)]
    search_fields = ["subject"]
    search_help_text = "Symbol, provider, account number or breaker"
    ordering = ["-since"]
    sortable_by: list[str] = []
    inlines = [ChangeInline]
    actions = ["reset"]
    actions_detail = ["reset"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("name", "subject_", "state_"),
                    ("since_", "cools", "trips"),
                    ("measured_", "threshold"),
                    "reason",
                ]
            },
        )
    ]
    readonly_fields = ["name", "subject_", "state_", "since_", "cools", "measured_", "threshold"]

    def limit_to(self, rows: QuerySet[Any], groups: frozenset[int], request: HttpRequest) -> QuerySet[Any]:
        """Keep what is about accounts of these groups, or about none."""
        return rows.filter(Q(account__isnull=True) | Q(account__group__in=groups))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by subject or breaker."""
        return Q(subject__istartswith=(term.lstrip("#") or term)) | Q(breaker__name__icontains=term)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """A closed breaker has nothing to reset."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        row = self.get_object(request, unquote(str(object_id))) if offered else None
        return offered if row is not None and row.state != "closed" else []

    @operator_action(
        "Reset",
        permission=RESET_BREAKER,
        warning="Trading goes on at once, and the breaker measures anew.",
        icon="restart_alt",
        variant=ActionVariant.DANGER,
    )
    def reset(self, row: BreakerState, operation: Operation) -> str:
        """Close one breaker by hand."""
        for right in rights_to_reset(row.account_id):
            if not operation.may(right):
                raise Forbidden(f"This needs the right {right}.")
        breakers.reset(state_id=row.pk, actor=operation.actor, reason=operation.reason)
        return "closed"

    @admin.display(description="Breaker")
    def name(self, row: BreakerState) -> SafeString:
        """A link to the rule."""
        return link(row.breaker)

    @admin.display(description="Subject")
    def subject_(self, row: BreakerState) -> str:
        """What it is about."""
        return row.subject or "platform"

    @admin.display(description="State")
    def state_(self, row: BreakerState) -> SafeString:
        """How it stands."""
        return badge(row.get_state_display(), TONES[row.state])

    @admin.display(description="Since (UTC)")
    def since_(self, row: BreakerState) -> SafeString:
        """Since when."""
        return instant(row.since)

    @admin.display(description="Cools until (UTC)")
    def cools(self, row: BreakerState) -> SafeString:
        """Until when it stays open at least."""
        return instant(row.cools_until if row.state == "open" else None)

    @admin.display(description="Measured")
    def measured_(self, row: BreakerState) -> SafeString | str:
        """What was measured when it changed."""
        return measured(row.value)

    @admin.display(description="Threshold")
    def threshold(self, row: BreakerState) -> SafeString:
        """What trips it."""
        return number(row.breaker.threshold)


@admin.register(BreakerChange)
class BreakerChangeAdmin(ReadOnlyModelAdmin):
    """Every change of every breaker; append-only."""

    reach_path = "state__account__group"
    list_display = ["at_", "breaker_name", "subject_", "before_", "after_", "measured_", "reason", "actor"]
    list_filter = [("after", ChoicesDropdownFilter), ("at", PeriodFilter)]
    search_fields = ["subject"]
    search_help_text = "Symbol, provider, account number or breaker"
    sortable_by: list[str] = []
    fields = [
        "at_",
        "breaker_name",
        "subject_",
        "before_",
        "after_",
        "measured_",
        "threshold",
        "reason",
        "actor",
    ]
    readonly_fields = ["at_", "subject_", "before_", "after_", "measured_"]

    def limit_to(self, rows: QuerySet[Any], groups: frozenset[int], request: HttpRequest) -> QuerySet[Any]:
        """Keep what is about accounts of these groups, or about none."""
        return rows.filter(Q(state__account__isnull=True) | Q(state__account__group__in=groups))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by subject or breaker."""
        return Q(subject__istartswith=(term.lstrip("#") or term)) | Q(breaker_name__icontains=term)

    @admin.display(description="Time (UTC)")
    def at_(self, change: BreakerChange) -> SafeString:
        """When it changed."""
        return instant(change.at)

    @admin.display(description="Subject")
    def subject_(self, change: BreakerChange) -> str:
        """What it is about."""
        return change.subject or "platform"

    @admin.display(description="Before")
    def before_(self, change: BreakerChange) -> SafeString:
        """What it was."""
        return badge(change.before.replace("_", "-"), TONES[change.before])

    @admin.display(description="After")
    def after_(self, change: BreakerChange) -> SafeString:
        """What it became."""
        return badge(change.after.replace("_", "-"), TONES[change.after])

    @admin.display(description="Measured")
    def measured_(self, change: BreakerChange) -> SafeString | str:
        """What was measured."""
        return measured(change.value)
