"""Trading accounts. Money, margin and `seq` stand in AccountState, which only the executor writes."""

from django.db import models
from django.db.models import Q

from apps.accounts.models.clients import Client
from apps.groups.models import TradingGroup
from rtx.kernel.fields import ExactDecimalField


class TradingAccount(models.Model):
    """One account of a client. Group, leverage and status change through commands, never through a form."""

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        CLOSE_ONLY = "close_only", "Close only"
        DISABLED = "disabled", "Disabled"

    login = models.BigIntegerField(unique=True, help_text="Account number.")
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="trading_accounts")
    group = models.ForeignKey(TradingGroup, on_delete=models.PROTECT, related_name="trading_accounts")
    currency = models.CharField(max_length=8)
    position_mode = models.CharField(max_length=8, choices=TradingGroup.PositionMode.choices)
    leverage = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE, db_index=True)
    opened_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["login"]
        permissions = [("export_tradingaccount", "Can export accounts to a file")]
        constraints = [models.CheckConstraint(condition=Q(leverage__gt=0), name="account_leverage_positive")]

    def __str__(self) -> str:
        return str(self.login)


class AccountState(models.Model):
    """What the journal adds up to: always derivable from it, written by the executor alone."""

    account = models.OneToOneField(
        TradingAccount, primary_key=True, on_delete=models.PROTECT, related_name="state"
    )
    balance = ExactDecimalField(default=0)
    credit = ExactDecimalField(default=0)
    margin = ExactDecimalField(default=0)
    seq = models.BigIntegerField(default=0, help_text="Number of the account's last event.")
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.account} seq {self.seq}"
