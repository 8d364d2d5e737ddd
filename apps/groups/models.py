"""
Trading groups and their terms per symbol. Configuration only: what the terms mean stands in
`domain/terms.py`.
"""

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from apps.market.models import Symbol, bumps_terms_version
from rtx.kernel.fields import ExactDecimalField

NOT_NEGATIVE = MinValueValidator(Decimal(0))


class CommissionMode(models.TextChoices):
    """How a commission is computed; the value is in the group's currency."""

    NONE = "none", "None"
    PER_LOT = "per_lot", "Per lot"
    PER_DEAL = "per_deal", "Per deal"
    PER_MILLION = "per_million", "Per million of notional"


class CommissionCharge(models.TextChoices):
    """On which deals a commission is charged."""

    BOTH = "both", "Entries and exits"
    ENTRY = "entry", "Entries only"
    EXIT = "exit", "Exits only"


class TradingGroup(models.Model):
    """A set of accounts with the same currency, position mode and default terms."""

    class PositionMode(models.TextChoices):
        HEDGING = "hedging", "Hedging"
        NETTING = "netting", "Netting"

    name = models.SlugField(max_length=40, unique=True)
    description = models.CharField(max_length=120, blank=True)
    currency = models.CharField(max_length=8, default="USD")
    position_mode = models.CharField(max_length=8, choices=PositionMode.choices, default=PositionMode.HEDGING)
    leverage_max = models.PositiveIntegerField(default=100, validators=[MinValueValidator(1)])
    margin_call_pct = ExactDecimalField(default=Decimal(100), validators=[NOT_NEGATIVE])
    stop_out_pct = ExactDecimalField(default=Decimal(50), validators=[NOT_NEGATIVE])
    markup_bid_points = ExactDecimalField(default=Decimal(0), validators=[NOT_NEGATIVE])
    markup_ask_points = ExactDecimalField(default=Decimal(0), validators=[NOT_NEGATIVE])
    commission_mode = models.CharField(
        max_length=12, choices=CommissionMode.choices, default=CommissionMode.NONE
    )
    commission_value = ExactDecimalField(default=Decimal(0), validators=[NOT_NEGATIVE])
    commission_charge = models.CharField(
        max_length=5, choices=CommissionCharge.choices, default=CommissionCharge.BOTH
    )
    positions_max = models.PositiveIntegerField(default=500)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        permissions = [("manage_group", "Can operate the accounts of this group")]
        constraints = [
            models.CheckConstraint(
                condition=Q(margin_call_pct__gte=models.F("stop_out_pct")), name="group_call_above_stop_out"
            ),
            models.CheckConstraint(
                condition=Q(markup_bid_points__gte=0) & Q(markup_ask_points__gte=0),
                name="group_markup_not_negative",
            ),
        ]
        triggers = [bumps_terms_version("group_terms")]

    def __str__(self) -> str:
        return self.name


class GroupSymbol(models.Model):
    """One symbol in one group: an empty field inherits the group's or the symbol's value."""

    class Book(models.TextChoices):
        A = "a", "A-book"
        B = "b", "B-book"

    group = models.ForeignKey(TradingGroup, on_delete=models.CASCADE, related_name="symbol_terms")
    symbol = models.ForeignKey(Symbol, on_delete=models.CASCADE, related_name="group_terms")
    is_offered = models.BooleanField(default=True)
    book = models.CharField(max_length=1, choices=Book.choices, default=Book.B)
    trade_mode = models.CharField(
        max_length=12, choices=Symbol.TradeMode.choices, blank=True, help_text="Empty: the symbol's."
    )
    markup_bid_points = ExactDecimalField(null=True, blank=True, validators=[NOT_NEGATIVE])
    markup_ask_points = ExactDecimalField(null=True, blank=True, validators=[NOT_NEGATIVE])
    commission_mode = models.CharField(max_length=12, choices=CommissionMode.choices, blank=True)
    commission_value = ExactDecimalField(null=True, blank=True, validators=[NOT_NEGATIVE])
    commission_charge = models.CharField(max_length=5, choices=CommissionCharge.choices, blank=True)
    leverage_max = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    volume_min = ExactDecimalField(null=True, blank=True)
    volume_max = ExactDecimalField(null=True, blank=True)

    class Meta:
        ordering = ["group", "symbol"]
        constraints = [
            models.UniqueConstraint(fields=["group", "symbol"], name="group_symbol_unique"),
            models.CheckConstraint(
                condition=(Q(markup_bid_points__isnull=True) | Q(markup_bid_points__gte=0))
                & (Q(markup_ask_points__isnull=True) | Q(markup_ask_points__gte=0)),
                name="group_symbol_markup_not_negative",
            ),
        ]
        triggers = [bumps_terms_version("group_symbol_terms")]

    def __str__(self) -> str:
        return f"{self.group} {self.symbol}"
