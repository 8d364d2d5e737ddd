"""
The codes that an authenticator app would show for the demo's staff (RFC 6238): for people without a phone at
hand, for scripts and for tests.
"""

from __future__ import annotations

import base64
import hmac
import json
import struct
import time
from pathlib import Path

from rtx.local.home import LocalError

PERIOD_S = 30
DIGITS = 6


def code_at(secret: str, *, at_s: float | None = None) -> str:
    """Return the code of a secret (base32) at an instant in epoch seconds; without one: now."""
    counter = int(time.time() if at_s is None else at_s) // PERIOD_S
    padded = secret + "=" * (-len(secret) % 8)
    digest = hmac.digest(base64.b32decode(padded, casefold=True), struct.pack(">Q", counter), "sha1")
    offset = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def code_of(demo_file: Path, who: str) -> str:
    """
    Return the present code of a member of the demo's staff, named by e-mail or role.

    :raises LocalError: the file or the person is not there.
    """
    if not demo_file.exists():
        raise LocalError(f"{demo_file} is missing: start the demo broker with `make run` first")
    staff = json.loads(demo_file.read_text(encoding="utf-8"))["staff"]
    for one in staff:
        if who in (one["email"], one["role"]) and one.get("totp_secret"):
            return code_at(one["totp_secret"])
    raise LocalError(f"there is no {who} in {demo_file}; there are {', '.join(o['email'] for o in staff)}")
