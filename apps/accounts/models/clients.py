"""
Clients. Personal data is stored encrypted under a key per client; that key is stored wrapped by the master
key.

Dropping a client's data key makes the personal data unreadable for good. Searching works by keyed hashes
only.
"""

import uuid
from datetime import date
from typing import Any

from django.db import models
from django.db.models import Func, Value

from apps.accounts.models.users import User
from rtx.kernel import encryption

NUMBER_SEQUENCE = "accounts_client_number"


def _next_number() -> Func:
    return Func(Value(NUMBER_SEQUENCE), function="nextval", output_field=models.BigIntegerField())


def personal(name: str) -> property:
    """Return the property that reads and writes one encrypted text of a client."""

    def read(client: "Client") -> str:
        return client.read_personal(name)

    def write(client: "Client", value: str) -> None:
        client.write_personal(name, value)

    return property(read, write, doc=f"The client's {name.replace('_', ' ')} in clear.")


class Client(models.Model):
    """A person who trades. The columns ending in `_sealed` hold ciphertext, those in `_hash` keyed hashes."""

    class KycStatus(models.TextChoices):
        NONE = "none", "Not started"
        PENDING = "pending", "Pending"
        VERIFIED = "verified", "Verified"
        REJECTED = "rejected", "Rejected"
        EXPIRED = "expired", "Expired"

    PERSONAL = ("first_name", "last_name", "email", "phone", "address", "birth_date_text", "document_number")
    HASHED = ("last_name", "email", "phone", "document_number")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(User, on_delete=models.PROTECT, related_name="client")
    number = models.BigIntegerField(unique=True, editable=False, db_default=_next_number())
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166 code.")
    kyc_status = models.CharField(
        "KYC status", max_length=10, choices=KycStatus.choices, default=KycStatus.NONE, db_index=True
    )
    kyc_valid_until = models.DateField(
        "KYC valid until",
        null=True,
        blank=True,
        help_text="A verified client must be checked again after it.",
    )
    opened_by = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="clients_opened",
        help_text="Staff who opened the client: they see the client while there is no account yet.",
    )
    created_at = models.DateTimeField(db_index=True)

    data_key = models.BinaryField(
        null=True, editable=False, help_text="The client's key, wrapped by the master key; empty: erased."
    )
    first_name_sealed = models.BinaryField(default=b"", editable=False)
    last_name_sealed = models.BinaryField(default=b"", editable=False)
    email_sealed = models.BinaryField(default=b"", editable=False)
    phone_sealed = models.BinaryField(default=b"", editable=False)
    address_sealed = models.BinaryField(default=b"", editable=False)
    birth_date_text_sealed = models.BinaryField(default=b"", editable=False)
    document_number_sealed = models.BinaryField(default=b"", editable=False)

    last_name_hash = models.CharField(max_length=32, blank=True, editable=False, db_index=True)
    full_name_hash = models.CharField(max_length=32, blank=True, editable=False, db_index=True)
    email_hash = models.CharField(max_length=32, blank=True, editable=False, db_index=True)
    phone_hash = models.CharField(max_length=32, blank=True, editable=False, db_index=True)
    document_number_hash = models.CharField(max_length=32, blank=True, editable=False, db_index=True)

    first_name = personal("first_name")
    last_name = personal("last_name")
    email = personal("email")
    phone = personal("phone")
    address = personal("address")
    birth_date_text = personal("birth_date_text")
    document_number = personal("document_number")

    class Meta:
        ordering = ["number"]
        permissions = [
            ("view_personal_data", "Can see clients' personal data in clear"),
            ("export_client", "Can export clients to a file"),
        ]
        indexes = [
            models.Index(
                fields=["kyc_valid_until"],
                name="client_kyc_valid_until",
                condition=models.Q(kyc_status="verified", kyc_valid_until__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"client {self.number}"

    @property
    def birth_date(self) -> date | None:
        """The client's date of birth, decrypted."""
        text = self.birth_date_text
        return date.fromisoformat(text) if text else None

    @birth_date.setter
    def birth_date(self, value: date | None) -> None:
        self.birth_date_text = value.isoformat() if value else ""

    @property
    def full_name(self) -> str:
        """First and last name, decrypted."""
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def is_erased(self) -> bool:
        """Whether the personal data can no longer be read by anyone."""
        return self.data_key is None and bool(self.email_sealed)

    @property
    def is_newest_key(self) -> bool:
        """Whether the data key is wrapped by the newest master key."""
        return self.data_key is not None and encryption.master_keys().is_newest(bytes(self.data_key))

    def read_personal(self, name: str) -> str:
        """Decrypt one personal text; empty when it was never given or the client was erased."""
        sealed = getattr(self, f"{name}_sealed")
        if not sealed or self.data_key is None:
            return ""
        return self._ring().open(bytes(sealed), associated=self._place(name)).decode()

    def write_personal(self, name: str, value: str) -> None:
        """Encrypt one personal text and renew its search hashes. Saved with the row."""
        text = str(value or "").strip()
        sealed = self._ring().seal(text.encode(), associated=self._place(name)) if text else b""
        setattr(self, f"{name}_sealed", sealed)
        if name in self.HASHED:
            setattr(self, f"{name}_hash", encryption.search_hash(name, text))
        if name in ("first_name", "last_name"):
            self.full_name_hash = encryption.search_hash("full_name", self.full_name)

    def seal_content(self, content: bytes, *, place: bytes) -> bytes:
        """Encrypt bytes that belong to the client, bound to where they are kept."""
        return self._ring().seal(content, associated=place)

    def open_content(self, sealed: bytes, *, place: bytes) -> bytes:
        """
        Decrypt bytes that belong to the client.

        :raises DecryptionFailed: the client was erased, or the bytes are damaged or from another place.
        """
        if self.data_key is None:
            raise encryption.DecryptionFailed("the client was erased")
        return self._ring().open(sealed, associated=place)

    def rewrap(self) -> None:
        """Wrap the data key by the newest master key. The data itself stays as it is."""
        if self.data_key is not None:
            self._wrap(self._unwrapped())

    def _ring(self) -> encryption.KeyRing:
        if self.data_key is None:
            if self.is_erased:
                raise ValueError("an erased client takes no personal data")
            self._wrap(encryption.new_data_key())
        return encryption.data_ring(self._unwrapped())

    def _wrap(self, data_key: bytes) -> None:
        self.data_key = encryption.master_keys().seal(data_key, associated=self._place("data_key"))

    def _unwrapped(self) -> bytes:
        wrapped: Any = self.data_key
        held: tuple[bytes, bytes] | None = self.__dict__.get("_unwrapped_key")
        if held is None or held[0] != bytes(wrapped):
            opened = encryption.master_keys().open(bytes(wrapped), associated=self._place("data_key"))
            held = (bytes(wrapped), opened)
            self.__dict__["_unwrapped_key"] = held
        return held[1]

    def _place(self, column: str) -> bytes:
        return encryption.associated_data(table="accounts_client", column=column, pk=self.pk)
