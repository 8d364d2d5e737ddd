"""Sealing, opening, key rotation and keyed hashes."""

import base64

import pytest

from rtx.kernel import encryption
from rtx.kernel.encryption import DecryptionFailed, KeyRing

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PLACE = encryption.associated_data(table="accounts_client", column="phone", pk=7)


def test_a_sealed_value_opens_in_its_place() -> None:
    ring = KeyRing({"k1": OLD})

    sealed = ring.seal(b"+49 170", associated=PLACE)

    assert ring.open(sealed, associated=PLACE) == b"+49 170"
    assert sealed.startswith(b"k1:")
    assert len(sealed) == len(b"k1:") + 12 + 7 + 16
    assert b"170" not in sealed


def test_sealing_twice_gives_different_values() -> None:
    ring = KeyRing({"k1": OLD})

    assert ring.seal(b"x", associated=PLACE) != ring.seal(b"x", associated=PLACE)


@pytest.mark.parametrize("column", ["email", "phone_"])
def test_a_sealed_value_opens_nowhere_else(column: str) -> None:
    ring = KeyRing({"k1": OLD})
    sealed = ring.seal(b"x", associated=PLACE)
    elsewhere = encryption.associated_data(table="accounts_client", column=column, pk=7)

    with pytest.raises(DecryptionFailed):
        ring.open(sealed, associated=elsewhere)


@pytest.mark.parametrize("position", [0, 3, 14, 20, -1])
def test_a_changed_byte_is_noticed(position: int) -> None:
    ring = KeyRing({"k1": OLD})
    sealed = bytearray(ring.seal(b"some text", associated=PLACE))
    sealed[position] ^= 1

    with pytest.raises(DecryptionFailed):
        ring.open(bytes(sealed), associated=PLACE)


@pytest.mark.parametrize("sealed", [b"", b"k1", b"k1:", b"k1:short", b"k2:" + bytes(40)])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        KeyRing({"k1": OLD}).open(sealed, associated=PLACE)


def test_the_newest_key_seals_and_every_key_opens() -> None:
    sealed = KeyRing({"old": OLD}).seal(b"x", associated=PLACE)
    rotated = KeyRing({"new": NEW, "old": OLD})

    assert rotated.open(sealed, associated=PLACE) == b"x"
    assert rotated.seal(b"x", associated=PLACE).startswith(b"new:")
    with pytest.raises(DecryptionFailed, match="not configured"):
        KeyRing({"new": NEW}).open(sealed, associated=PLACE)


def test_keys_keep_their_order() -> None:
    entries = [f"{name}:{base64.b64encode(key).decode()}" for name, key in (("new", NEW), ("old", OLD))]

    assert list(encryption.parse_keys(entries).items()) == [("new", NEW), ("old", OLD)]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (["nokey"], "form id:base64"),
        ([":" + base64.b64encode(OLD).decode()], "form id:base64"),
        (["a b:" + base64.b64encode(OLD).decode()], "form id:base64"),
        (["k1:%%%"], "not base64"),
        (["k1:" + base64.b64encode(OLD[:31]).decode()], "31 bytes"),
        (["k1:" + base64.b64encode(OLD).decode()] * 2, "twice"),
    ],
)
def test_a_malformed_key_is_named(entries: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encryption.parse_keys(entries)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("last_name", "Müller", "  MÜLLER "),
        ("full_name", "Anna  Maria Roth", "anna maria roth"),
        ("phone", "+49 (170) 555-0123", "49170 5550123"),
        ("last_name", "Stra\u00dfe", "STRASSE"),
    ],
)
def test_equal_texts_have_equal_hashes(kind: str, one: str, other: str) -> None:
    assert encryption.search_hash(kind, one) == encryption.search_hash(kind, other)


def test_kinds_and_texts_are_told_apart() -> None:
    hashes = {
        encryption.search_hash(kind, text) for kind in ("email", "last_name") for text in ("roth", "rot")
    }

    assert len(hashes) == 4
    assert all(len(found) == 32 for found in hashes)


def test_the_hash_depends_on_the_key(settings: object) -> None:
    before = encryption.search_hash("email", "a@b.example")
    settings.SEARCH_HASH_KEY = "another"  # type: ignore[attr-defined]

    assert encryption.search_hash("email", "a@b.example") != before


def test_nothing_has_no_hash() -> None:
    assert encryption.search_hash("phone", " - ") == ""
