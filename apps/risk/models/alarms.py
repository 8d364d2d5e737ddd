"""What watches the watchers: alarms, sweeps, and how the margin monitor is."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import TradingAccount
from apps.groups.models import TradingGroup
from rtx.kernel.fields import ExactDecimalField


class RiskAlarm(models.Model):
    """Something a person must look at. One open alarm per kind and subject; more of the same are counted."""

    class Kind(models.TextChoices):
        SWEEP_FOUND = "sweep_found", "The sweep found what the monitor missed"
        LIQUIDATION_WAITS = "liquidation_waits", "A liquidation waits"
        LIQUIDATION_FAILED = "liquidation_failed", "A liquidation failed"
        MONITOR_LATE = "monitor_late", "The margin monitor is late"
        NO_PRICE = "no_price", "Positions cannot be valued"
        BREAKER_OPEN = "breaker_open", "A circuit breaker opened"
        KILL_SWITCH = "kill_switch", "A kill switch was engaged"
        LOG_INTEGRITY = "log_integrity", "The audit's seal is broken or late"
        CRM_ACCESS = "crm_access", "A CRM took access back"
        CRM_FAULT = "crm_fault", "A CRM connection is at fault"

    class Severity(models.TextChoices):
        WARNING = "warning", "Warning"
        CRITICAL = "critical", "Critical"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    subject = models.CharField(max_length=80)
    account = models.ForeignKey(TradingAccount, null=True, blank=True, on_delete=models.PROTECT)
    group = models.ForeignKey(
        TradingGroup, null=True, blank=True, on_delete=models.PROTECT, help_text="Whose staff it concerns."
    )
    message = models.CharField(max_length=300)
    detail = models.JSONField(default=dict)
    raised_at = models.DateTimeField(db_index=True)
    last_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=80, blank=True)
    cleared_at = models.DateTimeField(null=True, blank=True, help_text="Its cause is gone.")

    class Meta:
        ordering = ["-id"]
        permissions = [("acknowledge_riskalarm", "Can acknowledge alarms")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(cleared_at__isnull=True), name="alarm_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"


class SweepRun(models.Model):
    """One run of the SQL sweep: what it looked at, what it found, what the monitor had missed."""

    at = models.DateTimeField(db_index=True)
    took_ms = models.PositiveIntegerField()
    positions = models.PositiveIntegerField()
    found = models.PositiveIntegerField(help_text="Accounts below stop-out or owing money.")
    liquidated = models.PositiveIntegerField(help_text="Of these, closed by this run.")
    missed = models.PositiveIntegerField(help_text="Of these, what the monitor should have closed before.")
    without_price = models.PositiveIntegerField(default=0, help_text="Accounts that could not be valued.")
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"sweep {self.at:%Y-%m-%d %H:%M:%S}"


class MonitorStatus(models.Model):
    """How one shard of the margin monitor is, written by its leader every second."""

    shard = models.CharField(max_length=16, primary_key=True)
    holder = models.CharField(max_length=120)
    fence = models.BigIntegerField()
    at = models.DateTimeField()
    started_at = models.DateTimeField()
    accounts = models.PositiveIntegerField()
    positions = models.PositiveIntegerField()
    lag_ms = models.PositiveIntegerField(help_text="From a tick's arrival until everything was revalued.")
    lag_max_ms = models.PositiveIntegerField(help_text="The longest of the last minute.")
    follow_lag_ms = models.PositiveIntegerField(help_text="Since the journal was read last.")
    levels = models.JSONField(help_text="Accounts per margin level: upper bound in percent -> number.")
    called = models.PositiveIntegerField(help_text="Accounts in margin call.")
    below = models.PositiveIntegerField(help_text="Accounts at or below stop-out now.")
    without_price = models.PositiveIntegerField(default=0)
    house_floating = ExactDecimalField(
        null=True, help_text="What the house would make if all closed now, in USD."
    )
    counters = models.JSONField(default=dict)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["shard"]
        verbose_name_plural = "monitor status"

    def __str__(self) -> str:
        return f"shard {self.shard}"
