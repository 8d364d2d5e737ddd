"""The staff log: append-only, written in the transaction of what it tells. Names people by id only."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from rtx.kernel.append_only import CurrentTransactionId, append_only
from rtx.kernel.fields import TransactionIdField


class StaffAction(models.Model):
    """One thing that a member of staff did or tried: who, from where, to what, why, and what it changed."""

    class Outcome(models.TextChoices):
        DONE = "done", "Done"
        REQUESTED = "requested", "Waits for a second person"
        REFUSED = "refused", "Refused"

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=80, help_text="Short form, such as staff:user:17.")
    user_id = models.BigIntegerField(null=True, blank=True)
    ip = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    operation = models.CharField(max_length=80, help_text="App and deed, such as trading.close_position.")
    target_type = models.CharField(max_length=60, blank=True, help_text="App and table.")
    target_id = models.CharField(max_length=64, blank=True)
    target_label = models.CharField(max_length=120, blank=True)
    group_id = models.BigIntegerField(null=True, blank=True, help_text="The trading group it lies in.")
    account_id = models.BigIntegerField(null=True, blank=True)
    reason = models.CharField(max_length=400, blank=True)
    before = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.DONE)
    detail = models.TextField(blank=True, help_text="The sentence that the person was shown.")
    command_id = models.UUIDField(null=True, blank=True, help_text="The command in the journal.")
    approval_id = models.UUIDField(null=True, blank=True)
    xact = TransactionIdField(db_default=CurrentTransactionId(), editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["xact", "id"], name="action_by_transaction"),
            models.Index(fields=["user_id", "-id"], name="action_by_user"),
            models.Index(fields=["account_id", "-id"], name="action_by_account"),
            models.Index(fields=["target_type", "target_id", "-id"], name="action_by_target"),
            models.Index(fields=["request_id"], name="action_by_request"),
        ]
        triggers = append_only("staff_action_append_only")

    def __str__(self) -> str:
        return f"{self.operation} {self.target_label}".strip()
