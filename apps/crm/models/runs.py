"""Runs of the sync, what became of each customer, and every call that was made. No personal data here."""

from django.db import models
from django.db.models import Q

from apps.crm.models.connections import Connection
from apps.crm.models.links import Link


class SyncRun(models.Model):
    """
    One pass over a connection's customers. `cursor` moves in the transaction of each batch's results: a run
    that is cut off goes on behind its last batch. A worker holds it until `claimed_until`.
    """

    class Kind(models.TextChoices):
        FULL = "full", "Full"
        INCREMENTAL = "incremental", "Incremental"
        PREVIEW = "preview", "Dry run"

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        CANCELED = "canceled", "Canceled"
        FAILED = "failed", "Failed"

    LIVE = ("queued", "running")

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    phase = models.CharField(max_length=16, blank=True, help_text="What it is at: pull, push, accounts.")
    cursor: models.JSONField = models.JSONField(default=dict)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    pulled = models.PositiveIntegerField(default=0)
    conflicts = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    calls = models.PositiveIntegerField(default=0)
    is_cancel_asked = models.BooleanField(default=False)
    asked_by = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True)
    waits_until = models.DateTimeField(null=True, blank=True, help_text="A limit or the breaker holds it.")
    error_code = models.CharField(max_length=40, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "sync run"
        constraints = [
            models.UniqueConstraint(
                fields=["connection"], condition=Q(status__in=["queued", "running"]), name="crm_run_one_live"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display().lower()} run {self.pk}"


class SyncEntry(models.Model):
    """What became of one customer once: the sync log. Names fields, never values."""

    class Direction(models.TextChoices):
        PUSH = "push", "RTX to CRM"
        PULL = "pull", "CRM to RTX"

    class Action(models.TextChoices):
        CREATED = "created", "Created"
        UPDATED = "updated", "Updated"
        ADOPTED = "adopted", "Joined to an existing record"
        CONFLICT = "conflict", "Both had changed"
        FAILED = "failed", "Failed"
        GONE = "gone", "Deleted there"
        ERASED = "erased", "Erased there"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(SyncRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="entries")
    link = models.ForeignKey(Link, null=True, blank=True, on_delete=models.SET_NULL, related_name="entries")
    direction = models.CharField(max_length=4, choices=Direction.choices)
    action = models.CharField(max_length=8, choices=Action.choices)
    cause = models.CharField(max_length=12, help_text="run, change, webhook or replay.")
    fields: models.JSONField = models.JSONField(default=list, help_text="Names of what was written.")
    error_code = models.CharField(max_length=40, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "sync log entry"
        verbose_name_plural = "sync log"

    def __str__(self) -> str:
        return f"{self.action} {self.pk}"


class Exchange(models.Model):
    """One call to a provider: what was asked and how it ended; no content."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(SyncRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    operation = models.CharField(max_length=24)
    object_name = models.CharField(max_length=80, blank=True)
    is_write = models.BooleanField()
    records = models.PositiveIntegerField(default=0)
    status_code = models.PositiveSmallIntegerField(null=True, help_text="Empty: no answer came.")
    error_code = models.CharField(max_length=40, blank=True)
    provider_request_id = models.CharField(max_length=80, blank=True)
    took_ms = models.PositiveIntegerField()
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "call to a CRM"
        verbose_name_plural = "calls to CRMs"

    def __str__(self) -> str:
        return f"{self.operation} {self.pk}"
