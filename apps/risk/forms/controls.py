"""Forms of controls: kill switches, limits, trading hours, breakers. Checked before the database is asked."""

from datetime import time
from typing import Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelect2Widget

from apps.accounts.models import TradingAccount
from apps.groups.models import TradingGroup
from apps.market.models import FeedStatus, Symbol
from apps.risk.models import Breaker, KillSwitch, RiskLimit
from apps.risk.permissions import right_to_engage
from apps.risk.selectors.reaches import reaches_everyone
from rtx.kernel.admin import reachable_groups

MIDNIGHT = time(0)
Kind = RiskLimit.Kind
WHOLE = frozenset({Kind.POSITIONS, Kind.ORDERS_PER_MINUTE})
OF_ANY_SYMBOL = frozenset(
    {Kind.CURRENCY_EXPOSURE, Kind.CORRELATED_EXPOSURE, Kind.CREDIT_USE, Kind.DAILY_LOSS, Kind.DRAWDOWN}
)
MONEY = frozenset(
    {
        Kind.SYMBOL_EXPOSURE,
        Kind.CURRENCY_EXPOSURE,
        Kind.CORRELATED_EXPOSURE,
        Kind.CREDIT_USE,
        Kind.DAILY_LOSS,
    }
)
ACCOUNT_KINDS = frozenset({Breaker.Kind.REJECT_RATE, Breaker.Kind.HOUSE_LOSS})


def known_currencies() -> set[str]:
    """Return every currency that symbols and groups know: only these can be converted."""
    found = set(TradingGroup.objects.values_list("currency", flat=True))
    for name in ("base_currency", "profit_currency"):
        found.update(Symbol.objects.values_list(name, flat=True))
    return found


LABELS = {
    "is_per_account": "For each account by itself",
    "is_active": "In force",
    "exposed_currency": "Currency that is counted",
    "lp": "Provider",
    "window_s": "Window in seconds",
    "observations_min": "Fewest orders",
    "cooldown_s": "Cool-down in seconds",
    "cancels_orders": "Cancel orders",
    "closes_positions": "Close positions",
}


class TargetForm(forms.ModelForm):
    """A row about exactly one thing; accounts are named by their number and must be within reach."""

    user: Any = None  # set by the page
    needs_reach: ClassVar[bool] = True  # what concerns everyone is only for those who reach everyone
    TARGETS: ClassVar[tuple[str, ...]] = ("group", "symbol", "account")
    is_target_needed: ClassVar[bool] = True

    account_number = forms.IntegerField(
        required=False,
        label="Account number",
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="For the scope account.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in LABELS.keys() & self.fields.keys():
            self.fields[name].label = LABELS[name]
        if self.instance.pk and self.instance.account_id and "account_number" in self.fields:
            self.fields["account_number"].initial = self.instance.account.login

    def clean(self) -> dict[str, Any]:
        """Find the account, and see that the scope names what it needs and nothing else."""
        data: dict[str, Any] = super().clean() or {}
        data["account"] = self._account(data)
        scope = data.get("scope")
        if scope is None:
            return data
        concerns_everyone = data.get("group") is None and data["account"] is None
        if self.needs_reach and concerns_everyone and not self.errors and not reaches_everyone(self.user):
            self.add_error("scope", "It would concern groups that you do not reach.")
        for name in self.TARGETS:
            field = "account_number" if name == "account" else name
            is_missing = self.is_target_needed and data.get(name) is None
            if name == scope and is_missing and field not in self.errors:
                self.add_error(field, f"The scope {scope} needs one.")
            if name != scope and data.get(name) is not None and not self.may_name(name, scope):
                self.add_error(field, f"Leave this empty: the scope is {scope}.")
        return data

    def may_name(self, name: str, scope: str) -> bool:
        """Say whether a row of a scope may name something besides."""
        return False

    def _account(self, data: dict[str, Any]) -> TradingAccount | None:
        number = data.get("account_number")
        if number is None:
            return None
        rows = TradingAccount.objects.filter(login=number)
        groups = reachable_groups(self.user)
        found = (rows if groups is None else rows.filter(group__in=groups)).first()
        if found is None:
            self.add_error("account_number", "There is no such account.")
        return found

    def _post_clean(self) -> None:
        self.instance.account = self.cleaned_data.get("account")
        super()._post_clean()  # type: ignore[misc]


class KillSwitchForm(TargetForm):
    """What to stop, why, and what else to do. Who may stop everything has a right of its own."""

    needs_reach = False

    class Meta:
        model = KillSwitch
        fields = ("scope", "group", "symbol", "reason", "cancels_orders", "closes_positions")

    def clean(self) -> dict[str, Any]:
        """Ask for the right that the scope needs, and for a scope that is not stopped already."""
        data = super().clean()
        scope = data.get("scope")
        if scope and not self.user.has_perm(right_to_engage(scope)):
            self.add_error("scope", "You may not stop trading in this scope.")
        if scope and not self.errors:
            named = {name: data.get(name) for name in self.TARGETS}
            if KillSwitch.objects.filter(scope=scope, released_at__isnull=True, **named).exists():
                self.add_error(None, "Trading is stopped there already.")
        return data


class RiskLimitForm(TargetForm):
    """A limit; what its value means depends on its kind."""

    def may_name(self, name: str, scope: str) -> bool:
        """Any limit may be about one symbol alone."""
        return name == "symbol"

    def clean(self) -> dict[str, Any]:
        """Check that kind, value and target fit together."""
        data = super().clean()
        kind, value, scope = data.get("kind"), data.get("value"), data.get("scope")
        if kind is None or scope is None:
            return data
        if value is not None and value < 0:
            self.add_error("value", "Must not be negative.")
        elif value is not None and kind in WHOLE and value != value.to_integral_value():
            self.add_error("value", "A whole number.")
        elif value is not None and kind == Kind.DRAWDOWN and not 0 < value <= 100:
            self.add_error("value", "A percentage above 0, at most 100.")
        if kind in OF_ANY_SYMBOL and data.get("symbol") is not None:
            self.add_error("symbol", "This kind of limit is not about one symbol.")
        self._check_currencies(data, kind)
        if scope == "account" and data.get("is_per_account"):
            data["is_per_account"] = False  # it is about one account anyway
        if kind == Kind.ORDER_VOLUME:
            data["is_per_account"] = False  # each order by itself
        return data

    def _check_currencies(self, data: dict[str, Any], kind: str) -> None:
        known = known_currencies()
        for name in ("currency", "exposed_currency"):
            data[name] = (data.get(name) or "").strip().upper()
        if kind in MONEY and data["currency"] not in known:
            self.add_error("currency", f"One of {', '.join(sorted(known))}.")
        if data["exposed_currency"]:
            if kind != Kind.CURRENCY_EXPOSURE:
                self.add_error("exposed_currency", "Only for the exposure of one currency.")
            elif data["exposed_currency"] not in known:
                self.add_error("exposed_currency", f"One of {', '.join(sorted(known))}, or empty.")


class TradingHoursForm(TargetForm):
    """One opening, in the local time of a zone."""

    timezone = forms.ChoiceField(
        choices=lambda: [(name, name) for name in sorted(available_timezones())],
        widget=UnfoldAdminSelect2Widget,
        initial="America/New_York",
        help_text="The hours keep their wall-clock time there when clocks change.",
    )

    def clean(self) -> dict[str, Any]:
        """See that it closes after it opens."""
        data = super().clean()
        opens_at, closes_at = data.get("opens_at"), data.get("closes_at")
        if opens_at and closes_at and closes_at != MIDNIGHT and closes_at <= opens_at:
            self.add_error("closes_at", "Must be later; split an overnight opening at midnight (00:00).")
        return data


class BreakerForm(TargetForm):
    """A circuit breaker: what it watches, what trips it, how it comes back."""

    TARGETS = ("symbol", "account")
    is_target_needed = False  # what is not named is watched each by itself

    def clean(self) -> dict[str, Any]:
        """Check that kind, scope and threshold fit together, and keep what its history is about."""
        data = super().clean()
        scope, kind, threshold = data.get("scope"), data.get("kind"), data.get("threshold")
        if scope == "account" and kind and kind not in ACCOUNT_KINDS:
            self.add_error("kind", "An account has no prices: reject rate or house loss.")
        lp = (data.get("lp") or "").strip()
        if lp and scope != "lp":
            self.add_error("lp", f"Leave this empty: the scope is {scope}.")
        elif lp and not FeedStatus.objects.filter(provider=lp).exists():
            self.add_error("lp", "No prices come from a provider of this name.")
        if threshold is not None and threshold <= 0:
            self.add_error("threshold", "Must be above zero.")
        if threshold is not None and kind == Breaker.Kind.REJECT_RATE and threshold > 100:
            self.add_error("threshold", "A percentage, at most 100.")
        if data.get("window_s") == 0:
            self.add_error("window_s", "At least a second.")
        if data.get("probe_orders") == 0:
            self.add_error("probe_orders", "At least one order.")
        data["currency"] = (data.get("currency") or "").strip().upper()
        if kind == Breaker.Kind.HOUSE_LOSS and data["currency"] not in known_currencies():
            self.add_error("currency", "A currency that symbols or groups know.")
        changed = {"scope", "kind"} & set(self.changed_data)
        if changed and self.instance.pk and self.instance.states.exists():
            for name in changed:
                self.add_error(name, "It has a history: make another breaker and switch this one off.")
        return data
