"""Tables of the market: symbols, sessions, last quotes, candles, engine leases. Holds no price logic."""

from decimal import Decimal

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.market.domain import rules
from rtx.kernel.append_only import CurrentTransactionId
from rtx.kernel.fields import ExactDecimalField, TransactionIdField

POSITIVE = MinValueValidator(Decimal("0.00000001"))


class TermsVersion(models.Model):
    """One row that counts every change of symbols, sessions, groups and their terms (kept by triggers)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=1)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="terms_version_one_row")]

    def __str__(self) -> str:
        return f"terms version {self.version}"


def bumps_terms_version(name: str) -> pgtrigger.Trigger:
    """Return the trigger that counts a change of configuration, however it was made."""
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        func="UPDATE market_termsversion SET version = version + 1 WHERE id = 1; RETURN NULL;",
    )


def keeps_history(name: str) -> pgtrigger.Trigger:
    """Return the trigger that keeps what a row was before each change: terms can be read as of then."""
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Row,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        func="""
            INSERT INTO market_configurationchange (table_name, row_id, at, before)
            VALUES (
                TG_TABLE_NAME,
                CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END,
                clock_timestamp(),
                CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END
            );
            RETURN NULL;
        """,
    )


class ConfigurationChange(models.Model):
    """What a row of configuration was before one change (null: it did not exist). Triggers alone write it."""

    table_name = models.CharField(max_length=63)
    row_id = models.BigIntegerField()
    at = models.DateTimeField()
    before = models.JSONField(null=True)
    xact = TransactionIdField(
        db_default=CurrentTransactionId(), null=True, editable=False, help_text="Empty: before it was kept."
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["table_name", "at"], name="configuration_change_by_at"),
            models.Index(fields=["table_name", "row_id", "id"], name="configuration_change_by_row"),
        ]

    def __str__(self) -> str:
        return f"{self.table_name} {self.row_id} at {self.at:%Y-%m-%d %H:%M:%S}"


class TradingSession(models.Model):
    """A weekly calendar in a named time zone; symbols point at one."""

    name = models.CharField(max_length=40, unique=True)
    timezone = models.CharField(max_length=64, default="America/New_York")
    always_open = models.BooleanField(default=False)
    exchange = models.CharField(
        max_length=12,
        blank=True,
        help_text="Exchange calendar that names the holidays, for example XNYS; empty: entered by hand.",
    )

    class Meta:
        ordering = ["name"]
        triggers = [bumps_terms_version("session_terms"), keeps_history("session_history")]

    def __str__(self) -> str:
        return self.name


class SessionHours(models.Model):
    """One opening of a session, in local time; `closes_at` 00:00 means midnight at the day's end."""

    class Weekday(models.IntegerChoices):
        MONDAY = 0, "Monday"
        TUESDAY = 1, "Tuesday"
        WEDNESDAY = 2, "Wednesday"
        THURSDAY = 3, "Thursday"
        FRIDAY = 4, "Friday"
        SATURDAY = 5, "Saturday"
        SUNDAY = 6, "Sunday"

    session = models.ForeignKey(TradingSession, on_delete=models.CASCADE, related_name="hours")
    weekday = models.PositiveSmallIntegerField(choices=Weekday.choices)
    opens_at = models.TimeField()
    closes_at = models.TimeField()

    class Meta:
        ordering = ["session", "weekday", "opens_at"]
        verbose_name_plural = "session hours"
        constraints = [
            models.UniqueConstraint(fields=["session", "weekday", "opens_at"], name="session_hours_unique")
        ]
        triggers = [bumps_terms_version("hours_terms"), keeps_history("hours_history")]

    def __str__(self) -> str:
        return f"{self.get_weekday_display()} {self.opens_at:%H:%M}-{self.closes_at:%H:%M}"


class Holiday(models.Model):
    """A local date on which a session stays closed, or closes early."""

    session = models.ForeignKey(TradingSession, on_delete=models.CASCADE, related_name="holidays")
    date = models.DateField()
    name = models.CharField(max_length=80, blank=True)
    closes_at = models.TimeField(null=True, blank=True, help_text="Early close; empty: closed all day.")
    is_imported = models.BooleanField(
        default=False, editable=False, help_text="Taken from the session's exchange calendar."
    )

    class Meta:
        ordering = ["session", "date"]
        constraints = [models.UniqueConstraint(fields=["session", "date"], name="holiday_unique")]
        triggers = [bumps_terms_version("holiday_terms"), keeps_history("holiday_history")]

    def __str__(self) -> str:
        return f"{self.date} {self.name}".strip()


def usual_swap_days() -> list[int]:
    """Return one day for each trading day, three on Wednesday for the weekend's value dates."""
    return [1, 1, 3, 1, 1, 0, 0]


class Symbol(models.Model):
    """An instrument with everything that is the same for every group."""

    class AssetClass(models.TextChoices):
        FOREX = "forex", "Forex"
        METAL = "metal", "Metal"
        INDEX = "index", "Index"
        CRYPTO = "crypto", "Crypto"
        STOCK = "stock", "Stock"
        COMMODITY = "commodity", "Commodity"

    class MarginMode(models.TextChoices):
        FOREX = "forex", "Forex: lots x contract / leverage"
        CFD = "cfd", "CFD: lots x contract x price"
        CFD_LEVERAGE = "cfd_leverage", "CFD leverage: lots x contract x price / leverage"
        FIXED = "fixed", "Fixed amount per lot"
        INDEX = "index", "Index: lots x contract x price x tick price / tick size"

    class TradeMode(models.TextChoices):
        FULL = "full", "Full"
        LONG_ONLY = "long_only", "Long only"
        SHORT_ONLY = "short_only", "Short only"
        CLOSE_ONLY = "close_only", "Close only"
        DISABLED = "disabled", "Disabled"

    class SwapMode(models.TextChoices):
        NONE = "none", "None"
        POINTS = "points", "Points per lot"
        MONEY = "money", "Money per lot, in the group's currency"
        PERCENT = "percent", "Percent a year of the position's value"

    name = models.CharField(max_length=32, unique=True)
    description = models.CharField(max_length=120, blank=True)
    asset_class = models.CharField(max_length=12, choices=AssetClass.choices, db_index=True)
    base_currency = models.CharField(max_length=8, help_text="What one unit of the contract is.")
    profit_currency = models.CharField(max_length=8, help_text="Currency of price and profit.")
    margin_currency = models.CharField(
        max_length=8, help_text="Base currency for forex, else profit currency."
    )
    digits = models.PositiveSmallIntegerField(default=5)
    contract_size = ExactDecimalField(default=Decimal(100_000), validators=[POSITIVE])
    volume_min = ExactDecimalField(default=Decimal("0.01"), validators=[POSITIVE])
    volume_max = ExactDecimalField(default=Decimal(100), validators=[POSITIVE])
    volume_step = ExactDecimalField(default=Decimal("0.01"), validators=[POSITIVE])
    margin_mode = models.CharField(max_length=14, choices=MarginMode.choices, default=MarginMode.FOREX)
    margin_rate_buy = ExactDecimalField(default=Decimal(1), validators=[POSITIVE])
    margin_rate_sell = ExactDecimalField(default=Decimal(1), validators=[POSITIVE])
    margin_rate_pending = ExactDecimalField(
        default=Decimal(0),
        validators=[MinValueValidator(Decimal(0))],
        help_text="Share of a position's margin that a working order reserves; 0: none.",
    )
    margin_initial = ExactDecimalField(default=Decimal(0), help_text="Fixed mode: amount per lot.")
    hedged_contract_size = ExactDecimalField(
        null=True, blank=True, help_text="Contract for covered volume; empty: the contract size; 0: none."
    )
    tick_size = ExactDecimalField(default=Decimal(0), help_text="Index mode only.")
    tick_price = ExactDecimalField(default=Decimal(0), help_text="Index mode only.")
    trade_mode = models.CharField(max_length=12, choices=TradeMode.choices, default=TradeMode.FULL)
    stop_level_points = models.PositiveIntegerField(
        default=0, help_text="Least distance of pending prices, SL and TP from the market."
    )
    freeze_level_points = models.PositiveIntegerField(
        default=0, help_text="Within this distance of the market an order or stop cannot be changed."
    )
    swap_mode = models.CharField(max_length=8, choices=SwapMode.choices, default=SwapMode.NONE)
    swap_long = ExactDecimalField(default=Decimal(0), help_text="For a buy; negative: the client pays.")
    swap_short = ExactDecimalField(default=Decimal(0), help_text="For a sell; negative: the client pays.")
    swap_multipliers = ArrayField(
        models.PositiveSmallIntegerField(validators=[MaxValueValidator(10)]),
        size=7,
        default=usual_swap_days,
        help_text="Days charged at the rollover of Monday to Sunday.",
    )
    quote_age_max_s = models.PositiveIntegerField(
        default=30, help_text="Older quotes are refused while in session."
    )
    spike_max_pct = ExactDecimalField(default=Decimal(2), help_text="A tick that jumps further is refused.")
    session = models.ForeignKey(TradingSession, on_delete=models.PROTECT, related_name="symbols")
    is_active = models.BooleanField(default=True, db_index=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(contract_size__gt=0) & Q(volume_min__gt=0) & Q(volume_step__gt=0),
                name="symbol_sizes_positive",
            ),
            models.CheckConstraint(
                condition=Q(volume_max__gte=models.F("volume_min")), name="symbol_volume_range"
            ),
            models.CheckConstraint(condition=Q(swap_multipliers__len=7), name="symbol_seven_swap_days"),
        ]
        triggers = [bumps_terms_version("symbol_terms"), keeps_history("symbol_history")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """
        Check what depends on several values, and keep what is fixed once it was traded.

        :raises ValidationError: by field.
        """
        errors = rules.symbol_errors(self)
        saved = Symbol.objects.filter(pk=self.pk).first() if self.pk else None
        if saved is not None:
            if self.name != saved.name:
                errors["name"] = ["A symbol keeps its name: create a new one and close this one."]
            changed = rules.contract_changes(self, saved)
            if changed and self.orders.exists():
                errors |= {name: [rules.TRADED] for name in changed}
        if errors:
            raise ValidationError(errors)


class LastQuote(models.Model):
    """The latest quote of a symbol as the engine last saved it: the truth that Redis may lose."""

    symbol = models.OneToOneField(
        Symbol, primary_key=True, on_delete=models.CASCADE, related_name="last_quote"
    )
    bid = ExactDecimalField()
    ask = ExactDecimalField()
    time = models.DateTimeField()
    source = models.CharField(max_length=20, default="", help_text="Provider of the quote.")
    simulated = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.symbol} {self.bid}/{self.ask}"


class FeedStatus(models.Model):
    """What the feed of one symbol delivered and what the tick filters refused since the engine started."""

    symbol = models.OneToOneField(
        Symbol, primary_key=True, on_delete=models.CASCADE, related_name="feed_status"
    )
    provider = models.CharField(max_length=20)
    simulated = models.BooleanField(default=False)
    accepted = models.BigIntegerField(default=0)
    refused_crossed = models.BigIntegerField(default=0)
    refused_empty = models.BigIntegerField(default=0)
    refused_non_positive = models.BigIntegerField(default=0)
    refused_out_of_order = models.BigIntegerField(default=0)
    refused_spike = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "feed statuses"

    def __str__(self) -> str:
        return f"{self.symbol} from {self.provider}"

    @property
    def refused(self) -> int:
        """Return how many ticks the filters refused, whatever the reason."""
        return (
            self.refused_crossed
            + self.refused_empty
            + self.refused_non_positive
            + self.refused_out_of_order
            + self.refused_spike
        )


class Candle(models.Model):
    """Bid candle of one interval."""

    class Interval(models.TextChoices):
        M1 = "1m", "1 minute"
        M5 = "5m", "5 minutes"
        M15 = "15m", "15 minutes"
        H1 = "1h", "1 hour"
        H4 = "4h", "4 hours"
        D1 = "1d", "1 day"

    symbol = models.ForeignKey(Symbol, on_delete=models.CASCADE, related_name="candles")
    interval = models.CharField(max_length=3, choices=Interval.choices)
    opened_at = models.DateTimeField()
    open = ExactDecimalField()
    high = ExactDecimalField()
    low = ExactDecimalField()
    close = ExactDecimalField()
    ticks = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["symbol", "interval", "-opened_at"]
        constraints = [
            models.UniqueConstraint(fields=["symbol", "interval", "opened_at"], name="candle_unique")
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval} {self.opened_at:%Y-%m-%d %H:%M}"


class TickDay(models.Model):
    """One day of stored ticks, a partition of `market_tick`; a day with imported history is never dropped."""

    date = models.DateField(primary_key=True)
    keeps_history = models.BooleanField(
        default=False, help_text="Holds imported ticks: kept whatever its age."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-date"]

    def __str__(self) -> str:
        return f"{self.date}"


class EngineLease(models.Model):
    """Who leads one engine service; the fencing number grows with every new holder."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.CharField(max_length=120)
    fence = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} held by {self.holder}"
