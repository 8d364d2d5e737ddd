"""Imports of clients and accounts from a file: what was asked for, how far it is, and what failed."""

from django.db import models

from apps.accounts.models.users import User
from rtx.kernel import encryption


class ImportRun(models.Model):
    """
    One file of clients and accounts. The file is sealed under the master key and dropped when all rows were
    taken. `next_row` moves in the transaction of each portion: no row is taken twice.
    """

    class Status(models.TextChoices):
        CHECKED = "checked", "Checked"
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        CANCELED = "canceled", "Canceled"

    started_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.CHECKED)
    reason = models.CharField(max_length=200, blank=True)
    rows = models.PositiveIntegerField(default=0)
    next_row = models.PositiveIntegerField(default=0)
    opened = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    file_sealed = models.BinaryField(default=b"", editable=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        permissions = [("run_importrun", "Can import clients and accounts")]

    def __str__(self) -> str:
        return f"import {self.pk}"

    def seal(self, content: bytes) -> None:
        """Keep the file's bytes, sealed."""
        self.file_sealed = encryption.master_keys().seal(content, associated=self._place())

    def unseal(self) -> bytes:
        """Return the file's bytes; empty when it was dropped."""
        sealed = bytes(self.file_sealed)
        return encryption.master_keys().open(sealed, associated=self._place()) if sealed else b""

    def _place(self) -> bytes:
        return encryption.associated_data(table="accounts_importrun", column="file_sealed", pk=self.pk)


class ImportFailure(models.Model):
    """A row that could not be taken: which, why, and (sealed) what stood in it."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="failures")
    row = models.PositiveIntegerField(help_text="Line of the file; the header is 1.")
    reason = models.CharField(max_length=300)
    cells_sealed = models.BinaryField(editable=False)

    class Meta:
        ordering = ["run", "row"]

    def __str__(self) -> str:
        return f"row {self.row} of {self.run}"

    def place(self) -> bytes:
        """Return what binds the cells to their row."""
        return encryption.associated_data(
            table="accounts_importfailure", column=str(self.row), pk=self.run_id
        )
