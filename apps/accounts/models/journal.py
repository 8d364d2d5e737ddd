"""The journal and the ledger: append-only, enforced by triggers and by what the application's role may do."""

import pgtrigger
from django.db import models

from apps.accounts.models.accounts import TradingAccount
from rtx.kernel.append_only import CurrentTransactionId, append_only
from rtx.kernel.fields import ExactDecimalField, TransactionIdField


class AccountEvent(models.Model):
    """
    One change of one account, in the account's own order (`seq`), with everything needed to derive it again.
    """

    account = models.ForeignKey(
        TradingAccount, on_delete=models.PROTECT, related_name="events", db_index=False
    )
    seq = models.BigIntegerField()
    type = models.CharField(max_length=32)
    at = models.DateTimeField(db_index=True)
    command_id = models.UUIDField(unique=True)
    fingerprint = models.CharField(max_length=32, help_text="Hash of the command's content.")
    actor = models.CharField(max_length=80)
    request_id = models.CharField(max_length=64, blank=True)
    payload = models.JSONField()
    xact = TransactionIdField(db_default=CurrentTransactionId(), editable=False)

    class Meta:
        ordering = ["account", "seq"]
        constraints = [models.UniqueConstraint(fields=["account", "seq"], name="event_seq_unique")]
        indexes = [
            models.Index(fields=["xact", "id"], name="event_by_transaction"),
            models.Index(  # what was paid in and out, found without a look at orders
                fields=["account", "seq"],
                name="event_money_by_account",
                condition=models.Q(type="balance_changed"),
            ),
            models.Index(fields=["type"], name="event_by_type"),  # staff look for rare ones; see 0009
        ]
        triggers = append_only("event_append_only")

    def __str__(self) -> str:
        return f"{self.account}#{self.seq} {self.type}"


class LedgerLine(models.Model):
    """
    One side of a money movement. The lines of one event add up to zero: a trigger refuses anything else.
    """

    class Ledger(models.TextChoices):
        CLIENT = "client", "Client funds"
        CREDIT = "credit", "Client credit"
        CASH = "cash", "Cash received and paid"
        CREDIT_GRANTED = "credit_granted", "Credit granted"
        BBOOK = "bbook", "B-book profit"
        COMMISSION = "commission", "Commission"
        SWAP = "swap", "Swap"
        MARKUP = "markup", "Markup"
        COMPENSATION = "compensation", "Compensation"

    event = models.ForeignKey(AccountEvent, on_delete=models.PROTECT, related_name="lines")
    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="ledger_lines")
    ledger = models.CharField(max_length=16, choices=Ledger.choices)
    amount = ExactDecimalField(help_text="Positive: the ledger owns more.")
    currency = models.CharField(max_length=8)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["ledger", "at"], name="ledger_line_by_day"),
        ]
        triggers = [
            *append_only("ledger_append_only"),
            pgtrigger.Trigger(
                name="ledger_balanced",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                referencing=pgtrigger.Referencing(new="new_lines"),
                declare=[("unbalanced", "bigint")],
                func="""
                    SELECT event_id INTO unbalanced FROM new_lines
                    GROUP BY event_id, currency HAVING sum(amount) <> 0 LIMIT 1;
                    IF FOUND THEN
                        RAISE EXCEPTION 'ledger lines of event % do not add up to zero', unbalanced;
                    END IF;
                    RETURN NULL;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ledger} {self.amount} {self.currency}"
