"""
What changed here and is not yet asked of any link. `Change` is filled by triggers of the database on clients
and trading accounts, in the transaction of the change itself; balances and activity are read off the journal.
"""

import uuid

from django.db import models
from django.db.models.functions import Now


class Change(models.Model):
    """A client or account that changed. Deleted in the transaction that asks its links for it."""

    class What(models.TextChoices):
        CLIENT = "client", "Client"
        OTHER = "other", "Client, but nothing that a CRM may change"
        ACCOUNT = "account", "Trading account"
        ERASED = "erased", "Client erased"

    what = models.CharField(max_length=8, choices=What.choices)
    client_id = models.UUIDField(default=uuid.uuid4)
    account_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.what} {self.pk}"


class JournalCursor(models.Model):
    """How far the journal was read for balances and activity (see `apps.trading.selectors.following`)."""

    name = models.CharField(max_length=20, primary_key=True)
    xact = models.BigIntegerField(default=0)
    event_id = models.BigIntegerField(default=0)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.xact}/{self.event_id}"
