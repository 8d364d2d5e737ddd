"""Forms of the what-if and value-at-risk pages, in words a dealer writes. They save nothing."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from apps.groups.models import TradingGroup
from apps.risk.domain.shocks import (
    PRICE_PCT_MAX,
    PRICE_PCT_MIN,
    SPREAD_PCT_MAX,
    SPREAD_PCT_MIN,
    GroupDraft,
)
from apps.risk.models import ValueAtRisk
from apps.risk.selectors.price_history import INTERVALS
from apps.risk.selectors.shocks import Asked
from apps.risk.services.value_at_risk import CONFIDENCE_MAX, CONFIDENCE_MIN, HORIZON_MAX

MOVE = re.compile(r"([\x21-\x7e]{1,32})\s+([+-]?\d{1,6}(?:\.\d{1,6})?)\s*%?")
Reach = frozenset[int] | None


def _percent(label: str, lowest: Decimal, highest: Decimal, **more: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=False,
        min_value=lowest,
        max_value=highest,
        max_digits=12,
        decimal_places=6,
        widget=UnfoldAdminDecimalFieldWidget,
        **more,
    )


class WhatIfForm(forms.Form):
    """What is shocked. Empty fields leave things as they are."""

    price_pct = _percent("All prices move by %", PRICE_PCT_MIN, PRICE_PCT_MAX)
    spread_pct = _percent("All spreads change by %", SPREAD_PCT_MIN, SPREAD_PCT_MAX)
    prices = forms.CharField(
        label="Single symbols move by % instead",
        required=False,
        max_length=4000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "EURUSD -3.5"}),
        help_text="One symbol and its percentage per line.",
    )
    groups = forms.ModelMultipleChoiceField(
        label="Groups whose terms would change",
        queryset=TradingGroup.objects.none(),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text="None chosen: all within reach.",
    )
    leverage_max = forms.IntegerField(
        label="Leverage at most",
        required=False,
        min_value=1,
        max_value=10_000,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    margin_call_pct = _percent("Margin call at %", Decimal(0), Decimal(100_000))
    stop_out_pct = _percent("Stop-out at %", Decimal(0), Decimal(100_000))

    def __init__(self, *args: Any, reach: Reach, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = TradingGroup.objects.all()
        field = self.fields["groups"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = rows if reach is None else rows.filter(pk__in=reach)

    def clean_prices(self) -> dict[str, Decimal]:
        """Read the lines of single symbols."""
        found: dict[str, Decimal] = {}
        for line in self.cleaned_data["prices"].splitlines():
            if not line.strip():
                continue
            move = MOVE.fullmatch(line.strip())
            if move is None:
                raise forms.ValidationError(f"“{line.strip()[:40]}” is no symbol and percentage.")
            found[move[1]] = Decimal(move[2])
        return found

    def asked(self) -> Asked:
        """Return what a valid form asks for."""
        given = self.cleaned_data
        draft = GroupDraft(
            leverage_max=given["leverage_max"],
            margin_call_pct=given["margin_call_pct"],
            stop_out_pct=given["stop_out_pct"],
        )
        chosen = [group.name for group in given["groups"]]
        return Asked(
            price_pct=given["price_pct"] or Decimal(0),
            spread_pct=given["spread_pct"] or Decimal(0),
            prices_pct=given["prices"],
            groups=dict.fromkeys(chosen, draft) if draft.changes else {},
            every_group=draft if draft.changes and not chosen else None,
        )


class ValueAtRiskForm(forms.Form):
    """One estimate of what the house may lose."""

    method = forms.ChoiceField(choices=ValueAtRisk.Method.choices, widget=UnfoldAdminSelectWidget)
    confidence_pct = forms.DecimalField(
        label="Confidence %",
        initial=Decimal(99),
        min_value=CONFIDENCE_MIN,
        max_value=CONFIDENCE_MAX,
        max_digits=4,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    horizon_days = forms.IntegerField(
        label="Days", initial=1, min_value=1, max_value=HORIZON_MAX, widget=UnfoldAdminIntegerFieldWidget
    )
    interval = forms.ChoiceField(
        label="Candles", choices=[(name, name) for name in INTERVALS], widget=UnfoldAdminSelectWidget
    )
