"""Checkpoints of sealed logs, append-only, and the checks that were made of them."""

from django.db import models

from apps.audit.domain.checkpoints import Body, Sealed
from rtx.kernel.append_only import append_only


class Checkpoint(models.Model):
    """
    The signed state of a log's Merkle tree after one batch, with what is kept of the batch's entries.

    `peaks` are the roots of the perfect trees that the tree is made of: all that the next batch needs.
    """

    log = models.CharField(max_length=32)
    number = models.BigIntegerField(help_text="Counts the checkpoints of one log from 1.")
    form = models.PositiveSmallIntegerField(help_text="Which list of columns the entries' bytes are made of.")
    tree_size = models.BigIntegerField()
    count = models.PositiveIntegerField()
    root = models.BinaryField(max_length=32)
    peaks = models.BinaryField()
    previous = models.BinaryField(max_length=32)
    first_xact = models.BigIntegerField()
    first_id = models.BigIntegerField()
    last_xact = models.BigIntegerField()
    last_id = models.BigIntegerField()
    entries_hash = models.BinaryField(max_length=32)
    records = models.BinaryField()
    horizon_at = models.DateTimeField(help_text="What settled before is in this checkpoint or earlier ones.")
    signed_at = models.DateTimeField()
    key_id = models.CharField(max_length=32)
    signature = models.BinaryField(max_length=64)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["log", "number"], name="checkpoint_number_unique")]
        triggers = append_only("checkpoint_append_only")
        permissions = [("verify_checkpoint", "Can have the sealed logs verified")]

    def __str__(self) -> str:
        return f"{self.log} #{self.number}"

    @property
    def body(self) -> Body:
        """What was signed."""
        return Body(
            log=self.log,
            number=self.number,
            form=self.form,
            tree_size=self.tree_size,
            count=self.count,
            root=bytes(self.root),
            previous=bytes(self.previous),
            first=(self.first_xact, self.first_id),
            last=(self.last_xact, self.last_id),
            entries=bytes(self.entries_hash),
            horizon_at=self.horizon_at,
            signed_at=self.signed_at,
            key_id=self.key_id,
        )

    @property
    def sealed(self) -> Sealed:
        """The checkpoint with its batch."""
        return Sealed(body=self.body, signature=bytes(self.signature), records=bytes(self.records))


class SealStatus(models.Model):
    """How the last sealing of a log went, and how far the storage outside is; written at every sealing."""

    log = models.CharField(max_length=32, primary_key=True)
    at = models.DateTimeField(help_text="When it was tried last.")
    problem = models.CharField(max_length=400, blank=True, help_text="Why it is not sealed; empty: it is.")
    outside_number = models.BigIntegerField(default=0, help_text="The highest checkpoint outside.")
    outside_root = models.CharField(max_length=64, blank=True)
    outside_at = models.DateTimeField(null=True, help_text="When that was seen last.")
    outside_problem = models.CharField(max_length=400, blank=True, help_text="Why nothing is given out.")

    class Meta:
        ordering = ["log"]
        verbose_name_plural = "seal status"

    def __str__(self) -> str:
        return self.log


class IntegrityCheck(models.Model):
    """One verification of the sealed logs: how far it is, and what it found."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        INTACT = "intact", "Intact"
        TAMPERED = "tampered", "Tampered with"
        FAILED = "failed", "Not finished"

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.RUNNING)
    asked_by = models.CharField(max_length=80, help_text="Who asked for it: a user, or the schedule.")
    done = models.BigIntegerField(default=0, help_text="Entries verified so far.")
    total = models.BigIntegerField(default=0)
    logs = models.JSONField(default=list, help_text="Head and result of each log.")
    findings = models.JSONField(default=list)
    detail = models.CharField(max_length=400, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"check {self.pk}"
