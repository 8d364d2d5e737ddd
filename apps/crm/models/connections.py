"""
Connections to CRM systems, and what gives access to them. Secrets and tokens are sealed under the master key;
nothing here is read in clear but by the services that call the provider.
"""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.accounts.models import User
from rtx.kernel import encryption


def sealed(column: str) -> property:
    """Return the property that reads and writes one sealed text of a saved row."""

    def place(row: Any) -> bytes:
        if row.pk is None:
            raise ValueError("a secret is sealed for a saved row")
        return encryption.associated_data(table=row._meta.db_table, column=column, pk=row.pk)

    def read(row: Any) -> str:
        kept = bytes(getattr(row, f"{column}_sealed"))
        return encryption.master_keys().open(kept, associated=place(row)).decode() if kept else ""

    def write(row: Any, value: str) -> None:
        text = value.encode()
        kept = encryption.master_keys().seal(text, associated=place(row)) if text else b""
        setattr(row, f"{column}_sealed", kept)

    return property(read, write, doc=f"The {column.replace('_', ' ')} in clear; empty: none.")


class Connection(models.Model):
    """
    One CRM system that customers are kept in step with; at most one per provider. What it learns while it
    works (limits, breaker, cursor) is written by services alone. A removed one has neither secrets, tokens,
    mappings nor links; its logs stay.
    """

    class Provider(models.TextChoices):
        HUBSPOT = "hubspot", "HubSpot"
        SALESFORCE = "salesforce", "Salesforce"
        ZOHO = "zoho", "Zoho CRM"

    class Status(models.TextChoices):
        DRAFT = "draft", "Not connected"
        ACTIVE = "active", "Connected"
        PAUSED = "paused", "Paused"
        REVOKED = "revoked", "Access revoked"
        REMOVED = "removed", "Removed"

    SECRETS = ("client_secret", "webhook_secret")

    provider = models.CharField(max_length=12, choices=Provider.choices)
    name = models.CharField(max_length=80)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.DRAFT, editable=False)
    client_id = models.CharField("client id", max_length=200, help_text="Of the OAuth app at the provider.")
    client_secret_sealed = models.BinaryField(default=b"", editable=False)
    webhook_secret_sealed = models.BinaryField(default=b"", editable=False)
    region = models.CharField(
        max_length=8, blank=True, help_text="Zoho's data center: com, eu, in, com.au, jp, com.cn, sa or ca."
    )
    customer_object = models.CharField(
        max_length=80, help_text="What a client becomes there: contacts, Contact, Lead, Contacts, Leads."
    )
    account_object = models.CharField(
        max_length=80,
        blank=True,
        help_text="What a trading account becomes there, such as deals. Empty: accounts are not sent.",
    )
    creates_clients = models.BooleanField(
        "customers who are unknown here become clients", default=False, help_text="They cannot sign in."
    )
    erases_there = models.BooleanField("clients who are erased here are deleted there", default=True)
    calls_max = models.PositiveIntegerField(
        "calls per window",
        default=100,
        validators=[MinValueValidator(1)],
        help_text="The provider's word on its own limit goes before this.",
    )
    window_s = models.PositiveSmallIntegerField(
        "window, seconds", default=10, validators=[MinValueValidator(1), MaxValueValidator(3600)]
    )
    pull_every_s = models.PositiveIntegerField(
        "seconds between incremental runs", default=300, validators=[MinValueValidator(10)]
    )
    keep_days = models.PositiveSmallIntegerField(
        "days to keep logs", default=90, validators=[MinValueValidator(1)]
    )
    created_at = models.DateTimeField(editable=False)
    created_by = models.ForeignKey(
        User, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )

    # What the provider told.
    api_url = models.CharField(max_length=200, blank=True, editable=False)
    external_id = models.CharField(
        max_length=64, blank=True, editable=False, help_text="Portal or organization: who webhooks are from."
    )
    daily_max = models.PositiveIntegerField(null=True, blank=True, editable=False)
    daily_left = models.PositiveIntegerField(null=True, blank=True, editable=False)
    calls: models.JSONField = models.JSONField(
        default=list, editable=False, help_text="When the calls of the present window ended (ms)."
    )
    not_before = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="The provider asked to wait until then."
    )
    failures = models.PositiveIntegerField(default=0, editable=False, help_text="In a row.")
    open_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Until then the circuit breaker holds.",
    )
    push_refusals = models.PositiveIntegerField(
        default=0, editable=False, help_text="Of a call that sending clients needs, in a row."
    )
    push_not_before = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="No client is sent before: a call was refused."
    )
    account_push_refusals = models.PositiveIntegerField(
        default=0, editable=False, help_text="Of a call that sending accounts needs, in a row."
    )
    account_push_not_before = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="No account is sent before: a call was refused."
    )
    pull_cursor: models.JSONField = models.JSONField(default=dict, editable=False)
    pulled_at = models.DateTimeField(null=True, blank=True, editable=False)
    watch: models.JSONField = models.JSONField(
        default=dict, editable=False, help_text="The provider's channel of notifications, and until when."
    )
    last_ok_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_error_code = models.CharField(max_length=40, blank=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, blank=True, editable=False)
    fault_code = models.CharField(
        max_length=40, blank=True, editable=False, help_text="What keeps the whole connection from working."
    )
    fault = models.CharField(max_length=300, blank=True, editable=False)
    fault_during = models.CharField(
        max_length=120, blank=True, editable=False, help_text="The call that must succeed; empty: any."
    )
    fault_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Since then.")

    client_secret = sealed("client_secret")
    webhook_secret = sealed("webhook_secret")

    class Meta:
        ordering = ["provider"]
        verbose_name = "CRM connection"
        constraints = [
            models.UniqueConstraint(
                fields=["provider"], condition=~Q(status="removed"), name="crm_connection_one_per_provider"
            )
        ]
        permissions = [
            ("connect_connection", "Can give RTX access to a CRM and test it"),
            ("run_connection", "Can start and cancel syncs and replay dead letters"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_usable(self) -> bool:
        """Whether calls may be made at all."""
        return self.status == self.Status.ACTIVE


class OAuthToken(models.Model):
    """
    What a connection calls with. `generation` grows with each refresh: who waited for the lock sees that
    another has refreshed already.
    """

    connection = models.OneToOneField(Connection, on_delete=models.CASCADE, related_name="token")
    access_token_sealed = models.BinaryField(default=b"", editable=False)
    refresh_token_sealed = models.BinaryField(default=b"", editable=False)
    expires_at = models.DateTimeField()
    scope = models.CharField(max_length=500, blank=True)
    generation = models.PositiveIntegerField(default=1)
    granted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    granted_at = models.DateTimeField()
    refreshed_at = models.DateTimeField()
    not_before = models.DateTimeField(
        null=True, blank=True, help_text="The token endpoint is not asked again before."
    )

    access_token = sealed("access_token")
    refresh_token = sealed("refresh_token")

    class Meta:
        verbose_name = "OAuth token"

    def __str__(self) -> str:
        return f"access to {self.connection}"


class OAuthState(models.Model):
    """An authorization that was begun: used once, by the same person, before it expires."""

    state_hash = models.CharField(max_length=64, unique=True)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    verifier_sealed = models.BinaryField(default=b"", editable=False)
    redirect_uri = models.CharField(max_length=300)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    verifier = sealed("verifier")

    class Meta:
        verbose_name = "OAuth state"
        constraints = [
            models.CheckConstraint(
                condition=Q(used_at__isnull=True) | Q(used_at__lte=models.F("expires_at")),
                name="crm_state_used_in_time",
            )
        ]

    def __str__(self) -> str:
        return f"authorization of {self.connection}"
