"""
Ed25519 keys of the seal: their text forms, signing and checking. Keeps no key; the private one lives outside
the database.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES = 32


def _parsed(text: str) -> tuple[str, bytes]:
    key_id, separator, encoded = text.partition(":")
    if not separator or not key_id.isascii() or not key_id.replace("-", "").isalnum() or len(key_id) > 32:
        raise ValueError("a key is `id:base64 of 32 bytes`, the id of letters, digits and dashes")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"key {key_id} is not base64") from error
    if len(raw) != KEY_BYTES:
        raise ValueError(f"key {key_id} has not 32 bytes")
    return key_id, raw


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its id."""

    id: str
    seed: bytes = field(repr=False)

    @classmethod
    def parsed(cls, text: str) -> "SigningKey":
        """
        Read `id:base64 of 32 bytes`.

        :raises ValueError: it is not of that form; never tells the key.
        """
        return cls(*_parsed(text))

    def sign(self, data: bytes) -> bytes:
        """Return the signature of some bytes; the same bytes have the same signature."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(data)

    @property
    def public(self) -> bytes:
        """The raw public key."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    @property
    def public_text(self) -> str:
        """The public key as the settings write it."""
        return f"{self.id}:{base64.b64encode(self.public).decode()}"


def public_keys(texts: list[str]) -> dict[str, bytes]:
    """
    Read public keys, `id:base64 of 32 bytes` each.

    :raises ValueError: one is not of that form, or an id is there twice with different keys.
    """
    found: dict[str, bytes] = {}
    for text in texts:
        key_id, raw = _parsed(text)
        if found.setdefault(key_id, raw) != raw:
            raise ValueError(f"there are two public keys {key_id}")
    return found


def is_signed(data: bytes, *, signature: bytes, key_id: str, keys: Mapping[str, bytes]) -> bool:
    """Tell whether the key of this id has signed these bytes; an unknown id has signed nothing."""
    raw = keys.get(key_id)
    if raw is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
    except InvalidSignature:
        return False
    return True
