"""Which field of RTX stands in which field of a CRM, in which direction and form."""

from django.db import models
from django.db.models import Q

from apps.crm.models.connections import Connection


class FieldMapping(models.Model):
    """One pair of fields. What the fields and transformations are is said in `crm.domain`."""

    class Kind(models.TextChoices):
        CLIENT = "client", "Client"
        ACCOUNT = "account", "Trading account"

    class Direction(models.TextChoices):
        PUSH = "push", "RTX to CRM"
        PULL = "pull", "CRM to RTX"
        NEWEST = "newest", "Newest wins"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="mappings")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.CLIENT)
    rtx_field = models.CharField("RTX field", max_length=40)
    crm_field = models.CharField("CRM field", max_length=100)
    direction = models.CharField(max_length=8, choices=Direction.choices, default=Direction.PUSH)
    transform = models.CharField(max_length=24, default="text")
    options: models.JSONField = models.JSONField(
        default=dict, blank=True, help_text='What the transformation needs, such as {"verified": "Yes"}.'
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["connection", "kind", "id"]
        verbose_name = "field mapping"
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "kind", "crm_field"], name="crm_mapping_once_there"
            ),
            models.UniqueConstraint(
                fields=["connection", "kind", "rtx_field"],
                name="crm_mapping_pulled_once",
                condition=~Q(direction="push"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rtx_field} - {self.crm_field}"
