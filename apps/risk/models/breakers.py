"""Circuit breakers: rules, how each of their subjects stands, and every change of it."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from apps.accounts.models import TradingAccount
from apps.market.models import Symbol
from apps.risk.models.controls import bumps_controls_version
from rtx.kernel.append_only import append_only
from rtx.kernel.fields import ExactDecimalField


class Breaker(models.Model):
    """
    One rule that stops new exposure when something runs wild. Without a named subject it watches every symbol
    (LP, account) by itself.
    """

    class Scope(models.TextChoices):
        SYMBOL = "symbol", "Symbol"
        LP = "lp", "Liquidity provider"
        ACCOUNT = "account", "Account"
        PLATFORM = "platform", "Platform"

    class Kind(models.TextChoices):
        PRICE_MOVE = "price_move", "Price move in percent within the window"
        SPREAD = "spread", "Spread in points"
        REJECT_RATE = "reject_rate", "Refused orders in percent within the window"
        TICK_SILENCE = "tick_silence", "Seconds without a tick in session"
        HOUSE_LOSS = "house_loss", "Loss of the house within the window"

    class Reset(models.TextChoices):
        AUTO = "auto", "After the cool-down, by probing"
        MANUAL = "manual", "By staff"

    name = models.SlugField(max_length=60, unique=True)
    scope = models.CharField(max_length=8, choices=Scope.choices)
    symbol = models.ForeignKey(Symbol, null=True, blank=True, on_delete=models.CASCADE)
    account = models.ForeignKey(TradingAccount, null=True, blank=True, on_delete=models.CASCADE)
    lp = models.CharField(max_length=40, blank=True, help_text="Name of the feed or liquidity provider.")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    threshold = ExactDecimalField(validators=[MinValueValidator(0)])
    currency = models.CharField(max_length=8, default="USD", help_text="Of a loss.")
    window_s = models.PositiveIntegerField(default=60, help_text="Seconds that are looked back.")
    observations_min = models.PositiveIntegerField(
        default=10, help_text="Reject rate: fewer orders in the window say nothing."
    )
    cooldown_s = models.PositiveIntegerField(default=60, help_text="Seconds it stays open at least.")
    probe_orders = models.PositiveIntegerField(
        default=5, help_text="Half-open: so many orders may pass before it closes again."
    )
    reset = models.CharField(max_length=6, choices=Reset.choices, default=Reset.AUTO)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        permissions = [("reset_breaker", "Can reset circuit breakers")]
        constraints = [
            models.CheckConstraint(
                condition=Q(scope="platform", symbol__isnull=True, account__isnull=True, lp="")
                | Q(scope="symbol", account__isnull=True, lp="")
                | Q(scope="account", symbol__isnull=True, lp="")
                | Q(scope="lp", symbol__isnull=True, account__isnull=True),
                name="breaker_target",
            )
        ]
        triggers = [bumps_controls_version("breaker_controls")]

    def __str__(self) -> str:
        return self.name


class BreakerState(models.Model):
    """How one breaker stands for one subject. A subject that never tripped has no row."""

    class State(models.TextChoices):
        CLOSED = "closed", "Closed: trading goes on"
        OPEN = "open", "Open: new exposure is refused"
        HALF_OPEN = "half_open", "Half-open: probing"

    breaker = models.ForeignKey(Breaker, on_delete=models.CASCADE, related_name="states")
    subject = models.CharField(max_length=64, help_text="Symbol, LP or account number; empty: platform.")
    symbol = models.ForeignKey(Symbol, null=True, on_delete=models.CASCADE)
    account = models.ForeignKey(TradingAccount, null=True, on_delete=models.CASCADE)
    state = models.CharField(max_length=9, choices=State.choices, default=State.CLOSED, db_index=True)
    since = models.DateTimeField()
    cools_until = models.DateTimeField(null=True, blank=True)
    value = ExactDecimalField(null=True, blank=True, help_text="What was measured when it changed.")
    reason = models.CharField(max_length=200, blank=True)
    trips = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["breaker", "subject"]
        constraints = [models.UniqueConstraint(fields=["breaker", "subject"], name="breaker_state_unique")]
        triggers = [bumps_controls_version("breaker_state_controls")]

    def __str__(self) -> str:
        return f"{self.breaker} {self.subject}".strip()


class BreakerChange(models.Model):
    """One change of a breaker's state: by what was measured, by time, or by staff. Append-only."""

    state = models.ForeignKey(BreakerState, on_delete=models.DO_NOTHING, db_constraint=False)
    breaker_name = models.CharField(max_length=60)
    subject = models.CharField(max_length=64)
    at = models.DateTimeField(db_index=True)
    before = models.CharField(max_length=9, choices=BreakerState.State.choices)
    after = models.CharField(max_length=9, choices=BreakerState.State.choices)
    value = ExactDecimalField(null=True, blank=True)
    threshold = ExactDecimalField(null=True, blank=True)
    reason = models.CharField(max_length=200)
    actor = models.CharField(max_length=80)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["breaker_name", "subject"], name="breaker_change_by_subject")]
        triggers = append_only("breaker_change_append_only")

    def __str__(self) -> str:
        return f"{self.breaker_name} {self.subject}: {self.after}"
