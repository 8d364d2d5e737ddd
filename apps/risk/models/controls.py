"""What stands before an order: kill switches, limits, hours. Their truth is here, read once per batch."""

from typing import Any

import pgtrigger
from django.db import models
from django.db.models import Q

from apps.accounts.models import TradingAccount
from apps.groups.models import TradingGroup
from apps.market.models import Symbol
from rtx.kernel.fields import ExactDecimalField


class ControlsVersion(models.Model):
    """
    One row that counts every change of kill switches, limits, hours, breakers and correlations (by triggers).
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=1)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="controls_version_one_row")]

    def __str__(self) -> str:
        return f"controls version {self.version}"


# A row that was lost begins anew above every number that a process may still remember.
COUNT_CHANGE = """
    INSERT INTO risk_controlsversion AS v (id, version)
    VALUES (1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
    ON CONFLICT (id) DO UPDATE SET version = v.version + 1;
    RETURN NULL;
"""


def bumps_controls_version(name: str, *columns: str) -> pgtrigger.Trigger:
    """
    Return the trigger that counts a change of what guards orders, however it was made. Updates count when
    they write one of `columns`; none named: all of them.
    """
    update = pgtrigger.UpdateOf(*columns) if columns else pgtrigger.Update
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | update | pgtrigger.Delete,
        func=COUNT_CHANGE,
    )


class Scope(models.TextChoices):
    """What a control is about."""

    PLATFORM = "platform", "Platform"
    GROUP = "group", "Trading group"
    SYMBOL = "symbol", "Symbol"
    ACCOUNT = "account", "Account"


def one_target(name: str) -> models.CheckConstraint:
    """Return the constraint that a row names exactly what its scope says."""
    named = {"group": Scope.GROUP, "symbol": Scope.SYMBOL, "account": Scope.ACCOUNT}
    condition = Q(scope=Scope.PLATFORM, group__isnull=True, symbol__isnull=True, account__isnull=True)
    for field, scope in named.items():
        others: dict[str, Any] = {f"{other}__isnull": other != field for other in named}
        condition |= Q(scope=scope, **others)
    return models.CheckConstraint(condition=condition, name=name)


class KillSwitch(models.Model):
    """
    One time that trading was stopped: on until it is released. Rows are never deleted, they are the history.

    While it is on, orders that add exposure within its scope are refused. On request the engine cancels the
    working orders and closes the positions there (`work_done_at` says when it had finished).
    """

    scope = models.CharField(max_length=8, choices=Scope.choices)
    group = models.ForeignKey(TradingGroup, null=True, blank=True, on_delete=models.PROTECT)
    symbol = models.ForeignKey(Symbol, null=True, blank=True, on_delete=models.PROTECT)
    account = models.ForeignKey(TradingAccount, null=True, blank=True, on_delete=models.PROTECT)
    reason = models.CharField(max_length=200)
    cancels_orders = models.BooleanField(default=False, help_text="Cancel the working orders in its scope.")
    closes_positions = models.BooleanField(default=False, help_text="Close the open positions in its scope.")
    engaged_at = models.DateTimeField(db_index=True)
    engaged_by = models.CharField(max_length=80)
    request_id = models.CharField(max_length=64, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.CharField(max_length=80, blank=True)
    release_reason = models.CharField(max_length=200, blank=True)
    orders_canceled = models.PositiveIntegerField(default=0)
    positions_closed = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0, help_text="What could not be canceled or closed yet.")
    last_failure = models.CharField(max_length=200, blank=True)
    work_done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "kill switches"
        permissions = [
            ("engage_killswitch", "Can stop trading in groups of one's reach"),
            ("engage_platform_killswitch", "Can stop trading everywhere and of symbols"),
            ("release_killswitch", "Can let trading go on"),
        ]
        constraints = [
            one_target("kill_switch_target"),
            models.UniqueConstraint(
                fields=["scope", "group", "symbol", "account"],
                condition=Q(released_at__isnull=True),
                nulls_distinct=False,
                name="kill_switch_on_once",
            ),
        ]
        indexes = [
            models.Index(fields=["scope"], name="kill_switch_on", condition=Q(released_at__isnull=True))
        ]
        triggers = [  # not by the counts of its work
            bumps_controls_version(
                "kill_switch_controls", "scope", "group_id", "symbol_id", "account_id", "released_at"
            )
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.group or self.symbol or self.account or ''}".strip()

    @property
    def is_on(self) -> bool:
        """Whether it still stops trading."""
        return self.released_at is None


class RiskLimit(models.Model):
    """
    One limit on orders that add exposure. A limit of a group, a symbol or the platform counts what all its
    accounts hold together, or (`is_per_account`) what each of them holds by itself.
    """

    class Kind(models.TextChoices):
        ORDER_VOLUME = "order_volume", "Lots of one order"
        OPEN_VOLUME = "open_volume", "Open lots"
        POSITIONS = "positions", "Open positions"
        ORDERS_PER_MINUTE = "orders_per_minute", "Orders per minute"
        SYMBOL_EXPOSURE = "symbol_exposure", "Net exposure of one symbol"
        CURRENCY_EXPOSURE = "currency_exposure", "Net exposure of one currency"
        CORRELATED_EXPOSURE = "correlated_exposure", "Exposure weighted by correlation"
        CREDIT_USE = "credit_use", "Credit in use"
        DAILY_LOSS = "daily_loss", "Loss of the day"
        DRAWDOWN = "drawdown", "Fall from peak equity in percent"

    scope = models.CharField(max_length=8, choices=Scope.choices)
    group = models.ForeignKey(TradingGroup, null=True, blank=True, on_delete=models.CASCADE)
    account = models.ForeignKey(TradingAccount, null=True, blank=True, on_delete=models.CASCADE)
    symbol = models.ForeignKey(
        Symbol,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        help_text="Count this symbol only; needed when the scope is a symbol.",
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    value = ExactDecimalField(help_text="Lots, number, percent, or an amount in the currency beside it.")
    currency = models.CharField(
        max_length=8, default="USD", help_text="Of amounts; and of one currency's exposure what it is in."
    )
    exposed_currency = models.CharField(
        max_length=8, blank=True, help_text="Currency exposure: which one; empty: each."
    )
    is_per_account = models.BooleanField(default=False, help_text="Holds for each account by itself.")
    is_active = models.BooleanField(default=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["scope", "kind", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(value__gte=0), name="limit_not_negative"),
            models.CheckConstraint(
                condition=Q(scope=Scope.PLATFORM, group__isnull=True, account__isnull=True)
                | Q(scope=Scope.GROUP, group__isnull=False, account__isnull=True)
                | Q(scope=Scope.SYMBOL, symbol__isnull=False, group__isnull=True, account__isnull=True)
                | Q(scope=Scope.ACCOUNT, account__isnull=False, group__isnull=True),
                name="limit_target",
            ),
            models.UniqueConstraint(
                fields=[
                    "scope",
                    "group",
                    "account",
                    "symbol",
                    "kind",
                    "is_per_account",
                    "exposed_currency",
                ],
                nulls_distinct=False,
                name="limit_unique",
            ),
        ]
        triggers = [bumps_controls_version("limit_controls")]

    def __str__(self) -> str:
        target = self.group or self.account or ""
        return f"{self.get_kind_display()} {target} {self.symbol or ''}".strip()


class TradingHours(models.Model):
    """Hours in which exposure may be added, narrower than the symbol's own session; several rows add up."""

    scope = models.CharField(max_length=8, choices=Scope.choices)
    group = models.ForeignKey(TradingGroup, null=True, blank=True, on_delete=models.CASCADE)
    symbol = models.ForeignKey(Symbol, null=True, blank=True, on_delete=models.CASCADE)
    account = models.ForeignKey(TradingAccount, null=True, blank=True, on_delete=models.CASCADE)
    weekday = models.PositiveSmallIntegerField(
        choices=[
            (0, "Monday"),
            (1, "Tuesday"),
            (2, "Wednesday"),
            (3, "Thursday"),
            (4, "Friday"),
            (5, "Saturday"),
            (6, "Sunday"),
        ]
    )
    opens_at = models.TimeField()
    closes_at = models.TimeField(help_text="00:00 is the end of the day.")
    timezone = models.CharField(max_length=64, default="America/New_York")

    class Meta:
        ordering = ["scope", "weekday", "opens_at"]
        verbose_name_plural = "trading hours"
        constraints = [one_target("trading_hours_target")]
        triggers = [bumps_controls_version("hours_controls")]

    def __str__(self) -> str:
        return f"{self.get_weekday_display()} {self.opens_at:%H:%M} to {self.closes_at:%H:%M}"
