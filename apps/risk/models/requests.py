"""What staff asked for over the admin interface, by key: the same request twice is one."""

from django.db import models

from apps.accounts.models import User


class StaffRequest(models.Model):
    """One request that was carried out, with the answer that every repeat of it gets. Never changed, kept."""

    user = models.ForeignKey(User, on_delete=models.PROTECT)
    key = models.CharField(max_length=48)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was asked for.")
    answer = models.JSONField(default=dict)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="staff_request_once")]

    def __str__(self) -> str:
        return f"request {self.key}"
