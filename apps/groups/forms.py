"""Forms of trading groups and their terms per symbol."""

from typing import Any

from django import forms

from apps.groups.models import CommissionMode

FIXED_ONCE_USED = ("currency", "position_mode")


class TradingGroupForm(forms.ModelForm):
    """A group's own terms."""

    def clean_currency(self) -> str:
        """Currencies are written in capitals."""
        return str(self.cleaned_data["currency"]).upper()

    def clean(self) -> dict[str, Any]:
        """Check what depends on several fields, and keep what accounts of the group were opened with."""
        data: dict[str, Any] = super().clean() or {}
        call, stop = data.get("margin_call_pct"), data.get("stop_out_pct")
        if call is not None and stop is not None and call < stop:
            self.add_error("margin_call_pct", "The margin call level must not be below the stop-out level.")
        _check_commission(self, data)
        changed = [name for name in FIXED_ONCE_USED if name in self.changed_data and name in data]
        if changed and self.instance.pk and self.instance.trading_accounts.exists():
            for name in changed:
                self.add_error(
                    name, "Accounts of this group were opened with the old value: create another group."
                )
        return data


class GroupSymbolForm(forms.ModelForm):
    """What one group sets for one symbol; an empty field inherits."""

    def clean(self) -> dict[str, Any]:
        """Check what depends on several fields."""
        data: dict[str, Any] = super().clean() or {}
        lowest, highest = data.get("volume_min"), data.get("volume_max")
        for name, volume in (("volume_min", lowest), ("volume_max", highest)):
            if volume is not None and volume <= 0:
                self.add_error(name, "Must be above zero, or empty to inherit.")
        if lowest is not None and highest is not None and highest < lowest:
            self.add_error("volume_max", "The largest volume is below the smallest.")
        _check_commission(self, data)
        return data


def _check_commission(form: forms.ModelForm, data: dict[str, Any]) -> None:
    if data.get("commission_mode") == CommissionMode.NONE and data.get("commission_value"):
        form.add_error("commission_value", "Choose how the commission is computed, or leave this at zero.")
