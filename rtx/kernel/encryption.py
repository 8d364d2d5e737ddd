"""
Encryption at rest (AES-256-GCM) and keyed search hashes. Knows keys and bytes, no models and no business
rule.

A sealed value is `<key id>:<12 byte nonce><ciphertext and tag>`. The associated data names table, column and
row, so that a value copied to another place does not open there.
"""

import base64
import hashlib
import hmac
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

KEY_BYTES = 32
NONCE_BYTES = 12
SEARCH_HASH_CHARS = 32
DATA_KEY_ID = "1"
_KEY_ID = re.compile(r"^[A-Za-z0-9_-]{1,32}$")


class DecryptionFailed(Exception):
    """A sealed value does not open: unknown key, damaged bytes, or bytes that belong to another place."""


def associated_data(*, table: str, column: str, pk: object) -> bytes:
    """Return what binds a sealed value to its place."""
    return f"{table}.{column}.{pk}".encode()


def parse_keys(entries: Sequence[str]) -> dict[str, bytes]:
    """
    Read `id:base64(32 bytes)` entries, newest first, keeping their order.

    :raises ValueError: an entry is malformed, repeats an id, or is not 256 bits long.
    """
    keys: dict[str, bytes] = {}
    for entry in entries:
        key_id, separator, encoded = entry.partition(":")
        if not separator or not _KEY_ID.match(key_id):
            raise ValueError("a key has the form id:base64 with an id of letters, digits, - and _")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError as error:
            raise ValueError(f"key {key_id} is not base64") from error
        if len(key) != KEY_BYTES:
            raise ValueError(f"key {key_id} has {len(key)} bytes, 32 are needed")
        if key_id in keys:
            raise ValueError(f"key id {key_id} appears twice")
        keys[key_id] = key
    return keys


@dataclass(frozen=True, repr=False)
class KeyRing:
    """Keys by id. The first one seals, all of them open."""

    keys: Mapping[str, bytes]

    def seal(self, plaintext: bytes, *, associated: bytes) -> bytes:
        """Encrypt with the newest key under a fresh nonce."""
        key_id, key = next(iter(self.keys.items()))
        nonce = os.urandom(NONCE_BYTES)
        return key_id.encode() + b":" + nonce + AESGCM(key).encrypt(nonce, plaintext, associated)

    def open(self, sealed: bytes, *, associated: bytes) -> bytes:
        """
        Decrypt a sealed value.

        :raises DecryptionFailed: unknown key id, damaged value, or other associated data.
        """
        key_id, separator, body = bytes(sealed).partition(b":")
        key = self.keys.get(key_id.decode("ascii", "replace"))
        if not separator or key is None:
            raise DecryptionFailed("the value was sealed with a key that is not configured")
        try:
            return AESGCM(key).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], associated)
        except (InvalidTag, ValueError) as error:
            raise DecryptionFailed("the value is damaged or belongs to another place") from error

    def is_newest(self, sealed: bytes) -> bool:
        """Tell whether a value was sealed with the newest key."""
        return sealed.partition(b":")[0].decode("ascii", "replace") == next(iter(self.keys))


@lru_cache(maxsize=8)
def _ring(entries: tuple[str, ...]) -> KeyRing:
    keys = parse_keys(entries)
    if not keys:
        raise ValueError("RTX_ENCRYPTION_KEYS is empty")
    return KeyRing(keys)


def master_keys() -> KeyRing:
    """Return the ring of the configured master keys. Raises ValueError when none is usable."""
    return _ring(tuple(settings.ENCRYPTION_KEYS))


def new_data_key() -> bytes:
    """Return a fresh 256-bit key for one client's data."""
    return AESGCM.generate_key(bit_length=256)


def data_ring(data_key: bytes) -> KeyRing:
    """Return the ring of one client's data key."""
    return KeyRing({DATA_KEY_ID: data_key})


def normalized(text: str) -> str:
    """Return the form in which texts are compared: NFKC, case folded, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def search_hash(kind: str, text: str) -> str:
    """Return the keyed hash by which an encrypted text of that kind is found; empty for an empty text."""
    plain = normalized(text)
    if kind == "phone":
        plain = "".join(char for char in plain if char.isdigit())
    if not plain:
        return ""
    message = f"{kind}\0{plain}".encode()
    return hmac.new(settings.SEARCH_HASH_KEY.encode(), message, hashlib.sha256).hexdigest()[
        :SEARCH_HASH_CHARS
    ]
