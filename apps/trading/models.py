"""Orders, deals and positions. Written by the executor alone; ids are tickets from one sequence."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import TradingAccount
from apps.accounts.models.journal import append_only
from apps.market.models import Symbol
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
    reject_reason = models.CharField(max_length=24, blank=True)
    requote_price = ExactDecimalField(null=True, blank=True, help_text="Price offered instead of a fill.")
    position_id = models.BigIntegerField(null=True, blank=True, db_index=True)
    comment = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_index=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "client_order_id"], name="order_client_order_id_unique"
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
        indexes = [models.Index(fields=["account", "-id"], name="deal_by_account")]
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
        permissions = [("close_position", "Can close positions at the market")]
        constraints = [models.CheckConstraint(condition=Q(volume__gt=0), name="position_volume_positive")]
        indexes = [models.Index(fields=["symbol", "account"], name="position_by_symbol")]

    def __str__(self) -> str:
        return f"#{self.id} {self.side} {self.volume} {self.symbol}"
