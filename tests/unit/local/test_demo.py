"""The shape of `.rtx/demo.json`."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from rtx.local import demo
from rtx.local.home import LocalError

LOGINS: dict[str, Any] = {
    "operator": {"email": "o@demo.example", "password": "p1", "totp_secret": "XYZ", "internal": 1},
    "traders": [{"email": "t@demo.example", "password": "p2", "accounts": [100001, 100002]}],
    "staff": [
        {"email": "a@demo.example", "password": "p3", "role": "Auditor"},
        {"email": "d@demo.example", "password": "p4", "role": "Dealer", "totp_secret": "GEZDGNBVGY3TQOJQ"},
    ],
}
DESCRIBED = {
    "web": "http://127.0.0.1:8000",
    "stream": "ws://127.0.0.1:8001/ws",
    "crm": "http://127.0.0.1:8010",
    "operator": {"email": "o@demo.example", "password": "p1", "totp_secret": "XYZ"},
    "traders": [{"email": "t@demo.example", "password": "p2", "accounts": [100001, 100002]}],
    "staff": [
        {"email": "a@demo.example", "password": "p3", "role": "Auditor"},
        {"email": "d@demo.example", "password": "p4", "role": "Dealer", "totp_secret": "GEZDGNBVGY3TQOJQ"},
    ],
}


def test_addresses_and_logins_are_put_together() -> None:
    described = demo.describe(
        web_url=DESCRIBED["web"],  # type: ignore[arg-type]
        stream_url=DESCRIBED["stream"],  # type: ignore[arg-type]
        crm_url=DESCRIBED["crm"],  # type: ignore[arg-type]
        logins=LOGINS,
    )

    assert described == DESCRIBED


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    logins = tmp_path / "demo-logins.json"
    logins.write_text(json.dumps(LOGINS))
    path = tmp_path / "demo.json"

    demo.write(
        path,
        web_url="http://127.0.0.1:8000",
        stream_url="ws://127.0.0.1:8001/ws",
        crm_url="http://127.0.0.1:8010",
        logins_file=logins,
    )

    assert json.loads(path.read_text()) == DESCRIBED
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("missing", ["operator", "traders", "staff"])
def test_incomplete_logins_are_an_error_not_half_a_file(missing: str) -> None:
    logins = {name: value for name, value in LOGINS.items() if name != missing}

    with pytest.raises(LocalError, match=missing):
        demo.describe(web_url="", stream_url="", crm_url="", logins=logins)


def test_lost_logins_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="make clean"):
        demo.write(
            tmp_path / "demo.json",
            web_url="",
            stream_url="",
            crm_url="",
            logins_file=tmp_path / "absent.json",
        )
