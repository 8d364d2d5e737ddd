"""
Money in and out: the policy of each trading group, the operations that were asked for, and what happened to
each. The balance itself stands in the journal; a row here is booked when it names its event.
"""

import pgtrigger
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import TradingAccount, User
from apps.audit.models import Approval
from apps.funds.domain import operations
from apps.groups.models import TradingGroup
from rtx.kernel.append_only import append_only
from rtx.kernel.fields import ExactDecimalField

OPEN = [str(status) for status in operations.OPEN]

KEPT = """
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'fund operations are kept';
    END IF;
    IF OLD.status IN ('posted', 'rejected', 'canceled') THEN
        RAISE EXCEPTION 'fund operation % is %: it changes no more', OLD.id, OLD.status;
    END IF;
    IF (OLD.account_id, OLD.kind, OLD.amount, OLD.currency, OLD.reference, OLD.comment, OLD.requested_by_id,
        OLD.by_client, OLD.requested_at)
       IS DISTINCT FROM
       (NEW.account_id, NEW.kind, NEW.amount, NEW.currency, NEW.reference, NEW.comment, NEW.requested_by_id,
        NEW.by_client, NEW.requested_at) THEN
        RAISE EXCEPTION 'the content of fund operation % cannot change', OLD.id;
    END IF;
    RETURN NEW;
"""


class FundPolicy(models.Model):
    """What one trading group asks for. The one without a group is the house's, for the others."""

    group = models.OneToOneField(
        TradingGroup, on_delete=models.PROTECT, null=True, blank=True, related_name="fund_policy"
    )
    threshold = ExactDecimalField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=(
            "In the account's currency, per client and UTC day, all kinds together: what exceeds it "
            "waits for a second person. Empty: one person is always enough. Raising it, also above "
            "the house's, needs a second person too."
        ),
    )
    minimum = ExactDecimalField(
        default=0,
        validators=[MinValueValidator(0)],
        help_text="Least amount that a client may ask for, in the account's currency.",
    )
    takes_deposits = models.BooleanField("clients may ask for deposits", default=True)
    takes_withdrawals = models.BooleanField("clients may ask for withdrawals", default=True)
    approval_hours = models.PositiveSmallIntegerField(
        default=24,
        validators=[MinValueValidator(1)],
        help_text="How long an operation waits for the second person before it has to be asked for anew.",
    )
    created_at = models.DateTimeField(
        db_default=Now(),
        editable=False,
        help_text="When its threshold began; what was posted before does not count.",
    )

    class Meta:
        ordering = [F("group").asc(nulls_first=True)]
        verbose_name_plural = "fund policies"
        permissions = [("approve_fundpolicy", "Can let a higher threshold come true")]
        constraints = [
            models.CheckConstraint(
                condition=(Q(threshold__isnull=True) | Q(threshold__gte=0)) & Q(minimum__gte=0),
                name="fund_policy_not_negative",
            ),
            models.CheckConstraint(condition=Q(approval_hours__gte=1), name="fund_policy_waits"),
            models.UniqueConstraint(fields=["group"], name="fund_policy_once", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return f"fund policy of {self.whose}"

    @property
    def whose(self) -> str:
        """The group, or the house."""
        return "the house" if self.group is None else str(self.group)

    @property
    def currency(self) -> str:
        """The group's currency; the house's policy counts in the currency of each account."""
        return "" if self.group is None else self.group.currency


class FundOperation(models.Model):
    """
    One deposit, withdrawal, adjustment or credit that a client or a member of staff asked for. Its content
    never changes; once posted, rejected or canceled nothing does.
    """

    class Kind(models.TextChoices):
        DEPOSIT = BalanceKind.DEPOSIT.value, "Deposit"
        WITHDRAWAL = BalanceKind.WITHDRAWAL.value, "Withdrawal"
        ADJUSTMENT = BalanceKind.ADJUSTMENT.value, "Adjustment"
        CREDIT = BalanceKind.CREDIT.value, "Credit"

    class Status(models.TextChoices):
        REQUESTED = operations.Status.REQUESTED.value, "Requested"
        APPROVED = operations.Status.APPROVED.value, "Approved by one"
        POSTED = operations.Status.POSTED.value, "Posted"
        REJECTED = operations.Status.REJECTED.value, "Rejected"
        CANCELED = operations.Status.CANCELED.value, "Canceled"

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="fund_operations")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    amount = ExactDecimalField(help_text="As the client's balance sees it: a withdrawal is negative.")
    currency = models.CharField(max_length=8)
    reference = models.CharField(max_length=64, help_text="Booked once per account.")
    comment = models.CharField(max_length=64, blank=True, help_text="Stands on the client's statement.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.REQUESTED)
    by_client = models.BooleanField("asked for by the client", default=False)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    reason = models.CharField(max_length=400, blank=True, help_text="Of the staff who asked.")
    approval = models.ForeignKey(Approval, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    event_seq = models.BigIntegerField(null=True, blank=True, help_text="Its event in the account's journal.")
    decided_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    reject_reason = models.CharField(max_length=32, blank=True)
    message = models.CharField(max_length=200, blank=True, help_text="What the client is told about it.")
    is_waiting = models.GeneratedField(
        expression=Case(When(status__in=OPEN, then=Value(True)), default=Value(False)),
        output_field=models.BooleanField(),
        db_persist=True,
    )

    class Meta:
        ordering = ["-is_waiting", "-id"]
        permissions = [
            ("request_fundoperation", "Can ask for fund operations on behalf of clients"),
            ("post_fundoperation", "Can post fund operations and decide requests"),
            ("approve_fundoperation", "Can be the second person of a fund operation"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="deposit", amount__gt=0)
                | Q(kind="withdrawal", amount__lt=0)
                | (Q(kind__in=["adjustment", "credit"]) & ~Q(amount=0)),
                name="fund_operation_sign",
            ),
            models.CheckConstraint(
                condition=~Q(status="posted") | Q(event_seq__isnull=False, decided_at__isnull=False),
                name="fund_operation_posted_has_event",
            ),
            models.UniqueConstraint(
                fields=["account", "reference"],
                condition=Q(status__in=[*OPEN, "posted"]),
                name="fund_operation_reference",
            ),
        ]
        indexes = [
            models.Index(fields=["-is_waiting", "-id"], name="fund_operation_queue"),
            models.Index(fields=["account", "-id"], name="fund_operation_by_account"),
            models.Index(fields=["reference"], name="fund_operation_by_reference"),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="fund_operation_kept",
                when=pgtrigger.Before,
                operation=pgtrigger.Update | pgtrigger.Delete,
                func=KEPT,
            ),
            pgtrigger.Trigger(
                name="fund_operation_whole",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'fund operations are kept';",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"

    @property
    def asked(self) -> operations.Asked:
        """What shall be booked."""
        return operations.Asked(
            account_id=self.account_id,
            kind=BalanceKind(self.kind),
            amount=self.amount,
            reference=self.reference,
            comment=self.comment,
        )


class FundStep(models.Model):
    """One thing that happened to an operation. Append-only: together they are its timeline."""

    class Kind(models.TextChoices):
        REQUESTED = "requested", "Requested"
        APPROVED = "approved", "Waits for a second person"
        POSTED = "posted", "Posted"
        REFUSED = "refused", "Refused by the account's book"
        REJECTED = "rejected", "Rejected"
        CANCELED = "canceled", "Canceled"
        EXPIRED = "expired", "Nobody decided in time"

    operation = models.ForeignKey(FundOperation, on_delete=models.PROTECT, related_name="steps")
    at = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    actor = models.CharField(max_length=80)
    reason = models.CharField(max_length=400, blank=True)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["id"]
        triggers = append_only("fund_step_append_only")

    def __str__(self) -> str:
        return f"{self.operation}: {self.kind}"
