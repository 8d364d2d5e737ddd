"""
What waits for a second person. The database itself keeps the rules: the content never changes, whoever asked
is never who decides, nothing is carried out without a person or after its time.
"""

import uuid

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q

CONTENT_BOUND = """
    IF NEW.status <> 'pending' OR NEW.checker_id IS NOT NULL OR NEW.checked_at IS NOT NULL THEN
        RAISE EXCEPTION 'an approval begins pending';
    END IF;
    IF NEW.content_hash <> encode(sha256(convert_to(NEW.content, 'UTF8')), 'hex') THEN
        RAISE EXCEPTION 'the hash of an approval is not that of its content';
    END IF;
    RETURN NEW;
"""
DECIDED_ONCE = """
    IF OLD.status <> 'pending' OR NEW.status = 'pending' THEN
        RAISE EXCEPTION 'approval % is %: it changes once, by being decided', OLD.id, OLD.status;
    END IF;
    IF (OLD.id, OLD.kind, OLD.content, OLD.content_hash, OLD.maker_id, OLD.maker, OLD.created_at,
        OLD.expires_at, OLD.summary, OLD.reason, OLD.group_id, OLD.account_id)
       IS DISTINCT FROM
       (NEW.id, NEW.kind, NEW.content, NEW.content_hash, NEW.maker_id, NEW.maker, NEW.created_at,
        NEW.expires_at, NEW.summary, NEW.reason, NEW.group_id, NEW.account_id) THEN
        RAISE EXCEPTION 'the content of approval % cannot change', OLD.id;
    END IF;
    IF NEW.status IN ('executed', 'refused') AND OLD.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'approval % has expired', OLD.id;
    END IF;
    RETURN NEW;
"""


class Approval(models.Model):
    """One operation that a member of staff asked for and another one must let happen."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        EXECUTED = "executed", "Approved and carried out"
        REFUSED = "refused", "Approved, but could not be carried out"
        REJECTED = "rejected", "Rejected"
        CANCELED = "canceled", "Taken back"
        EXPIRED = "expired", "Expired"

    DECIDED_BY_CHECKER = ("executed", "refused", "rejected")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40, db_index=True, help_text="Names the handler, such as funds.post.")
    content = models.TextField(help_text="What is to be done, as canonical JSON; never changes.")
    content_hash = models.CharField(max_length=64, help_text="SHA-256 of the content, in hex.")
    summary = models.CharField(max_length=300)
    group_id = models.BigIntegerField(null=True, blank=True)
    account_id = models.BigIntegerField(null=True, blank=True, db_index=True)
    maker_id = models.BigIntegerField(help_text="The user who asked.")
    maker = models.CharField(max_length=80)
    reason = models.CharField(max_length=400)
    created_at = models.DateTimeField(db_index=True)
    expires_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    checker_id = models.BigIntegerField(null=True, blank=True, help_text="The user who decided.")
    checker = models.CharField(max_length=80, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    check_reason = models.CharField(max_length=400, blank=True)
    outcome = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        ordering = ["-created_at"]
        permissions = [
            ("decide_approval", "Can decide what waits for a second person"),
            ("cancel_approval", "Can take back what they asked for"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(checker_id__isnull=True) | ~Q(checker_id=F("maker_id")),
                name="approval_needs_another_person",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("executed", "refused", "rejected"))
                | Q(checker_id__isnull=False, checked_at__isnull=False),
                name="approval_needs_a_checker",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="approval_lasts_some_time"
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], name="approval_pending", condition=models.Q(status="pending")
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="approval_content_bound",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=CONTENT_BOUND,
            ),
            pgtrigger.Trigger(
                name="approval_decided_once",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                func=DECIDED_ONCE,
            ),
            pgtrigger.Trigger(
                name="approval_kept",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Delete | pgtrigger.Truncate,
                func="RAISE EXCEPTION 'approvals are kept';",
            ),
        ]

    def __str__(self) -> str:
        return str(self.summary)
