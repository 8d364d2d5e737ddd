"""
A checkpoint: what is signed about a log at a size of its tree, and the file in which it leaves the house.

The signed text says everything that a checkpoint claims, one `name value` a line; nothing else is believed.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import sha256

from apps.audit.domain.entries import RECORD_BYTES
from apps.audit.domain.merkle import HASH_BYTES
from apps.audit.domain.signing import is_signed

TITLE = "rtx-audit-checkpoint 1"
NO_PREVIOUS = bytes(HASH_BYTES)
LINE_CHARS = 120


class Malformed(ValueError):
    """A file or a row is no checkpoint of this form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What is signed. `first` and `last` are (xact, id); `entries` is the hash of the batch's records."""

    log: str
    number: int
    form: int
    tree_size: int
    count: int
    root: bytes
    previous: bytes
    first: tuple[int, int]
    last: tuple[int, int]
    entries: bytes
    horizon_at: datetime
    signed_at: datetime
    key_id: str

    def text(self) -> bytes:
        """Return the signed bytes."""
        lines = [TITLE]
        lines += [f"{one.name} {_shown(getattr(self, one.name))}" for one in fields(self)]
        return ("\n".join(lines) + "\n").encode()

    def hash(self) -> bytes:
        """Return what the next checkpoint names as its previous one."""
        return sha256(self.text()).digest()


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return f"{value[0]} {value[1]}"
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A checkpoint with its signature and the records of its batch, from the database or from a file."""

    body: Body
    signature: bytes
    records: bytes = field(repr=False)
    source: str = "database"

    @property
    def start(self) -> int:
        """How many entries the tree had before."""
        return self.body.tree_size - self.body.count

    def fault(self, keys: Mapping[str, bytes]) -> str:
        """Say why this checkpoint proves nothing; empty: it is signed and whole."""
        body = self.body
        if len(self.records) != body.count * RECORD_BYTES or sha256(self.records).digest() != body.entries:
            return "its list of entries is not the one that was signed"
        if body.key_id not in keys:
            return f"its signing key {body.key_id} is unknown here"
        if not is_signed(body.text(), signature=self.signature, key_id=body.key_id, keys=keys):
            return f"it does not bear the signature of key {body.key_id}"
        return ""


def to_file(sealed: Sealed) -> bytes:
    """Return a checkpoint as the file that leaves the house."""
    encoded = base64.b64encode(sealed.records).decode()
    lines = [encoded[start : start + LINE_CHARS] for start in range(0, len(encoded), LINE_CHARS)]
    signature = base64.b64encode(sealed.signature).decode()
    return sealed.body.text() + "\n".join(["", f"signature {signature}", "", *lines, ""]).encode()


def from_file(content: bytes, *, source: str) -> Sealed:
    """
    Read a checkpoint's file. Its signature is not checked here.

    :raises Malformed: it is no such file.
    """
    try:
        told, signature, encoded = content.decode("ascii").split("\n\n", 2)
        title, *lines = told.split("\n")
        given = dict(line.split(" ", 1) for line in lines)
        name, _, signed = signature.partition(" ")
        if title != TITLE or name != "signature":
            raise Malformed(f"{source} is no checkpoint of this form")
        return Sealed(
            body=_body(given),
            signature=base64.b64decode(signed, validate=True),
            records=base64.b64decode(encoded.replace("\n", ""), validate=True),
            source=source,
        )
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise Malformed(f"{source} is no checkpoint of this form") from error


def body_of(told: bytes, *, source: str) -> Body:
    """
    Read the signed text alone: what stands before the first blank line of a file.

    :raises Malformed: it is no such text.
    """
    try:
        title, *lines = told.decode("ascii").strip("\n").split("\n")
        if title != TITLE:
            raise Malformed(f"{source} is no checkpoint of this form")
        return _body(dict(line.split(" ", 1) for line in lines))
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed(f"{source} is no checkpoint of this form") from error


def _body(given: dict[str, str]) -> Body:
    if list(given) != [one.name for one in fields(Body)]:
        raise Malformed("other names than a checkpoint has")
    first, last = (tuple(map(int, given[name].split(" "))) for name in ("first", "last"))
    return Body(
        log=given["log"],
        number=int(given["number"]),
        form=int(given["form"]),
        tree_size=int(given["tree_size"]),
        count=int(given["count"]),
        root=bytes.fromhex(given["root"]),
        previous=bytes.fromhex(given["previous"]),
        first=(first[0], first[1]),
        last=(last[0], last[1]),
        entries=bytes.fromhex(given["entries"]),
        horizon_at=datetime.fromisoformat(given["horizon_at"]),
        signed_at=datetime.fromisoformat(given["signed_at"]),
        key_id=given["key_id"],
    )
