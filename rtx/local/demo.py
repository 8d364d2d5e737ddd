"""
`.rtx/demo.json`: where the demo broker answers and who can log in. Written for people and for scripts that
follow README.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rtx.local.home import LocalError, write_private


def describe(*, web_url: str, stream_url: str, crm_url: str, logins: dict[str, Any]) -> dict[str, Any]:
    """
    Put addresses and logins together.

    :raises LocalError: the logins lack a part that a reader of the file relies on.
    """
    try:
        return {
            "web": web_url,
            "stream": stream_url,
            "crm": crm_url,
            "operator": {
                name: str(logins["operator"][name]) for name in ("email", "password", "totp_secret")
            },
            "traders": [
                {"email": one["email"], "password": one["password"], "accounts": list(one["accounts"])}
                for one in logins["traders"]
            ],
            "staff": [
                {name: one[name] for name in ("email", "password", "role", "totp_secret") if name in one}
                for one in logins["staff"]
            ],
        }
    except (KeyError, TypeError) as error:
        raise LocalError(f"the demo logins are incomplete: {error!r}") from error


def write(path: Path, *, web_url: str, stream_url: str, crm_url: str, logins_file: Path) -> dict[str, Any]:
    """Write the file, readable by its owner only, and return what is in it."""
    if not logins_file.exists():
        raise LocalError(
            f"{logins_file} is missing: the passwords of the demo broker are lost; `make clean` starts afresh"
        )
    logins = json.loads(logins_file.read_text(encoding="utf-8"))
    described = describe(web_url=web_url, stream_url=stream_url, crm_url=crm_url, logins=logins)
    write_private(path, json.dumps(described, indent=2) + "\n")
    return described


def announcement(described: dict[str, Any], *, path: Path) -> str:
    """Return what `make run` prints once everything answers."""
    operator = described["operator"]
    lines = [
        "",
        "RTX runs.",
        f"  Admin      {described['web']}/admin/",
        f"             {operator['email']}  {operator['password']}",
        f"             code: .venv/bin/python -m rtx.local otp {operator['email']}",
        f"  REST       {described['web']}/api/  (browse: {described['web']}/api/docs)",
        f"  WebSocket  {described['stream']}",
        f"  Fake CRM   {described['crm']}/  (connect it: Admin, CRM, Connections, Connect)",
    ]
    if described["traders"]:
        trader = described["traders"][0]
        accounts = ", ".join(str(login) for login in trader["accounts"])
        lines += ["  Trader     " + f"{trader['email']}  {trader['password']}  (account {accounts})"]
    lines += [f"  All logins {path}", "Ctrl-C stops everything.", ""]
    return "\n".join(lines)
