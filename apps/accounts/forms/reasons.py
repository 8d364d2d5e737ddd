"""The reason that a form of staff asks for: it goes into the staff log, never into the row."""

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget


class ReasonForm(forms.Form):
    """Base of forms whose change is written into the staff log together with its reason."""

    change_reason = forms.CharField(
        label="Reason",
        min_length=3,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="Written into the staff log together with your name.",
    )
