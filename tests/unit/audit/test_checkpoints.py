"""A checkpoint's signed text and its file: read back as written, and nothing believed that is not signed."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from apps.audit.domain import entries
from apps.audit.domain.checkpoints import NO_PREVIOUS, Body, Malformed, Sealed, from_file, to_file
from apps.audit.domain.signing import SigningKey, is_signed, public_keys

KEY = SigningKey("house", bytes(range(32)))
KEYS = {"house": KEY.public}
NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, UTC)
RECORDS = entries.record_of(b"1\t1\t0\t0\t0\tx") + entries.record_of(b"1\t2\t0\t0\t0\ty")
BODY = Body(
    log="journal",
    number=2,
    form=1,
    tree_size=6,
    count=2,
    root=bytes(range(32)),
    previous=NO_PREVIOUS,
    first=(1, 1),
    last=(1, 2),
    entries=sha256(RECORDS).digest(),
    horizon_at=NOON,
    signed_at=NOON,
    key_id="house",
)
SEALED = Sealed(body=BODY, signature=KEY.sign(BODY.text()), records=RECORDS)


def test_the_signed_text_is_one_value_a_line() -> None:
    lines = BODY.text().decode().splitlines()

    assert lines[:4] == ["rtx-audit-checkpoint 1", "log journal", "number 2", "form 1"]
    assert lines[-2:] == ["signed_at 2026-11-20T12:00:00.123456+00:00", "key_id house"]


def test_a_file_is_read_as_it_was_written() -> None:
    read = from_file(to_file(SEALED), source="x")

    assert (read.body, read.signature, read.records, read.source) == (
        SEALED.body,
        SEALED.signature,
        RECORDS,
        "x",
    )
    assert read.fault(KEYS) == ""
    assert read.start == 4


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (replace(SEALED, records=RECORDS[:80]), "its list of entries is not the one that was signed"),
        (replace(SEALED, body=replace(BODY, tree_size=7)), "it does not bear the signature of key house"),
        (replace(SEALED, signature=bytes(64)), "it does not bear the signature of key house"),
        (replace(SEALED, body=replace(BODY, key_id="other")), "its signing key other is unknown here"),
    ],
)
def test_what_was_changed_proves_nothing(changed: Sealed, fault: str) -> None:
    assert changed.fault(KEYS) == fault


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        to_file(SEALED)[:200],
        to_file(SEALED).replace(b"rtx-audit-checkpoint 1", b"rtx-audit-checkpoint 2"),
        to_file(SEALED).replace(b"number 2", b"number two"),
        to_file(SEALED).replace(b"log journal\n", b""),
        to_file(SEALED).replace(b"signature ", b"signed "),
        b"\xff" + to_file(SEALED),
    ],
)
def test_a_file_of_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(Malformed):
        from_file(content, source="x")


@pytest.mark.parametrize(
    "text", ["", "house", "house:short", "house:!!!!", "ho use:" + "A" * 43 + "=", ":" + "A" * 43 + "="]
)
def test_a_key_of_another_form_is_refused_without_telling_it(text: str) -> None:
    with pytest.raises(ValueError, match="key") as refused:
        SigningKey.parsed(text)
    assert "AAAA" not in str(refused.value)


def test_one_id_names_one_key() -> None:
    other = SigningKey("house", bytes(32))

    assert public_keys([KEY.public_text, KEY.public_text]) == KEYS
    with pytest.raises(ValueError, match="two public keys house"):
        public_keys([KEY.public_text, other.public_text])
    assert not is_signed(b"x", signature=KEY.sign(b"x"), key_id="nobody", keys=KEYS)
