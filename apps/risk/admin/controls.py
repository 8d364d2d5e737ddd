"""Pages of what stands before orders: kill switches, limits, trading hours."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import (
    BooleanRadioFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
)
from unfold.enums import ActionVariant

from apps.risk.forms.controls import KillSwitchForm, RiskLimitForm, TradingHoursForm
from apps.risk.models import KillSwitch, RiskLimit, TradingHours
from apps.risk.permissions import ENGAGE_KILL_SWITCH, ENGAGE_PLATFORM_KILL_SWITCH, RELEASE_KILL_SWITCH
from apps.risk.selectors.reaches import reaches_everyone
from apps.risk.services import kill_switch, kill_switch_work
from apps.risk.services.kill_switch import Target
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.admin import ConfiguredModelAdmin, OperatedModelAdmin, RtxModelAdmin, as_id
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import EMPTY, badge, grouped, instant, link
from rtx.kernel.admin_filters import ReachableGroupFilter
from rtx.kernel.money import plain

SCOPE_TONES = {"platform": "bad", "group": "warn", "symbol": "info", "account": "muted"}


def _may_touch(request: HttpRequest, row: Any) -> bool:
    concerns_everyone = row is not None and row.account_id is None and getattr(row, "group_id", None) is None
    return not concerns_everyone or reaches_everyone(request.user)


class ScopedAdmin(RtxModelAdmin):
    """
    Rows about the platform, a group, a symbol or an account. Staff see the rows of their groups, and those
    that hold for everyone.
    """

    reach_path = "group"
    list_select_related = ["group", "symbol", "account"]

    def limit_to(self, rows: QuerySet[Any], groups: frozenset[int], request: HttpRequest) -> QuerySet[Any]:
        """Keep what is about these groups, their accounts, or everyone."""
        everyone = Q(group__isnull=True, account__isnull=True)
        return rows.filter(everyone | Q(group__in=groups) | Q(account__group__in=groups))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let only those who reach everyone change what concerns everyone."""
        return bool(super().has_change_permission(request, obj)) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let only those who reach everyone delete what concerns everyone."""
        return bool(super().has_delete_permission(request, obj)) and _may_touch(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Tell the form who fills it in: accounts must be within reach."""
        made = super().get_form(request, obj, change, **kwargs)
        return type(made.__name__, (made,), {"user": request.user})

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by account number, or by the beginning of a group's or symbol's name."""
        wanted = as_id(term)
        if wanted is not None:
            return Q(account__login=wanted)
        return Q(group__name__istartswith=term) | Q(symbol__name__istartswith=term)

    @admin.display(description="Scope", ordering="scope")
    def scope_(self, row: Any) -> SafeString:
        """What kind of thing it is about."""
        return badge(row.get_scope_display(), SCOPE_TONES[row.scope])

    @admin.display(description="Target")
    def target(self, row: Any) -> SafeString | str:
        """What it is about."""
        if row.scope == "platform":
            return "everything"
        return link(getattr(row, row.scope))


class OnFilter(DropdownFilter):
    """Switches that are on, or those that were released."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("on", "On"), ("released", "Released")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[KillSwitch]) -> QuerySet[KillSwitch]:
        """Keep what was chosen."""
        if self.value() in ("on", "released"):
            return queryset.filter(released_at__isnull=self.value() == "on")
        return queryset


@admin.register(KillSwitch)
class KillSwitchAdmin(ScopedAdmin, OperatedModelAdmin, ConfiguredModelAdmin):
    """Stops trading and lets it go on; each row stays as history. Adding a row is stopping."""

    form = KillSwitchForm
    list_display = ["state", "scope_", "target", "reason", "engaged", "engaged_by", "work", "released"]
    list_filter = [OnFilter, ("scope", ChoicesDropdownFilter)]
    search_fields = ["account__login"]
    search_help_text = "Account number, group or symbol"
    sortable_by: list[str] = []
    autocomplete_fields = ["group", "symbol"]
    actions = ["release"]
    actions_detail = ["also_work", "release"]
    asked_fieldsets = [
        (
            "What to stop",
            {
                "description": (
                    "From the next moment on, orders that add exposure are refused there in every process, "
                    "and so are working orders when they are reached. What reduces risk never is."
                ),
                "fields": ["scope", ("group", "symbol", "account_number"), "reason"],
            },
        ),
        (
            "And besides",
            {
                "description": "Done by the engine at once, and tried again until it is done or released.",
                "fields": [("cancels_orders", "closes_positions")],
            },
        ),
    ]
    told_fieldsets = [
        (None, {"fields": [("state", "scope_", "target"), "reason", ("engaged", "engaged_by")]}),
        (
            "Work of the engine",
            {
                "fields": [
                    ("cancels_orders", "closes_positions"),
                    ("orders_canceled", "positions_closed"),
                    ("failures", "last_failure"),
                    "work_done",
                ]
            },
        ),
        ("Release", {"fields": [("released", "released_by"), "release_reason"]}),
    ]
    readonly_fields = ["state", "scope_", "target", "engaged", "released", "work_done"]

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Let those stop trading who have the right to, somewhere."""
        rights = (ENGAGE_KILL_SWITCH, ENGAGE_PLATFORM_KILL_SWITCH)
        return any(request.user.has_perm(right) for right in rights)

    def get_fieldsets(self, request: HttpRequest, obj: KillSwitch | None = None) -> Any:
        """Ask for what to stop, or tell what was stopped."""
        return self.asked_fieldsets if obj is None else self.told_fieldsets

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Say what adding a row is."""
        shown = {"title": "Stop trading", "show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **shown})

    def save_model(self, request: HttpRequest, obj: KillSwitch, form: Any, change: bool) -> None:
        """Engage through the service."""
        target = Target(
            scope=obj.scope, group_id=obj.group_id, symbol_id=obj.symbol_id, account_id=obj.account_id
        )
        made = kill_switch.engage(
            target=target,
            reason=obj.reason,
            actor=Actor.of(request),
            cancels_orders=obj.cancels_orders,
            closes_positions=obj.closes_positions,
        )
        obj.pk = made.pk
        obj.refresh_from_db()
        messages.warning(request, f"Trading is stopped: {made}.")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer nothing for a switch that was released."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        row = self.get_object(request, str(object_id)) if offered else None
        return offered if row is not None and row.is_on else []

    @operator_action(
        "Let trading go on",
        permission=RELEASE_KILL_SWITCH,
        warning="New orders are accepted again at once. What the engine has not done yet stays undone.",
        icon="play_arrow",
    )
    def release(self, switch: KillSwitch, operation: Operation) -> str:
        """Release one switch."""
        kill_switch.release(
            switch_id=switch.pk, reason=operation.reason, actor=operation.actor, may=operation.may
        )
        return "released"

    @operator_action(
        "Cancel orders and close positions",
        permission=ENGAGE_KILL_SWITCH,
        warning="The engine cancels every working order and closes every open position in this scope.",
        icon="cancel",
        variant=ActionVariant.DANGER,
    )
    def also_work(self, switch: KillSwitch, operation: Operation) -> str:
        """Ask a switch that is on for its work too."""
        kill_switch.add_work(
            switch_id=switch.pk,
            cancels_orders=True,
            closes_positions=True,
            actor=operation.actor,
            may=operation.may,
        )
        return "the engine is at work"

    @admin.display(description="State")
    def state(self, switch: KillSwitch) -> SafeString:
        """Whether it is on."""
        return badge("stopped", "bad") if switch.is_on else badge("released", "good")

    @admin.display(description="Since (UTC)")
    def engaged(self, switch: KillSwitch) -> SafeString:
        """When trading was stopped."""
        return instant(switch.engaged_at)

    @admin.display(description="Released (UTC)")
    def released(self, switch: KillSwitch) -> SafeString:
        """When trading went on."""
        return instant(switch.released_at)

    @admin.display(description="Work finished (UTC)")
    def work_done(self, switch: KillSwitch) -> SafeString:
        """When the engine had finished."""
        return instant(switch.work_done_at)

    @admin.display(description="Work of the engine")
    def work(self, switch: KillSwitch) -> str:
        """How far the engine is with what was asked for."""
        if not (switch.cancels_orders or switch.closes_positions):
            return EMPTY
        told = kill_switch_work.summary(switch, now=clock.now())
        return (
            told if switch.is_on else f"{switch.orders_canceled} canceled, {switch.positions_closed} closed"
        )


UNITS = {
    "order_volume": "lots",
    "open_volume": "lots",
    "positions": "",
    "orders_per_minute": "a minute",
    "drawdown": "%",
}


@admin.register(RiskLimit)
class RiskLimitAdmin(ScopedAdmin, ConfiguredModelAdmin):
    """Limits on orders that add exposure; in force with the next order after saving."""

    form = RiskLimitForm
    list_display = ["kind", "scope_", "target", "symbol_", "value_", "counts", "is_active", "note"]
    list_filter = [
        ("kind", ChoicesDropdownFilter),
        ("scope", ChoicesDropdownFilter),
        ("group", ReachableGroupFilter),
        ("is_active", BooleanRadioFilter),
    ]
    search_fields = ["account__login"]
    search_help_text = "Account number, group or symbol"
    sortable_by: list[str] = []
    autocomplete_fields = ["group", "symbol"]
    fieldsets = [
        (
            "Whom it is about",
            {
                "description": (
                    "A limit of the platform, a group or a symbol counts all its accounts together, unless "
                    "it holds for each account by itself. A symbol besides another scope: count it alone."
                ),
                "fields": ["scope", ("group", "symbol", "account_number"), "is_per_account"],
            },
        ),
        (
            "What it limits",
            {
                "description": (
                    "Lots: of one order, or open with working orders in the worst case. Positions, orders "
                    "per minute: a number. Exposure, credit in use, loss of the day: an amount of money. "
                    "Drawdown: percent of the peak equity. A size may reach the limit; a loss or a drawdown "
                    "refuses once it is reached. Limits of one account are exact; totals may be exceeded by "
                    "what is in flight in other processes."
                ),
                "fields": ["kind", ("value", "currency", "exposed_currency")],
            },
        ),
        (None, {"fields": [("is_active", "note")]}),
    ]

    @admin.display(description="Symbol")
    def symbol_(self, limit: RiskLimit) -> str:
        """The symbol that is counted alone."""
        return limit.symbol.name if limit.symbol else "all"

    @admin.display(description="Limit")
    def value_(self, limit: RiskLimit) -> SafeString:
        """The value with its unit."""
        exposed = f" of {limit.exposed_currency}" if limit.exposed_currency else ""
        return badge(
            f"{grouped(plain(limit.value))} {UNITS.get(limit.kind, limit.currency)}{exposed}".strip(), "info"
        )

    @admin.display(description="Counts")
    def counts(self, limit: RiskLimit) -> str:
        """Each account, all of them, or each order."""
        if limit.kind == RiskLimit.Kind.ORDER_VOLUME:
            return "each order"
        is_own = limit.is_per_account or limit.scope == "account"
        return "each account" if is_own else "all accounts together"


@admin.register(TradingHours)
class TradingHoursAdmin(ScopedAdmin, ConfiguredModelAdmin):
    """Hours in which exposure may be added, narrower than the symbols' own sessions."""

    form = TradingHoursForm
    list_display = ["scope_", "target", "weekday", "opens_at", "closes_at", "timezone"]
    list_filter = [
        ("scope", ChoicesDropdownFilter),
        ("weekday", ChoicesDropdownFilter),
        ("group", ReachableGroupFilter),
    ]
    search_fields = ["account__login"]
    search_help_text = "Account number, group or symbol"
    autocomplete_fields = ["group", "symbol"]
    fieldsets = [
        (
            "Whom it is about",
            {
                "description": (
                    "Without hours nothing is narrowed. Several rows of one target add up; all targets of an "
                    "order must be open. Outside, orders are refused as market_closed; closing always works."
                ),
                "fields": ["scope", ("group", "symbol", "account_number")],
            },
        ),
        ("When", {"fields": ["weekday", ("opens_at", "closes_at"), "timezone"]}),
    ]
