"""Orders, deals and positions. Written by the executor alone; ids are tickets from one sequence."""

import pgtrigger
from django.db import models
from django.db.models import Q

from apps.accounts.models import TradingAccount
from apps.groups.models import TradingGroup
from apps.market.models import Symbol
from rtx.kernel.append_only import append_only
from rtx.kernel.fields import ExactDecimalField


class Side(models.TextChoices):
    """Direction of an order, a deal or a position."""

    BUY = "buy", "Buy"
    SELL = "sell", "Sell"


class Order(models.Model):
    """An instruction of a client or of staff, with its fate."""

    class Type(models.TextChoices):
        MARKET = "market", "Market"
        LIMIT = "limit", "Limit"
        STOP = "stop", "Stop"
        STOP_LIMIT = "stop_limit", "Stop limit"

    class Status(models.TextChoices):
        NEW = "new", "New"
        WORKING = "working", "Working"
        FILLED = "filled", "Filled"
        PARTIALLY_FILLED = "partially_filled", "Partially filled"
        CANCELED = "canceled", "Canceled"
        REJECTED = "rejected", "Rejected"
        EXPIRED = "expired", "Expired"

    class TimeInForce(models.TextChoices):
        GTC = "gtc", "Good till canceled"
        DAY = "day", "Day"
        GTD = "gtd", "Good till date"
        IOC = "ioc", "Immediate or cancel"
        FOK = "fok", "Fill or kill"

    class Reason(models.TextChoices):
        CLIENT = "client", "Client"
        STAFF = "staff", "Staff"
        SYSTEM = "system", "System"
        STOP_LOSS = "stop_loss", "Stop loss"
        TAKE_PROFIT = "take_profit", "Take profit"
        STOP_OUT = "stop_out", "Stop out"

    id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="orders")
    symbol = models.ForeignKey(Symbol, on_delete=models.PROTECT, related_name="orders")
    client_order_id = models.CharField(max_length=64)
    side = models.CharField(max_length=4, choices=Side.choices)
    type = models.CharField(max_length=10, choices=Type.choices, default=Type.MARKET)
    status = models.CharField(max_length=16, choices=Status.choices)
    volume = ExactDecimalField(help_text="Lots.")
    filled_volume = ExactDecimalField(default=0, help_text="Lots.")
    price = ExactDecimalField(null=True, blank=True, help_text="Requested price.")
    average_price = ExactDecimalField(null=True, blank=True)
    deviation = models.PositiveIntegerField(null=True, blank=True, help_text="Points.")
    stop_loss = ExactDecimalField(null=True, blank=True)
    take_profit = ExactDecimalField(null=True, blank=True)
    stop_limit_price = ExactDecimalField(
        null=True, blank=True, help_text="Stop limit: the limit that becomes active at the price."
    )
    trailing_points = models.PositiveIntegerField(null=True, blank=True)
    time_in_force = models.CharField(max_length=3, choices=TimeInForce.choices, default=TimeInForce.GTC)
    expires_at = models.DateTimeField(null=True, blank=True)
    activated_at = models.DateTimeField(
        null=True, blank=True, help_text="Stop limit: when its stop was reached."
    )
    reason = models.CharField(max_length=12, choices=Reason.choices, default=Reason.CLIENT)
    margin_rate = ExactDecimalField(
        null=True, blank=True, help_text="Working order: margin currency to account currency."
    )
    terms = models.TextField(blank=True, help_text="Working order: contract terms that its margin follows.")
    trigger = models.JSONField(
        null=True, blank=True, help_text="What set it off: the price it waited for, the quote, the slippage."
    )
    reject_reason = models.CharField(max_length=24, blank=True)
    requote_price = ExactDecimalField(null=True, blank=True, help_text="Price offered instead of a fill.")
    position_id = models.BigIntegerField(null=True, blank=True, db_index=True)
    comment = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_index=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("place_order", "Can place orders on behalf of clients"),
            ("modify_order", "Can change working orders"),
            ("cancel_order", "Can cancel working orders"),
        ]
        constraints = [
            models.UniqueConstraint(  # in this order it finds an order by its client's id alone, too
                fields=["client_order_id", "account"], name="order_client_order_id_unique"
            ),
            models.CheckConstraint(
                condition=Q(filled_volume__lte=models.F("volume")), name="order_not_overfilled"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-id"], name="order_by_account"),
            models.Index(
                fields=["symbol"],
                name="order_working",
                condition=Q(status__in=["working", "partially_filled"]),
            ),
            models.Index(
                fields=["account"],
                name="order_working_by_account",
                condition=Q(status__in=["working", "partially_filled"]),
            ),
            models.Index(
                fields=["status", "-id"], name="order_unusual_status", condition=~Q(status="filled")
            ),
            models.Index(fields=["type", "-id"], name="order_unusual_type", condition=~Q(type="market")),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="order_final",
                level=pgtrigger.Row,
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status__in=["filled", "canceled", "rejected", "expired"]),
                func="RAISE EXCEPTION 'order % is final', OLD.id;",
            )
        ]

    def __str__(self) -> str:
        return f"#{self.id} {self.side} {self.volume} {self.symbol}"


class Deal(models.Model):
    """An execution, with everything that explains its price and its money. Append-only."""

    class Entry(models.TextChoices):
        IN = "in", "In"
        OUT = "out", "Out"
        INOUT = "inout", "In/out"
        OUT_BY = "out_by", "Out by"

    id = models.BigIntegerField(primary_key=True)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="deals")
    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="deals")
    symbol = models.ForeignKey(Symbol, on_delete=models.PROTECT, related_name="deals")
    position_id = models.BigIntegerField(db_index=True)
    entry = models.CharField(max_length=6, choices=Entry.choices)
    side = models.CharField(max_length=4, choices=Side.choices)
    volume = ExactDecimalField(help_text="Lots.")
    price = ExactDecimalField()
    profit = ExactDecimalField(default=0, help_text="Account currency, booked.")
    commission = ExactDecimalField(default=0, help_text="Account currency; negative: paid by the client.")
    swap = ExactDecimalField(default=0, help_text="Account currency, realised share.")
    markup = ExactDecimalField(default=0, help_text="Account currency: the house's markup revenue.")
    raw_bid = ExactDecimalField()
    raw_ask = ExactDecimalField()
    client_bid = ExactDecimalField()
    client_ask = ExactDecimalField()
    quote_at = models.DateTimeField()
    profit_rate = ExactDecimalField(help_text="Profit currency to account currency.")
    margin_rate = ExactDecimalField(help_text="Margin currency to account currency.")
    rule = models.CharField(max_length=80, help_text="Commission rule that was applied.")
    terms_version = models.BigIntegerField()
    book = models.CharField(max_length=1, default="b")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "-id"], name="deal_by_account"),
            models.Index(fields=["-id"], name="deal_unusual", condition=Q(entry__in=["inout", "out_by"])),
        ]
        triggers = append_only("deal_append_only")

    def __str__(self) -> str:
        return f"#{self.id} {self.entry} {self.side} {self.volume} @ {self.price}"


class Position(models.Model):
    """
    Open exposure of an account. A closed position's row is deleted: its deals and the journal tell its story.
    """

    id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="positions")
    symbol = models.ForeignKey(Symbol, on_delete=models.PROTECT, related_name="positions")
    side = models.CharField(max_length=4, choices=Side.choices)
    volume = ExactDecimalField(help_text="Lots.")
    cost = ExactDecimalField(help_text="Exact sum of lots x price.")
    open_price = ExactDecimalField(help_text="Average, for display.")
    margin_rate = ExactDecimalField(help_text="Margin currency to account currency at the last deal.")
    terms = models.TextField(
        help_text="Contract terms (JSON) as of the last deal: margin and profit follow them."
    )
    stop_loss = ExactDecimalField(null=True, blank=True)
    take_profit = ExactDecimalField(null=True, blank=True)
    trailing_points = models.PositiveIntegerField(null=True, blank=True)
    swap = ExactDecimalField(default=0)
    commission = ExactDecimalField(default=0)
    book = models.CharField(max_length=1, default="b")
    last_deal_id = models.BigIntegerField()
    opened_at = models.DateTimeField(db_index=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("close_position", "Can close positions at the market"),
            ("modify_position", "Can change stop loss, take profit and trailing stop"),
            ("reverse_position", "Can ask for the reversal of positions"),
            ("approve_reversal", "Can approve or reject reversals"),
        ]
        constraints = [models.CheckConstraint(condition=Q(volume__gt=0), name="position_volume_positive")]
        indexes = [models.Index(fields=["symbol", "account"], name="position_by_symbol")]

    def __str__(self) -> str:
        return f"#{self.id} {self.side} {self.volume} {self.symbol}"


class SwapCharge(models.Model):
    """What one position was charged (negative) or paid for one night, with everything it follows from."""

    class Kind(models.TextChoices):
        SWAP = "swap", "Swap"
        ADMIN_FEE = "admin_fee", "Admin fee (swap-free)"

    event_id = models.BigIntegerField(help_text="Event of the journal that booked it.")
    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="swap_charges")
    symbol = models.ForeignKey(Symbol, on_delete=models.PROTECT, related_name="swap_charges")
    position_id = models.BigIntegerField()
    date = models.DateField(help_text="Trading day that ended with the rollover.")
    rolled_at = models.DateTimeField(help_text="The rollover's instant: its positions, terms and rates hold.")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    side = models.CharField(max_length=4, choices=Side.choices)
    volume = ExactDecimalField(help_text="Lots open at that instant.")
    mode = models.CharField(max_length=8)
    value = ExactDecimalField(help_text="Points, money per lot or percent a year.")
    multiplier = models.PositiveSmallIntegerField(help_text="Days charged.")
    price = ExactDecimalField(null=True, help_text="Percent: the price that valued the position.")
    rate = ExactDecimalField(help_text="To the account currency.")
    amount = ExactDecimalField(help_text="Account currency, booked.")
    is_settled = models.BooleanField(
        help_text="The position was closed by then: booked to the balance at once."
    )
    terms_version = models.BigIntegerField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["position_id", "date"], name="swap_once_per_position_and_day")
        ]
        indexes = [models.Index(fields=["account", "-id"], name="swap_by_account")]
        triggers = append_only("swap_append_only")

    def __str__(self) -> str:
        return f"position {self.position_id} {self.date}: {self.amount}"


class RolloverDay(models.Model):
    """
    How far the rollover of one group's trading day has come. A finished day is never looked at again.

    What was charged stands in the journal: this only saves looking for it.
    """

    group = models.ForeignKey(TradingGroup, on_delete=models.PROTECT, related_name="rollover_days")
    date = models.DateField(help_text="Trading day that ended.")
    rolled_at = models.DateTimeField(help_text="The instant whose positions, terms and prices hold.")
    charges = models.PositiveIntegerField(default=0, help_text="Positions charged or paid.")
    pending = models.PositiveIntegerField(
        default=0, help_text="Accounts that still wait for a price or a conversion rate."
    )
    reason = models.CharField(max_length=120, blank=True, help_text="What the first of them waits for.")
    claimed_until = models.DateTimeField(null=True, blank=True, help_text="Somebody works on it until then.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-rolled_at", "group"]
        constraints = [models.UniqueConstraint(fields=["group", "date"], name="rollover_day_unique")]
        indexes = [
            models.Index(
                fields=["rolled_at"], name="rollover_day_open", condition=Q(finished_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{self.group} {self.date}"
