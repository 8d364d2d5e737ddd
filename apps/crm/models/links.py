"""
Which record of a CRM is which client or trading account, how far the two are in step, and what was decided
where both had changed.
"""

import uuid

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

from apps.accounts.models import Client, TradingAccount
from apps.crm.models.connections import Connection
from apps.crm.models.mappings import FieldMapping


class Link(models.Model):
    """
    One client (or account of a client) at one provider, unique for both.

    `wanted` counts changes here that the CRM must learn of, `sent` up to which of them it has: they differ as
    long as something waits. A worker claims a link until `claimed_until`; when it dies, the next one goes on.
    `base_sealed` holds, under the client's key, the CRM fields as both sides had them last, so that each
    side's own changes can be told apart (three-way comparison) and nothing echoes.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "In use"
        DEAD = "dead", "Given up"
        GONE = "gone", "Deleted in the CRM"
        ERASED = "erased", "Erased"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="links")
    provider = models.CharField(max_length=12, choices=Connection.Provider.choices)
    kind = models.CharField(max_length=8, choices=FieldMapping.Kind.choices, default=FieldMapping.Kind.CLIENT)
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="crm_links")
    account = models.ForeignKey(
        TradingAccount, null=True, blank=True, on_delete=models.PROTECT, related_name="crm_links"
    )
    crm_id = models.CharField("id in the CRM", max_length=64, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    wanted = models.BigIntegerField(default=1)
    sent = models.BigIntegerField(default=0)
    wanted_at = models.DateTimeField(help_text="Of the oldest change that the CRM does not know.")
    changed_at = models.DateTimeField(
        help_text="Of the newest change of the client's (account's) own row: what newest wins compares."
    )
    touched_at = models.DateTimeField(
        db_default=Now(), help_text="Of the newest change here, money and activity too: sent first."
    )
    due_at = models.DateTimeField(help_text="Not to be tried before.")
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True)
    base_sealed = models.BinaryField(default=b"", editable=False)
    crm_changed_at = models.DateTimeField(null=True, blank=True, help_text="As the CRM said.")
    in_step_at = models.DateTimeField(null=True, blank=True)
    last_error_code = models.CharField(max_length=40, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    is_waiting = models.GeneratedField(
        expression=Case(
            When(Q(status="active", sent__lt=F("wanted")), then=Value(True)), default=Value(False)
        ),
        output_field=models.BooleanField(),
        db_persist=True,
    )

    class Meta:
        ordering = ["-in_step_at", "id"]
        verbose_name = "customer in the CRM"
        verbose_name_plural = "customers in the CRM"
        constraints = [
            models.UniqueConstraint(
                fields=["client", "provider"], condition=Q(kind="client"), name="crm_link_client_once"
            ),
            models.UniqueConstraint(
                fields=["account", "provider"], condition=Q(kind="account"), name="crm_link_account_once"
            ),
            models.UniqueConstraint(
                fields=["connection", "kind", "crm_id"], condition=~Q(crm_id=""), name="crm_link_record_once"
            ),
            models.CheckConstraint(
                condition=Q(kind="client", account__isnull=True) | Q(kind="account", account__isnull=False),
                name="crm_link_of_its_kind",
            ),
            models.CheckConstraint(condition=Q(sent__lte=F("wanted")), name="crm_link_sent_was_wanted"),
        ]
        indexes = [
            models.Index(
                fields=["connection", "due_at"], condition=Q(is_waiting=True), name="crm_link_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account or self.client} in {self.get_provider_display()}"


class Conflict(models.Model):
    """A field that had changed on both sides, and which one stayed. Values are sealed by the client's key."""

    class Winner(models.TextChoices):
        RTX = "rtx", "RTX"
        CRM = "crm", "CRM"

    link = models.ForeignKey(Link, on_delete=models.CASCADE, related_name="conflicts")
    rtx_field = models.CharField("field", max_length=40)
    crm_field = models.CharField("CRM field", max_length=100)
    winner = models.CharField(max_length=3, choices=Winner.choices)
    rule = models.CharField(max_length=8, choices=FieldMapping.Direction.choices)
    rtx_changed_at = models.DateTimeField()
    crm_changed_at = models.DateTimeField(null=True)
    values_sealed = models.BinaryField(default=b"", editable=False)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.rtx_field} of {self.link}"
