"""What staff fill in to change accounts: another leverage, another trading group. Form only."""

from typing import Any, cast

from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from apps.groups.models import TradingGroup
from rtx.kernel.admin import reachable_groups
from rtx.kernel.admin_actions import OperatorForm


class LeverageForm(OperatorForm):
    """Another leverage, at most the group's."""

    leverage = forms.IntegerField(min_value=1, max_value=10_000, widget=UnfoldAdminIntegerFieldWidget)

    @classmethod
    def initial_of(cls, row: Any) -> dict[str, Any]:
        """Show the present leverage."""
        return {"leverage": row.leverage}

    def clean_leverage(self) -> int:
        """At most the leverage of the account's group."""
        leverage: int = self.cleaned_data["leverage"]
        if self.row is not None and leverage > self.row.group.leverage_max:
            raise forms.ValidationError(f"The group allows at most {self.row.group.leverage_max}.")
        return leverage


class MoveForm(OperatorForm):
    """Another trading group, within reach and of the same kind."""

    group = forms.ModelChoiceField(TradingGroup.objects.none(), widget=UnfoldAdminSelectWidget)
    leverage = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Empty: its own, at most the group's.",
    )
    accepts_stop_out = forms.BooleanField(
        label="Move it even if it is stopped out at once",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )

    def offer_to(self, user: Any) -> None:
        """Offer active groups within reach that an account of this kind fits."""
        groups = reachable_groups(user)
        rows = TradingGroup.objects.filter(is_active=True).order_by("name")
        if groups is not None:
            rows = rows.filter(pk__in=groups)
        if self.row is not None:
            rows = rows.filter(currency=self.row.currency, position_mode=self.row.position_mode)
            rows = rows.exclude(pk=self.row.group_id)
        cast(forms.ModelChoiceField, self.fields["group"]).queryset = rows
