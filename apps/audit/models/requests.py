"""What staff asked for over the admin interface, by key: the same request twice is one."""

from django.db import models


class StaffRequest(models.Model):
    """One request that was carried out, with the answer that every repeat of it gets. Never changed, kept."""

    user_id = models.BigIntegerField()
    key = models.CharField(max_length=48)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was asked for.")
    answer = models.JSONField(default=dict)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["user_id", "key"], name="audit_staff_request_once")]

    def __str__(self) -> str:
        return f"request {self.key}"
