"""
The check of a client's identity: reviews that wait or were decided, and documents.

A document's content is encrypted under its client's data key and stands in a table of its own, so that no
list ever loads it. It lies in PostgreSQL: it is written, backed up and erased together with its client.
"""

import uuid

from django.db import models
from django.db.models import Q

from apps.accounts.models.clients import Client
from apps.accounts.models.users import User
from rtx.kernel import encryption


class KycReview(models.Model):
    """One round of checking a client. The queue are those without a decision, oldest first."""

    class Decision(models.TextChoices):
        VERIFIED = "verified", "Verified"
        REJECTED = "rejected", "Rejected"

    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="kyc_reviews")
    submitted_at = models.DateTimeField(db_index=True)
    assignee = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="kyc_assigned"
    )
    assigned_at = models.DateTimeField(null=True, blank=True)
    decision = models.CharField(max_length=10, choices=Decision.choices, blank=True, db_index=True)
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="kyc_decided"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(
        max_length=200, blank=True, help_text="Why it was decided so; the client reads it."
    )

    class Meta:
        ordering = ["submitted_at", "id"]
        verbose_name = "KYC review"
        permissions = [("decide_kycreview", "Can take, approve and reject KYC reviews")]
        constraints = [
            models.UniqueConstraint(fields=["client"], condition=Q(decision=""), name="kyc_one_open_review"),
            models.CheckConstraint(
                condition=Q(decision="", decided_at=None, decided_by=None)
                | (~Q(decision="") & Q(decided_at__isnull=False, decided_by__isnull=False)),
                name="kyc_decision_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"KYC review {self.pk}"


class KycDocument(models.Model):
    """One file that proves something about a client. Never changed; its content dies with the client."""

    class Kind(models.TextChoices):
        PASSPORT = "passport", "Passport"
        IDENTITY_CARD = "identity_card", "Identity card"
        DRIVING_LICENSE = "driving_license", "Driving license"
        RESIDENCE_PERMIT = "residence_permit", "Residence permit"
        PROOF_OF_ADDRESS = "proof_of_address", "Proof of address"
        OTHER = "other", "Other"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="kyc_documents")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    country = models.CharField(max_length=2, blank=True, help_text="Issued by: ISO 3166 code.")
    expires_on = models.DateField(null=True, blank=True)
    media_type = models.CharField(max_length=20, editable=False)
    size_bytes = models.PositiveIntegerField(editable=False)
    uploaded_at = models.DateTimeField(editable=False)
    uploaded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", editable=False)

    class Meta:
        ordering = ["-uploaded_at"]
        indexes = [models.Index(fields=["-uploaded_at", "-id"], name="kyc_document_by_time")]
        verbose_name = "KYC document"
        permissions = [("download_kycdocument", "Can open KYC documents")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.client}"


class KycContent(models.Model):
    """The bytes of a document, sealed under the client's data key. Deleted when the client is erased."""

    document = models.OneToOneField(
        KycDocument, primary_key=True, on_delete=models.CASCADE, related_name="content"
    )
    sealed = models.BinaryField()

    def __str__(self) -> str:
        return f"content of {self.document_id}"

    def place(self) -> bytes:
        """Return what binds the content to its row."""
        return encryption.associated_data(table="accounts_kyccontent", column="sealed", pk=self.document_id)
