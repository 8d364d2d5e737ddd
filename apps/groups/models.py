"""
Trading groups and their terms per symbol. Configuration only: what the terms mean stands in
`domain/terms.py`.
"""

from datetime import time
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

import pgtrigger
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from apps.market.domain.rules import Errors, check_swap
from apps.market.models import Symbol, bumps_terms_version, keeps_history
from rtx.kernel.fields import ExactDecimalField

NOT_NEGATIVE = MinValueValidator(Decimal(0))
FIXED_ONCE_USED = ("currency", "position_mode")
SCHEDULE_FIXED_ONCE_USED = ("name", "kind", "is_pooled")
SCHEDULE_IS_USED = (
    "Groups or symbols use this schedule, and open positions carry it as it was: make another schedule and "
    "choose that one there."
)
GUARDED = ("margin_call_pct", "stop_out_pct", "margin_call_reset_pct", "stop_out_rule")

# What accounts stand under changes only together with an approval of exactly this, in its transaction.
LEVELS_NEED_APPROVAL = """
    IF EXISTS (SELECT FROM accounts_tradingaccount WHERE group_id = NEW.id) AND NOT EXISTS (
        SELECT FROM audit_staffaction s JOIN audit_approval a ON a.id = s.approval_id
        WHERE s.xact = pg_current_xact_id() AND a.kind = 'groups.stop_out' AND a.status = 'executed'
          AND a.group_id = NEW.id AND a.checked_at > now() - interval '1 minute'
          AND (a.content::jsonb #>> '{after,margin_call_pct}')::numeric = NEW.margin_call_pct
          AND (a.content::jsonb #>> '{after,stop_out_pct}')::numeric = NEW.stop_out_pct
          AND (a.content::jsonb #>> '{after,margin_call_reset_pct}')::numeric
              IS NOT DISTINCT FROM NEW.margin_call_reset_pct
          AND a.content::jsonb #>> '{after,stop_out_rule}' = NEW.stop_out_rule
    ) THEN
        RAISE EXCEPTION 'levels of group % change only by an approval', OLD.name
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""


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


class StopOutRule(models.TextChoices):
    """In which order a stop-out closes (see trading/domain/stop_out.py)."""

    LARGEST_LOSS = "largest_loss", "Largest loss first"
    LARGEST_MARGIN = "largest_margin", "Largest margin first"
    FIFO = "fifo", "Oldest first"
    SMART = "smart", "Smallest part that restores the level"


class MarginSchedule(models.Model):
    """
    Floating leverage: margin that grows in bands with the volume of a symbol or with the notional held.

    Volume bands multiply the margin rate; notional bands (in the group's currency) set the leverage.
    """

    class Kind(models.TextChoices):
        VOLUME = "volume", "Lots: margin rate per band"
        NOTIONAL = "notional", "Notional: leverage per band"

    name = models.SlugField(max_length=40, unique=True)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    is_pooled = models.BooleanField(
        default=False, help_text="All symbols of this schedule fill the same bands; else each its own."
    )

    class Meta:
        ordering = ["name"]
        triggers = [bumps_terms_version("schedule_terms"), keeps_history("schedule_history")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_used(self) -> bool:
        """Whether a group, or a symbol of one, follows it."""
        return bool(self.pk) and (self.groups.exists() or self.group_symbols.exists())

    def clean(self) -> None:
        """
        Keep its name and what its bands mean once it is used: positions fill the bands of a name together,
        and they keep what the schedule was at their last deal.

        :raises ValidationError: by field.
        """
        saved = MarginSchedule.objects.filter(pk=self.pk).first() if self.pk else None
        if saved is not None and self.is_used:
            changed = [one for one in SCHEDULE_FIXED_ONCE_USED if getattr(self, one) != getattr(saved, one)]
            if changed:
                raise ValidationError({name: [SCHEDULE_IS_USED] for name in changed})


class MarginBand(models.Model):
    """One band of a margin schedule: applies to what lies above the band before it."""

    schedule = models.ForeignKey(MarginSchedule, on_delete=models.CASCADE, related_name="bands")
    up_to = ExactDecimalField(
        null=True, blank=True, help_text="Lots or notional where the band ends; empty: no end."
    )
    value = ExactDecimalField(help_text="Margin rate (volume) or leverage (notional).")

    class Meta:
        ordering = ["schedule", models.F("up_to").asc(nulls_last=True)]
        constraints = [
            models.UniqueConstraint(
                fields=["schedule", "up_to"], nulls_distinct=False, name="margin_band_unique"
            ),
            models.CheckConstraint(
                condition=Q(value__gt=0) & (Q(up_to__isnull=True) | Q(up_to__gt=0)),
                name="margin_band_positive",
            ),
        ]
        triggers = [bumps_terms_version("band_terms"), keeps_history("band_history")]

    def __str__(self) -> str:
        return f"{self.schedule}: up to {self.up_to or 'any'}: {self.value}"


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
    margin_call_reset_pct = ExactDecimalField(
        null=True,
        blank=True,
        validators=[NOT_NEGATIVE],
        help_text="Margin level above which a margin call ends; empty: a twentieth above its own.",
    )
    stop_out_rule = models.CharField(
        max_length=14,
        choices=StopOutRule.choices,
        default=StopOutRule.LARGEST_LOSS,
        help_text="Working orders that hold margin always go first.",
    )
    protects_balance = models.BooleanField(
        "negative balance protection",
        default=True,
        help_text=(
            "The house makes good what an account owes once nothing is open there, whatever made the debt, "
            "corrections by staff included. Switching this on pays the debts that its accounts have already."
        ),
    )
    markup_bid_points = ExactDecimalField(default=Decimal(0), validators=[NOT_NEGATIVE])
    markup_ask_points = ExactDecimalField(default=Decimal(0), validators=[NOT_NEGATIVE])
    commission_mode = models.CharField(
        max_length=12, choices=CommissionMode.choices, default=CommissionMode.NONE
    )
    commission_value = ExactDecimalField(default=Decimal(0), validators=[NOT_NEGATIVE])
    commission_charge = models.CharField(
        max_length=5, choices=CommissionCharge.choices, default=CommissionCharge.BOTH
    )
    commission_minimum = ExactDecimalField(
        default=Decimal(0), validators=[NOT_NEGATIVE], help_text="Least commission of a charged deal."
    )
    margin_schedule = models.ForeignKey(
        MarginSchedule, null=True, blank=True, on_delete=models.PROTECT, related_name="groups"
    )
    positions_max = models.PositiveIntegerField(default=500)
    orders_max = models.PositiveIntegerField(default=500, help_text="Working orders per account.")
    allows_hedging = models.BooleanField(
        default=True, help_text="Hedging accounts may hold opposite positions on one symbol."
    )
    closes_fifo = models.BooleanField(
        default=False, help_text="The oldest position of a symbol has to be closed first."
    )
    rollover_time = models.TimeField(default=time(17), help_text="End of the trading day, local time.")
    rollover_timezone = models.CharField(max_length=64, default="America/New_York")
    swap_free = models.BooleanField(default=False, help_text="No swap; an admin fee instead.")
    admin_fee_per_lot = ExactDecimalField(
        default=Decimal(0), validators=[NOT_NEGATIVE], help_text="Swap-free: per lot and night charged."
    )
    admin_fee_after_nights = models.PositiveSmallIntegerField(
        default=0, help_text="Swap-free: nights before the admin fee begins."
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        permissions = [
            ("manage_group", "Can operate the accounts of this group"),
            ("approve_stop_out", "Can approve changes of margin call and stop-out"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(margin_call_pct__gte=models.F("stop_out_pct")), name="group_call_above_stop_out"
            ),
            models.CheckConstraint(
                condition=Q(margin_call_reset_pct__isnull=True)
                | Q(margin_call_reset_pct__gte=models.F("margin_call_pct")),
                name="group_call_reset_above_call",
            ),
            models.CheckConstraint(
                condition=Q(markup_bid_points__gte=0) & Q(markup_ask_points__gte=0),
                name="group_markup_not_negative",
            ),
        ]
        triggers = [
            bumps_terms_version("group_terms"),
            keeps_history("group_history"),
            pgtrigger.Trigger(
                name="group_levels_need_approval",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(*GUARDED),
                func=LEVELS_NEED_APPROVAL,
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """
        Check what depends on several values, and keep what accounts of the group were opened with.

        :raises ValidationError: by field.
        """
        errors: Errors = {}
        self.currency = self.currency.upper()
        call, stop, ends = self.margin_call_pct, self.stop_out_pct, self.margin_call_reset_pct
        if call is not None and stop is not None and call < stop:
            errors["margin_call_pct"] = ["The margin call level must not be below the stop-out level."]
        if ends is not None and call is not None and ends < call:
            errors["margin_call_reset_pct"] = ["A margin call cannot end below its own level."]
        check_commission(self, errors)
        if self.admin_fee_per_lot and not self.swap_free:
            errors["admin_fee_per_lot"] = ["Only a swap-free group charges an admin fee."]
        if self.rollover_timezone not in available_timezones():
            errors["rollover_timezone"] = ["There is no such time zone."]
        self._check_fixed(errors)
        if errors:
            raise ValidationError(errors)

    def _check_fixed(self, errors: Errors) -> None:
        saved = TradingGroup.objects.filter(pk=self.pk).first() if self.pk else None
        if saved is None:
            return
        changed = [name for name in FIXED_ONCE_USED if getattr(self, name) != getattr(saved, name)]
        if changed and self.has_accounts:
            for name in changed:
                errors[name] = [
                    "Accounts of this group were opened with the old value: create another group."
                ]

    @property
    def has_accounts(self) -> bool:
        """Whether any account belongs to it, whatever its status."""
        return bool(self.trading_accounts.exists())


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
    commission_minimum = ExactDecimalField(null=True, blank=True, validators=[NOT_NEGATIVE])
    margin_schedule = models.ForeignKey(
        MarginSchedule, null=True, blank=True, on_delete=models.PROTECT, related_name="group_symbols"
    )
    stop_level_points = models.PositiveIntegerField(null=True, blank=True)
    freeze_level_points = models.PositiveIntegerField(null=True, blank=True)
    swap_mode = models.CharField(max_length=8, choices=Symbol.SwapMode.choices, blank=True)
    swap_long = ExactDecimalField(null=True, blank=True)
    swap_short = ExactDecimalField(null=True, blank=True)

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
        triggers = [bumps_terms_version("group_symbol_terms"), keeps_history("group_symbol_history")]

    def __str__(self) -> str:
        return f"{self.group} {self.symbol}"

    def clean(self) -> None:
        """
        Check what depends on several values.

        :raises ValidationError: by field.
        """
        errors: Errors = {}
        lowest, highest = self.volume_min, self.volume_max
        for name, volume in (("volume_min", lowest), ("volume_max", highest)):
            if volume is not None and volume <= 0:
                errors[name] = ["Must be above zero, or empty to inherit."]
        if lowest is not None and highest is not None and highest < lowest:
            errors.setdefault("volume_max", []).append("The largest volume is below the smallest.")
        check_commission(self, errors)
        check_swap(self, errors)
        if errors:
            raise ValidationError(errors)


def check_commission(row: Any, errors: Errors) -> None:
    """Refuse a commission that nothing would charge."""
    if row.commission_mode == CommissionMode.NONE and row.commission_value:
        errors["commission_value"] = ["Choose how the commission is computed, or leave this at zero."]


class CommissionTier(models.Model):
    """
    A commission value for larger deals: the highest tier that a deal's size reaches replaces the rule's.

    Sizes are lots, or notional in the group's currency for the rule per million. Without a symbol the tier
    belongs to the group's own rule; with one, to that symbol's in the group.
    """

    group = models.ForeignKey(TradingGroup, on_delete=models.CASCADE, related_name="commission_tiers")
    symbol = models.ForeignKey(
        Symbol, null=True, blank=True, on_delete=models.CASCADE, related_name="commission_tiers"
    )
    from_size = ExactDecimalField(validators=[NOT_NEGATIVE])
    value = ExactDecimalField(validators=[NOT_NEGATIVE])

    class Meta:
        ordering = ["group", "symbol", "from_size"]
        constraints = [
            models.UniqueConstraint(
                fields=["group", "symbol", "from_size"], nulls_distinct=False, name="commission_tier_unique"
            )
        ]
        triggers = [bumps_terms_version("tier_terms"), keeps_history("tier_history")]

    def __str__(self) -> str:
        return f"{self.group} from {self.from_size}: {self.value}"
