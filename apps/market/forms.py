"""Forms of the market's configuration: what a person may enter, checked before the database is asked."""

from datetime import time
from itertools import pairwise
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminTextInputWidget,
)

from apps.market.models import SessionHours, usual_swap_days
from apps.market.services import holidays
from rtx.kernel.staff_log import REASON_FIELD

MIDNIGHT = time(0)
SWAP_DAYS_MAX = 10


class ReasonedForm(forms.ModelForm):
    """A form of terms: whoever changes them says why; the staff log keeps it (see `rtx.kernel.staff_log`)."""

    change_reason = forms.CharField(
        label="Reason for the change",
        min_length=3,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="Written into the staff log together with your name; shown among the versions.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if REASON_FIELD in self.fields:
            self.fields[REASON_FIELD].required = bool(self.instance.pk)


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


class SymbolForm(ReasonedForm):
    """A symbol's sizes, currencies, margin and swaps; the row itself knows what fits together."""

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
        return name


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
