"""Forms about clients: people, documents, reviews, files in and out. What is known is never shown in them."""

from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDateWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.accounts.domain import kyc
from apps.accounts.forms.reasons import ReasonForm
from apps.accounts.models import Client, KycDocument, User
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from apps.groups.models import TradingGroup
from rtx.kernel import clock
from rtx.kernel.admin import reachable_groups
from rtx.kernel.admin_actions import OperatorForm

TEXT_MAX = 200
OLDEST_BIRTH = date(1900, 1, 1)


class PersonFields(forms.Form):
    """What identifies a person, as staff type it in."""

    first_name = forms.CharField(max_length=80, required=False, widget=UnfoldAdminTextInputWidget)
    last_name = forms.CharField(max_length=80, required=False, widget=UnfoldAdminTextInputWidget)
    email = forms.EmailField(
        label="E-mail", max_length=254, required=False, widget=UnfoldAdminTextInputWidget
    )
    phone = forms.RegexField(
        r"^[+0-9][0-9 ()/.-]{4,30}$",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        error_messages={"invalid": "A phone number: digits, spaces and + at the beginning."},
    )
    address = forms.CharField(
        max_length=TEXT_MAX, required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2})
    )
    birth_date = forms.DateField(label="Date of birth", required=False, widget=UnfoldAdminDateWidget)
    document_number = forms.CharField(max_length=40, required=False, widget=UnfoldAdminTextInputWidget)

    def clean_email(self) -> str:
        """The address in lower case."""
        return str(self.cleaned_data.get("email") or "").strip().lower()

    def clean_birth_date(self) -> date | None:
        """A date in the past."""
        born: date | None = self.cleaned_data.get("birth_date")
        if born is not None and not OLDEST_BIRTH <= born <= clock.now().date():
            raise ValidationError("Not a date of birth.")
        return born


PERSONAL = tuple(PersonFields.base_fields)


def country_of(given: Any) -> str:
    """
    Return an ISO 3166 code in capitals.

    :raises ValidationError: it is none.
    """
    country = str(given or "").strip().upper()
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise ValidationError("Two letters, such as DE.")
    return country


class ClientForm(forms.ModelForm):
    """What a client's record says besides personal data, which is changed by an action of its own."""

    class Meta:
        model = Client
        fields = ["country"]

    def clean_country(self) -> str:
        """An ISO 3166 code in capitals."""
        return country_of(self.cleaned_data.get("country"))


class NewClientForm(ReasonForm, PersonFields, forms.ModelForm):
    """A new client with their user, and at once a first account if a group is chosen."""

    group = forms.ModelChoiceField(
        TradingGroup.objects.none(),
        required=False,
        label="First account in group",
        widget=UnfoldAdminSelectWidget,
        help_text="Empty: none yet. Until there is one, few see the client: you, and staff of all groups.",
    )

    class Meta:
        model = Client
        fields = ["country"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("first_name", "last_name", "email"):
            self.fields[name].required = True

    def clean_country(self) -> str:
        """An ISO 3166 code in capitals."""
        return country_of(self.cleaned_data.get("country"))

    def clean_email(self) -> str:
        """An address that nobody has."""
        email = super().clean_email()
        if User.objects.filter(email=email).exists():
            raise ValidationError("This e-mail address is taken.")
        return email

    def save(self, commit: bool = True) -> Client:
        """Leave the saving to the service that also opens the user."""
        setattr(self, "save_m2m", lambda: None)  # noqa: B010 - asked for by the admin
        return self.instance


class PersonForm(PersonFields, OperatorForm):
    """New personal data. What stays empty stays as it is: what is known is not shown here."""

    unlogged = frozenset(PERSONAL)
    remove = forms.MultipleChoiceField(
        choices=[(name, name.replace("_", " ").capitalize()) for name in PERSONAL[3:]],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What is no longer known.",
    )

    def clean(self) -> dict[str, Any]:
        """Refuse a form that changes nothing."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and not self.changes:
            raise ValidationError("Nothing was changed.")
        return data

    @property
    def changes(self) -> dict[str, Any]:
        """What becomes another value."""
        given = {name: self.cleaned_data[name] for name in PERSONAL if self.cleaned_data.get(name)}
        gone = {name: None if name == "birth_date" else "" for name in self.cleaned_data.get("remove", ())}
        return {**gone, **given}

    @property
    def values(self) -> dict[str, Any]:
        """The changes alone."""
        return self.changes


class NewAccountForm(OperatorForm):
    """A further account of a client."""

    group = forms.ModelChoiceField(TradingGroup.objects.none(), widget=UnfoldAdminSelectWidget)
    leverage = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Empty: the group's.",
    )

    def offer_to(self, user: Any) -> None:
        """Offer active groups within reach."""
        field: Any = self.fields["group"]
        field.queryset = groups_for(user)


def groups_for(user: Any) -> QuerySet[TradingGroup]:
    """Return the active trading groups within a person's reach, by name."""
    groups = reachable_groups(user)
    rows = TradingGroup.objects.filter(is_active=True).order_by("name")
    return rows if groups is None else rows.filter(pk__in=groups)


class DocumentForm(OperatorForm):
    """A document of a client."""

    unlogged = frozenset({"file"})
    kind = forms.ChoiceField(choices=KycDocument.Kind.choices, widget=UnfoldAdminSelectWidget)
    country = forms.CharField(
        max_length=2,
        required=False,
        label="Issued by",
        widget=UnfoldAdminTextInputWidget,
        help_text="Such as DE.",
    )
    expires_on = forms.DateField(label="Expires on", required=False, widget=UnfoldAdminDateWidget)
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget, help_text="PDF, JPEG or PNG, at most 10 MB. Kept encrypted."
    )

    def clean_country(self) -> str:
        """An ISO 3166 code in capitals."""
        return country_of(self.cleaned_data.get("country"))

    def clean_file(self) -> bytes:
        """The bytes of a PDF, JPEG or PNG."""
        content: bytes = self.cleaned_data["file"].read(kyc.DOCUMENT_BYTES_MAX + 1)
        try:
            kyc.media_type(content)
        except kyc.DocumentRefused as error:
            raise ValidationError(error.detail) from error
        return content


class ApproveForm(OperatorForm):
    """Until when a client counts as verified."""

    valid_until = forms.DateField(
        required=False, widget=UnfoldAdminDateWidget, help_text="Empty: until further notice."
    )

    def clean_valid_until(self) -> date | None:
        """A day that lies ahead."""
        until: date | None = self.cleaned_data.get("valid_until")
        if until is not None and until <= clock.now().date():
            raise ValidationError("The day must lie ahead.")
        return until


class ImportForm(OperatorForm):
    """A file of clients and accounts."""

    unlogged = frozenset({"file"})
    file = forms.FileField(
        label="File",
        widget=UnfoldAdminFileFieldWidget,
        help_text="CSV or XLSX, at most 16 MB and 100,000 rows.",
    )


class ExportForm(OperatorForm):
    """In which form rows leave the house, and with which columns."""

    format = forms.ChoiceField(choices=[("csv", "CSV"), ("xlsx", "XLSX")], widget=UnfoldAdminSelectWidget)
    personal = forms.BooleanField(
        label="With personal data", required=False, widget=UnfoldBooleanSwitchWidget
    )

    def offer_to(self, user: Any) -> None:
        """Offer personal data only to those who may see it."""
        if not user.has_perm(VIEW_PERSONAL_DATA):
            del self.fields["personal"]
