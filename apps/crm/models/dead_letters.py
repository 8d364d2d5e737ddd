"""What was tried as often as it may be and failed: kept for staff to send again. No values here."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import User
from apps.crm.models.connections import Connection
from apps.crm.models.links import Link
from apps.crm.models.webhooks import WebhookDelivery


class DeadLetter(models.Model):
    """
    A customer or a webhook delivery that was given up, and why. At most one open per link. It outlives both:
    what is left open then is decided by staff.
    """

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        REPLAYED = "replayed", "Sent again"
        DROPPED = "dropped", "Dropped"

    class Direction(models.TextChoices):
        PUSH = "push", "RTX to CRM"
        ERASE = "erase", "Erasure"
        WEBHOOK = "webhook", "Webhook"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="dead_letters")
    link = models.ForeignKey(Link, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    delivery = models.ForeignKey(
        WebhookDelivery, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    direction = models.CharField(max_length=8, choices=Direction.choices)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    error_code = models.CharField(max_length=40)
    error = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_index=True)
    resolved_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "dead letter"
        constraints = [
            models.UniqueConstraint(
                fields=["link", "direction"],
                condition=Q(status="open", link__isnull=False),
                name="crm_dead_letter_one_open",
            )
        ]

    def __str__(self) -> str:
        return f"dead letter {self.pk}"
