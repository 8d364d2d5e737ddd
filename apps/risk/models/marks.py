"""Marks of accounts and of the book that limits and analytics are measured against."""

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import TradingAccount
from apps.market.models import Symbol
from apps.risk.models.controls import bumps_controls_version
from rtx.kernel.fields import ExactDecimalField


class AccountRisk(models.Model):
    """
    How an account stands, kept by the margin monitor every few seconds. Amounts in the account's currency.

    Deposits and withdrawals are neither gain nor loss: the day's marks move by their amount, and the peak is
    scaled by the equity after to the equity before, so that a drawdown in percent stays what it was. Where
    there is no equity to scale by, the peak moves by the amount too.
    """

    account = models.OneToOneField(
        TradingAccount, primary_key=True, on_delete=models.PROTECT, related_name="risk"
    )
    seq = models.BigIntegerField(help_text="The account's event up to which money movements are counted.")
    equity = ExactDecimalField()
    margin = ExactDecimalField()
    level_pct = ExactDecimalField(null=True, db_index=True, help_text="Empty: no margin held.")
    peak_equity = ExactDecimalField()
    peak_at = models.DateTimeField()
    day = models.DateField(help_text="UTC day that the marks below belong to.")
    day_start_equity = ExactDecimalField()
    day_low_equity = ExactDecimalField()
    day_high_equity = ExactDecimalField()
    used_credit = ExactDecimalField(help_text="Part of the credit that margin or a loss needs now.")
    used_credit_max = ExactDecimalField(help_text="The most of the day.")
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["level_pct"]
        verbose_name_plural = "account risk"

    def __str__(self) -> str:
        return str(self.account)


class AccountRiskDay(models.Model):
    """One account's UTC day: equity, trading, credit and stop-outs."""

    account = models.ForeignKey(
        TradingAccount, on_delete=models.PROTECT, related_name="risk_days", db_index=False
    )
    date = models.DateField()
    equity_start = ExactDecimalField()
    equity_low = ExactDecimalField()
    equity_high = ExactDecimalField()
    equity_end = ExactDecimalField()
    peak_equity = ExactDecimalField()
    orders = models.PositiveIntegerField(default=0)
    orders_rejected = models.PositiveIntegerField(default=0)
    volume = ExactDecimalField(default=0, help_text="Lots of filled orders.")
    order_size_average = ExactDecimalField(null=True, help_text="Lots per filled order.")
    used_credit_max = ExactDecimalField(default=0)
    margin_calls = models.PositiveIntegerField(default=0)
    liquidations = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-date", "account"]
        constraints = [models.UniqueConstraint(fields=["account", "date"], name="account_risk_day_unique")]
        indexes = [models.Index(fields=["-date", "account"], name="account_risk_newest_day")]

    def __str__(self) -> str:
        return f"{self.account} {self.date}"


class Correlation(models.Model):
    """How two symbols move together: estimated from candles, replaced by an override where one is set."""

    first = models.ForeignKey(Symbol, on_delete=models.CASCADE, related_name="correlations_first")
    second = models.ForeignKey(Symbol, on_delete=models.CASCADE, related_name="correlations_second")
    estimate = ExactDecimalField(null=True, blank=True, help_text="-1 to 1, of log returns.")
    observations = models.PositiveIntegerField(default=0)
    interval = models.CharField(max_length=4, blank=True)
    estimated_at = models.DateTimeField(null=True, blank=True)
    override = ExactDecimalField(null=True, blank=True, help_text="-1 to 1; wins over the estimate.")
    override_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["first", "second"]
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="correlation_unique"),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="correlation_once"),
            models.CheckConstraint(
                condition=(Q(estimate__isnull=True) | Q(estimate__gte=-1, estimate__lte=1))
                & (Q(override__isnull=True) | Q(override__gte=-1, override__lte=1)),
                name="correlation_in_range",
            ),
        ]
        triggers = [bumps_controls_version("correlation_controls", "override")]

    def __str__(self) -> str:
        return f"{self.first} {self.second}"


class ValueAtRisk(models.Model):
    """One estimate of what the house may lose on its book, with what it was computed from."""

    class Method(models.TextChoices):
        HISTORICAL = "historical", "Historical"
        PARAMETRIC = "parametric", "Parametric"

    at = models.DateTimeField(db_index=True)
    method = models.CharField(max_length=10, choices=Method.choices)
    confidence_pct = ExactDecimalField()
    horizon_days = models.PositiveIntegerField()
    amount = ExactDecimalField(help_text="Loss that is not exceeded with that confidence.")
    currency = models.CharField(max_length=8)
    observations = models.PositiveIntegerField()
    detail = models.JSONField(help_text="Exposure per symbol, expected shortfall, symbols left out.")

    class Meta:
        ordering = ["-id"]
        verbose_name = "value at risk"
        verbose_name_plural = "values at risk"

    def __str__(self) -> str:
        return f"{self.method} {self.confidence_pct} % {self.at:%Y-%m-%d %H:%M}"
