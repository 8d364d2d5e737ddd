"""Margin calls, liquidations with their dossiers, and those that wait because nothing can be closed."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import AccountEvent, TradingAccount
from apps.groups.models import StopOutRule, TradingGroup
from rtx.kernel.append_only import append_only
from rtx.kernel.fields import ExactDecimalField


class MarginCall(models.Model):
    """One crossing of the margin-call level, open until the level has recovered."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="margin_calls")
    called_at = models.DateTimeField(db_index=True)
    level_pct = ExactDecimalField(null=True, help_text="Empty: no margin held.")
    equity = ExactDecimalField()
    margin = ExactDecimalField()
    called_seq = models.BigIntegerField(help_text="Number of the account's event.")
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_level_pct = ExactDecimalField(null=True, blank=True)
    cleared_seq = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=Q(cleared_at__isnull=True), name="margin_call_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.called_at:%Y-%m-%d %H:%M:%S}"


class Liquidation(models.Model):
    """One stop-out with all that decided it. Append-only; `dossier` is canonical JSON, kept as text."""

    class Cause(models.TextChoices):
        MONITOR = "monitor", "Margin monitor"
        QUEUE = "queue", "Waiting liquidation"
        SWEEP = "sweep", "Sweep"
        STAFF = "staff", "Staff"

    event = models.OneToOneField(AccountEvent, on_delete=models.PROTECT, related_name="liquidation")
    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="liquidations")
    group = models.ForeignKey(TradingGroup, on_delete=models.PROTECT, related_name="liquidations")
    at = models.DateTimeField(db_index=True)
    rule = models.CharField(max_length=14, choices=StopOutRule.choices)
    cause = models.CharField(max_length=8, choices=Cause.choices)
    stop_out_pct = ExactDecimalField()
    equity_before = ExactDecimalField()
    margin_before = ExactDecimalField()
    level_before_pct = ExactDecimalField(null=True, help_text="Empty: no margin held.")
    equity_after = ExactDecimalField()
    margin_after = ExactDecimalField()
    level_after_pct = ExactDecimalField(null=True, help_text="Empty: no margin held.")
    orders_canceled = models.PositiveIntegerField()
    positions_closed = models.PositiveIntegerField(help_text="Closing deals.")
    profit = ExactDecimalField(help_text="Booked by the closing deals, with swap and commission.")
    credit_used = ExactDecimalField(help_text="Credit taken against the debt.")
    compensation = ExactDecimalField(help_text="Debt that the house made good.")
    is_complete = models.BooleanField(help_text="Nothing was left waiting.")
    quote_time_ms = models.BigIntegerField(null=True, help_text="The quote that set it off (UTC ms).")
    fence = models.BigIntegerField(default=0, help_text="Leadership of the monitor that asked for it.")
    dossier = models.TextField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["account", "-id"], name="liquidation_by_account")]
        triggers = append_only("liquidation_append_only")

    def __str__(self) -> str:
        return f"#{self.pk} account {self.account}"


class QueuedLiquidation(models.Model):
    """An account below stop-out of which something cannot be closed now; tried until it is."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="queued_liquidations")
    since = models.DateTimeField(db_index=True)
    reason = models.CharField(max_length=24, help_text="Why the first of its positions stays.")
    waiting = models.JSONField(help_text="Position id -> [symbol, reason].")
    level_pct = ExactDecimalField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=1)
    tried_at = models.DateTimeField()
    next_try_at = models.DateTimeField(db_index=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=Q(resolved_at__isnull=True), name="liquidation_queued_once"
            )
        ]

    def __str__(self) -> str:
        return f"account {self.account}: {self.reason}"
