"""Forms of the market's configuration: what a person may enter, checked before the database is asked."""

from datetime import time
from itertools import pairwise
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelect2Widget

from apps.market.models import SessionHours, Symbol, usual_swap_days
from apps.market.services import holidays

MIDNIGHT = time(0)
DIGITS_MAX = 10
SWAP_DAYS_MAX = 10
FIXED_ONCE_TRADED = (
    "base_currency",
    "profit_currency",
    "margin_currency",
    "digits",
    "contract_size",
    "margin_mode",
    "tick_size",
    "tick_price",
)


class SwapDaysWidget(forms.MultiWidget):
    """Seven small numbers in one line, Monday to Sunday."""

    def __init__(self) -> None:
        super().__init__(
            {
                day.name.lower(): UnfoldAdminIntegerFieldWidget(
                    attrs={
                        "min": 0,
                        "max": SWAP_DAYS_MAX,
                        "title": day.label,
                        "aria-label": f"Days charged on {day.label}",
                        "style": "display: inline-block; width: 4.5rem; margin-right: 0.25rem",
                    }
                )
                for day in SessionHours.Weekday
            }
        )

    def decompress(self, value: list[int] | None) -> list[int | None]:
        """Return one number for each weekday."""
        return list(value) if value else [None] * len(SessionHours.Weekday)


class SwapDaysField(forms.MultiValueField):
    """How many days the rollover of each weekday charges."""

    def __init__(self, **kwargs: Any) -> None:
        days = [forms.IntegerField(min_value=0, max_value=SWAP_DAYS_MAX) for _ in SessionHours.Weekday]
        super().__init__(days, widget=SwapDaysWidget(), require_all_fields=True, **kwargs)

    def compress(self, data_list: list[int]) -> list[int]:
        """Return the seven numbers."""
        return list(data_list)


class SymbolForm(forms.ModelForm):
    """A symbol's sizes, currencies, margin and swaps, which must fit together."""

    swap_multipliers = SwapDaysField(
        label="Days charged",
        initial=usual_swap_days,
        help_text="At the rollover of Monday to Sunday; usually three on one of them, for the weekend.",
    )

    def clean_name(self) -> str:
        """
        A symbol's name is one word in capitals; it never changes, because journals and clients refer to it.
        """
        name: str = self.cleaned_data["name"].strip()
        if not name.replace(".", "").replace("_", "").replace("#", "").isalnum():
            raise ValidationError("Letters, digits, dot, underscore and # only.")
        if self.instance.pk and name != self.initial.get("name"):
            raise ValidationError("A symbol keeps its name: create a new one and close this one.")
        return name

    def clean_digits(self) -> int:
        """Bound the decimals of a price."""
        digits: int = self.cleaned_data["digits"]
        if digits > DIGITS_MAX:
            raise ValidationError(f"At most {DIGITS_MAX} decimals.")
        return digits

    def clean(self) -> dict[str, Any]:
        """Check what depends on several fields."""
        data: dict[str, Any] = super().clean() or {}
        for name in ("base_currency", "profit_currency", "margin_currency"):
            currency = data.get(name)
            if currency and currency != currency.upper():
                self.add_error(name, "Currencies are written in capitals.")
        self._check_volumes(data)
        mode = data.get("margin_mode")
        if mode == Symbol.MarginMode.FIXED and not data.get("margin_initial"):
            self.add_error("margin_initial", "Fixed margin needs an amount per lot.")
        if mode == Symbol.MarginMode.INDEX:
            for name in ("tick_size", "tick_price"):
                if not data.get(name):
                    self.add_error(name, "Index margin needs a tick size and a tick price.")
        for name in ("margin_initial", "tick_size", "tick_price", "hedged_contract_size"):
            if (data.get(name) or 0) < 0:
                self.add_error(name, "Must not be negative.")
        if data.get("spike_max_pct") is not None and data["spike_max_pct"] <= 0:
            self.add_error("spike_max_pct", "Must be above zero, or every tick would be refused.")
        check_swap(self, data)
        self._check_contract(data)
        return data

    def _check_contract(self, data: dict[str, Any]) -> None:
        """What has been traded keeps its contract: profit and margin of what is open depend on it."""
        changed = [name for name in FIXED_ONCE_TRADED if name in self.changed_data and name in data]
        if changed and self.instance.pk and self.instance.orders.exists():
            for name in changed:
                self.add_error(name, "This symbol has been traded: create a new one and close this one.")

    def _check_volumes(self, data: dict[str, Any]) -> None:
        lowest, highest, step = (data.get(f"volume_{part}") for part in ("min", "max", "step"))
        if lowest is not None and highest is not None and highest < lowest:
            self.add_error("volume_max", "The largest volume is below the smallest.")
        for name, volume in (("volume_min", lowest), ("volume_max", highest)):
            if volume is not None and step and volume % step:
                self.add_error(name, f"Not a multiple of the step {step:f}.")


def check_swap(form: forms.ModelForm, data: dict[str, Any]) -> None:
    """Refuse swap values that nothing would charge."""
    if data.get("swap_mode") == Symbol.SwapMode.NONE:
        for name in ("swap_long", "swap_short"):
            if data.get(name):
                form.add_error(name, "Choose what the swap means, or leave this at zero.")


class TradingSessionForm(forms.ModelForm):
    """A calendar's name, time zone and exchange."""

    timezone = forms.ChoiceField(
        choices=lambda: [(name, name) for name in sorted(available_timezones())],
        widget=UnfoldAdminSelect2Widget,
        help_text="Hours below are wall-clock times there: they follow daylight saving.",
    )

    def clean_exchange(self) -> str:
        """Accept only exchanges whose calendar is known."""
        code: str = self.cleaned_data["exchange"].strip()
        if code and "exchange" in self.changed_data and not holidays.is_known(code):
            raise ValidationError(f"There is no exchange calendar {code}; XNYS, CMES, XETR or 24/5 are some.")
        return code


class SessionHoursForm(forms.ModelForm):
    """One opening within one local day."""

    def clean(self) -> dict[str, Any]:
        """Refuse an opening that ends before it begins."""
        data: dict[str, Any] = super().clean() or {}
        opens, closes = data.get("opens_at"), data.get("closes_at")
        if opens is not None and closes is not None and closes != MIDNIGHT and closes <= opens:
            self.add_error("closes_at", "Closes before it opens: split an overnight session at 00:00.")
        return data


class SessionHoursFormSet(forms.BaseInlineFormSet):
    """All openings of a week."""

    def clean(self) -> None:
        """Refuse openings of one day that overlap."""
        super().clean()
        kept = [
            form.cleaned_data
            for form in self.forms
            if getattr(form, "cleaned_data", None) and not form.cleaned_data.get("DELETE")
        ]
        openings = [
            (row["weekday"], row["opens_at"], row["closes_at"])
            for row in kept
            if None not in (row.get("weekday"), row.get("opens_at"), row.get("closes_at"))
        ]
        openings.sort(key=lambda row: (row[0], row[1]))
        for (day, _, closes), (next_day, opens, _) in pairwise(openings):
            if day == next_day and (closes == MIDNIGHT or opens < closes):
                raise ValidationError(
                    f"{SessionHours.Weekday(day).label}: the opening at {opens:%H:%M} begins before "
                    "the last one ends."
                )


class HolidayForm(forms.ModelForm):
    """A closed day or an early close. Once changed here it counts as entered by hand: imports spare it."""

    def save(self, commit: bool = True) -> Any:
        """Keep what a person decided from the next import."""
        if self.has_changed():
            self.instance.is_imported = False
        return super().save(commit)
