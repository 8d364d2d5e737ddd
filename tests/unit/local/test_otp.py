"""Codes of the demo's staff: RFC 6238's own vectors, and whom they are for."""

import json
from pathlib import Path

import pytest

from rtx.local import otp
from rtx.local.home import LocalError

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238, appendix B: "12345678901234567890"


@pytest.mark.parametrize(
    ("at_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(at_s: int, code: str) -> None:
    assert otp.code_at(SECRET, at_s=at_s) == code


def test_a_code_is_found_by_e_mail_or_role(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    staff = [{"email": "d@demo.example", "role": "dealer", "password": "x", "totp_secret": SECRET}]
    file.write_text(json.dumps({"staff": staff}))

    assert len(otp.code_of(file, "dealer")) == len(otp.code_of(file, "d@demo.example")) == 6
    with pytest.raises(LocalError, match=r"no nobody .* d@demo\.example"):
        otp.code_of(file, "nobody")
    with pytest.raises(LocalError, match="make run"):
        otp.code_of(tmp_path / "none.json", "dealer")
