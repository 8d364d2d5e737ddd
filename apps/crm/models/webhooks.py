"""What providers sent: stored first, sealed, then processed. What came before does nothing."""

from django.db import models
from django.db.models import Q

from apps.crm.models.connections import Connection
from apps.crm.models.links import Link
from rtx.kernel import encryption


class WebhookDelivery(models.Model):
    """
    One request of a provider. Its bytes are kept as they came, sealed under the master key, until they were
    processed or staff dropped them (see `services.retention`). `digest` is of what was signed: the same
    delivery again is known by it.
    """

    class Status(models.TextChoices):
        RECEIVED = "received", "Waiting"
        DONE = "done", "Processed"
        FAILED = "failed", "Given up"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="deliveries")
    digest = models.CharField(max_length=64)
    body_sealed = models.BinaryField(editable=False)
    content_type = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.RECEIVED)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    events = models.PositiveIntegerField(default=0)
    repeated = models.PositiveIntegerField(default=0, help_text="Events in it that were known already.")
    error_code = models.CharField(max_length=40, blank=True)
    received_at = models.DateTimeField(db_index=True)
    processed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["connection", "digest"], name="crm_delivery_once"),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status="received"), name="crm_delivery_waiting"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"

    def seal(self, body: bytes) -> None:
        """Keep the bytes, sealed and bound to their digest."""
        self.body_sealed = encryption.master_keys().seal(body, associated=self._place())

    def body(self) -> bytes:
        """Return the bytes as they came; empty when they were dropped."""
        kept = bytes(self.body_sealed)
        return encryption.master_keys().open(kept, associated=self._place()) if kept else b""

    def _place(self) -> bytes:
        return encryption.associated_data(
            table="crm_webhookdelivery", column="body_sealed", pk=f"{self.connection_id}:{self.digest}"
        )


class WebhookEvent(models.Model):
    """
    One event of a delivery, known by the provider's own key; it is looked at once. `link`: the customer here
    whose record it names, if any: who may see that client may see the event.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    delivery = models.ForeignKey(
        WebhookDelivery, null=True, on_delete=models.SET_NULL, related_name="event_rows"
    )
    link = models.ForeignKey(Link, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    key = models.CharField(max_length=128)
    object_name = models.CharField(max_length=80)
    crm_id = models.CharField(max_length=64)
    what = models.CharField(max_length=40)
    occurred_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, help_text="taken, older or ignored.")
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "webhook event"
        constraints = [
            models.UniqueConstraint(fields=["connection", "key"], name="crm_event_once"),
        ]

    def __str__(self) -> str:
        return f"event {self.key}"
