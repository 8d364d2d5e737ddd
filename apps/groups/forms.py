"""Forms of trading groups and their terms per symbol. What fits together, the rows themselves know."""

from itertools import pairwise
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.groups.models import SCHEDULE_FIXED_ONCE_USED, SCHEDULE_IS_USED, GroupSymbol, MarginSchedule
from apps.groups.services.bulk_terms import ADDABLE, Edit, How
from apps.market.forms import ReasonedForm


class TradingGroupForm(ReasonedForm):
    """A group's own terms."""

    rollover_timezone = forms.ChoiceField(
        choices=lambda: [(name, name) for name in sorted(available_timezones())],
        widget=UnfoldAdminSelect2Widget,
        initial="America/New_York",
        help_text="The rollover keeps its wall-clock time there when clocks change.",
    )


class GroupSymbolForm(forms.ModelForm):
    """What one group sets for one symbol, on the page of the group; an empty field inherits."""


class GroupSymbolPageForm(ReasonedForm, GroupSymbolForm):
    """What one group sets for one symbol, on a page of its own."""


class MarginScheduleForm(ReasonedForm):
    """
    A margin schedule without its bands. Once it is used its name and what its bands mean are fixed: positions
    fill the bands of a name together, and they keep what the schedule was at their last deal.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        schedule: MarginSchedule = self.instance
        self.is_used = schedule.is_used
        if self.is_used:
            for name in SCHEDULE_FIXED_ONCE_USED:
                self.fields[name].disabled = True
            self.fields["name"].help_text = SCHEDULE_IS_USED

    def clean(self) -> dict[str, Any]:
        """Refuse to change what is fixed, also from a form that was opened before the schedule was used."""
        data: dict[str, Any] = super().clean() or {}
        if self.is_used and self.add_prefix("name") in self.data:
            for name in SCHEDULE_FIXED_ONCE_USED:
                field, key = self.fields[name], self.add_prefix(name)
                given = field.widget.value_from_datadict(self.data, self.files, key)
                if field.to_python(given) != getattr(self.instance, name):
                    self.add_error(name, SCHEDULE_IS_USED)
        return data


class MarginBandForm(forms.ModelForm):
    """One band of a margin schedule."""

    def clean(self) -> dict[str, Any]:
        """Refuse a band without width or without margin."""
        data: dict[str, Any] = super().clean() or {}
        up_to, value = data.get("up_to"), data.get("value")
        if up_to is not None and up_to <= 0:
            self.add_error("up_to", "Must be above zero, or empty for no end.")
        if value is not None and value <= 0:
            self.add_error("value", "Must be above zero.")
        return data


class MarginBandFormSet(forms.BaseInlineFormSet):
    """All bands of a schedule."""

    def clean(self) -> None:
        """Refuse two bands without an end, and margin that falls while the volume grows."""
        super().clean()
        bands = sorted(
            ((row.get("up_to"), row["value"]) for row in _kept(self) if row.get("value") is not None),
            key=lambda band: (band[0] is None, band[0] or 0),
        )
        by_leverage = self.instance.kind == MarginSchedule.Kind.NOTIONAL
        for (end, value), (next_end, next_value) in pairwise(bands):
            if end is None and next_end is None:
                raise ValidationError("Two bands have no end.")
            if (next_value > value) if by_leverage else (next_value < value):
                raise ValidationError(f"The band after {end:f} asks for less margin than the one before it.")


class MarginBandPageForm(ReasonedForm, MarginBandForm):
    """One band of a margin schedule, on a page of its own."""


class CommissionTierForm(forms.ModelForm):
    """A commission value for larger deals, on the page of its group."""


class CommissionTierPageForm(ReasonedForm, CommissionTierForm):
    """A commission value for larger deals, on a page of its own."""


class CommissionTierFormSet(forms.BaseInlineFormSet):
    """All tiers of a group."""

    def clean(self) -> None:
        """Refuse two tiers of one rule that begin at the same size."""
        super().clean()
        starts = [(row.get("symbol"), row.get("from_size")) for row in _kept(self)]
        if len(set(starts)) < len(starts):
            raise ValidationError("Two tiers of the same rule begin at the same size.")


def _kept(formset: forms.BaseInlineFormSet) -> list[dict[str, Any]]:
    """Return the rows that stay."""
    return [
        form.cleaned_data
        for form in formset.forms
        if getattr(form, "cleaned_data", None) and not form.cleaned_data.get("DELETE")
    ]


KEEP = ""
BULK_NUMBERS = (
    "markup_bid_points",
    "markup_ask_points",
    "commission_value",
    "commission_minimum",
    "swap_long",
    "swap_short",
    "leverage_max",
    "volume_min",
    "volume_max",
    "stop_level_points",
    "freeze_level_points",
)
BULK_CHOICES = ("commission_mode", "swap_mode", "trade_mode", "book")
NEVER_EMPTY = ("book", "is_offered")


class BulkTermsForm(forms.Form):
    """What is done with each value of several symbols: nothing, another value, more or less, or inherit."""

    change_reason = forms.CharField(
        label="Reason for the change",
        min_length=3,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="Written into the staff log together with your name.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in BULK_NUMBERS:
            hows = [(KEEP, "keep"), (How.SET.value, "set to")]
            hows += [(How.ADD.value, "add")] if name in ADDABLE else []
            hows += [(How.INHERIT.value, "inherit")]
            label = name.replace("_", " ").capitalize()
            self.fields[f"{name}_how"] = forms.ChoiceField(
                label=label, choices=hows, required=False, widget=UnfoldAdminSelectWidget
            )
            self.fields[name] = forms.DecimalField(
                label="value",
                required=False,
                max_digits=28,
                decimal_places=12,
                widget=UnfoldAdminDecimalFieldWidget,
            )
        for name in BULK_CHOICES:
            column: Any = GroupSymbol._meta.get_field(name)
            choices = [(KEEP, "keep"), *column.flatchoices]
            choices += [] if name in NEVER_EMPTY else [(How.INHERIT.value, "inherit")]
            self.fields[name] = forms.ChoiceField(
                label=str(column.verbose_name).capitalize(),
                choices=choices,
                required=False,
                widget=UnfoldAdminSelectWidget,
            )
        self.fields["is_offered"] = forms.ChoiceField(
            label="Is offered",
            choices=[(KEEP, "keep"), ("yes", "yes"), ("no", "no")],
            required=False,
            widget=UnfoldAdminSelectWidget,
        )

    def clean(self) -> dict[str, Any]:
        """Ask for the value where one is set or added."""
        data: dict[str, Any] = super().clean() or {}
        for name in BULK_NUMBERS:
            if data.get(f"{name}_how") in (How.SET, How.ADD) and data.get(name) is None:
                self.add_error(name, "A value is needed.")
        return data

    def edits(self) -> dict[str, Edit]:
        """Return what a valid form asks for."""
        data, found = self.cleaned_data, {}
        for name in BULK_NUMBERS:
            if data[f"{name}_how"]:
                found[name] = Edit(How(data[f"{name}_how"]), data[name])
        for name in BULK_CHOICES:
            if data[name]:
                is_own = data[name] != How.INHERIT
                found[name] = Edit(How.SET if is_own else How.INHERIT, data[name])
        if data["is_offered"]:
            found["is_offered"] = Edit(How.SET, data["is_offered"] == "yes")
        return found

    @property
    def rows(self) -> list[tuple[Any, Any]]:
        """The numbers: what is done, and the value."""
        return [(self[f"{name}_how"], self[name]) for name in BULK_NUMBERS]

    @property
    def choices(self) -> list[Any]:
        """The choices."""
        return [self[name] for name in (*BULK_CHOICES, "is_offered")]
