"""Forms of crm's pages. Secrets are taken and never shown again; what fits is decided by services."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.crm.domain.fields import CATALOG
from apps.crm.domain.mapping import Pair
from apps.crm.domain.transforms import TRANSFORMS
from apps.crm.models import Connection, FieldMapping, SyncRun
from rtx.kernel.admin_actions import OperatorForm

SECRETS = ("client_secret", "webhook_secret")
REGIONS = ("com", "eu", "in", "com.au", "jp", "com.cn", "sa", "ca")
OBJECTS = {  # what a new connection begins with
    Connection.Provider.HUBSPOT: ("contacts", "deals"),
    Connection.Provider.SALESFORCE: ("Contact", ""),
    Connection.Provider.ZOHO: ("Contacts", ""),
}
KEPT = "••••••"


class ConnectionForm(forms.ModelForm):
    """A connection's settings; a secret that is left empty stays as it is."""

    client_secret = forms.CharField(
        required=False,
        max_length=400,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )
    webhook_secret = forms.CharField(
        required=False,
        max_length=400,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )
    region = forms.ChoiceField(
        label="Data center",
        required=False,
        choices=[("", "–"), *((name, f"zoho.{name}") for name in REGIONS)],
        widget=UnfoldAdminSelectWidget,
        help_text="Zoho CRM only: where the organization lives.",
    )
    customer_object = forms.CharField(
        label="Client becomes",
        required=False,
        max_length=80,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "rtx-customer-objects"}),
        help_text="Object of the CRM. Empty: contacts (HubSpot), Contact (Salesforce), Contacts (Zoho).",
    )

    class Meta:
        model = Connection
        fields = (
            "provider",
            "name",
            "client_id",
            "region",
            "customer_object",
            "account_object",
            "creates_clients",
            "erases_there",
            "calls_max",
            "window_s",
            "pull_every_s",
            "keep_days",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in SECRETS:
            if name in self.fields:
                self.fields[name].help_text = self._told_of(name)
        if self.instance.pk is None and "account_object" in self.fields:
            usual = "Of a new connection, empty: deals (HubSpot), none (Salesforce, Zoho)."
            self.fields["account_object"].help_text = usual

    def _told_of(self, name: str) -> str:
        whose = {
            "client_secret": "Of the OAuth app at the provider.",
            "webhook_secret": (
                "Proves webhooks: Salesforce's relay and path, Zoho's token (at most 50 characters). "
                "16 or more letters, digits and . _ ~ -. HubSpot signs with the client secret."
            ),
        }[name]
        is_kept = bool(getattr(self.instance, f"{name}_sealed", b"")) and self.instance.pk
        return f"{whose} {'One is kept; leave empty to keep it.' if is_kept else 'Kept encrypted.'}"

    def clean(self) -> dict[str, Any]:
        """Fill in the usual objects of the provider."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        provider = given.get("provider") or self.instance.provider
        if not given.get("customer_object") and provider in OBJECTS:
            given["customer_object"] = OBJECTS[Connection.Provider(provider)][0]
        if not given.get("account_object") and provider in OBJECTS and self.instance.pk is None:
            given["account_object"] = OBJECTS[Connection.Provider(provider)][1]
        if provider == Connection.Provider.ZOHO and not given.get("region"):
            given["region"] = "com"
        return given


class SyncForm(OperatorForm):
    """Which run is wanted."""

    kind = forms.ChoiceField(
        label="Run",
        choices=[
            (SyncRun.Kind.INCREMENTAL, "Incremental: what changed since the last run"),
            (SyncRun.Kind.FULL, "Full: every client, both ways"),
            (SyncRun.Kind.PREVIEW, "Dry run: count what a full run would do, write nothing"),
        ],
        initial=SyncRun.Kind.FULL,
        widget=UnfoldAdminSelectWidget,
    )


class PreviewForm(forms.Form):
    """A real client to try the mapping on."""

    number = forms.IntegerField(
        label="Client number", min_value=1, max_value=10**15, widget=UnfoldAdminTextInputWidget
    )
    reason = forms.CharField(
        min_length=3,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="Written into the staff log.",
    )


class MappingRowForm(forms.Form):
    """One pair of fields in the mapping's editor."""

    rtx_field = forms.ChoiceField(label="RTX field")
    crm_field = forms.CharField(
        label="CRM field", max_length=100, widget=forms.TextInput(attrs={"list": "rtx-crm-fields"})
    )
    direction = forms.ChoiceField(label="Direction", choices=FieldMapping.Direction.choices)
    transform = forms.ChoiceField(
        label="Form", choices=[(one.name, one.label) for one in TRANSFORMS.values()]
    )
    options = forms.CharField(label="Options", required=False, max_length=2000)
    is_active = forms.BooleanField(label="In use", required=False, initial=True)

    def __init__(self, *args: Any, kind: str = FieldMapping.Kind.CLIENT, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered: Any = self.fields["rtx_field"]
        offered.choices = [(name, one.label) for name, one in CATALOG[kind].items()]
        for name, field in self.fields.items():
            field.widget.attrs |= {"aria-label": str(field.label), "data-map": name}

    def clean_options(self) -> dict[str, Any]:
        """Read `name=value; name=value`, or JSON."""
        try:
            return read_options(self.cleaned_data["options"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def pair(self) -> Pair:
        """Return what a valid row asks for."""
        given = self.cleaned_data
        transform = TRANSFORMS[given["transform"]]
        numbers = {option.name for option in transform.options if option.kind == "number"}
        options = {
            name: int(value) if name in numbers and str(value).isdecimal() else value
            for name, value in given["options"].items()
        }
        return Pair(
            given["rtx_field"],
            given["crm_field"].strip(),
            given["direction"],
            transform.name,
            options,
            given["is_active"],
        )


MappingRows = forms.formset_factory(MappingRowForm, extra=0, can_delete=True, max_num=200, validate_max=True)


def read_options(text: str) -> dict[str, Any]:
    """
    Read options as a person writes them.

    :raises ValueError: it is neither `name=value; name=value` nor a JSON object of plain values.
    """
    given = text.strip()
    if given.startswith("{"):
        try:
            read = json.loads(given)
        except ValueError:
            raise ValueError("This is no JSON object.") from None
        if not isinstance(read, dict) or not all(isinstance(one, str | int) for one in read.values()):
            raise ValueError("This is no JSON object of texts.")
        return read
    found: dict[str, Any] = {}
    for part in given.replace("\n", ";").split(";"):
        if part.strip():
            name, sign, value = part.partition("=")
            if not sign or not name.strip():
                raise ValueError("Write name=value, several parted by ;")
            found[name.strip()] = value.strip()
    return found


def written_options(options: Mapping[str, Any]) -> str:
    """Write options as `read_options` reads them."""
    parts = [(str(name), str(value)) for name, value in options.items()]
    if any(
        "=" in name or ";" in name + value or "\n" in value or value != value.strip() for name, value in parts
    ):
        return json.dumps(dict(options), ensure_ascii=False)
    return "; ".join(f"{name}={value}" for name, value in parts)
