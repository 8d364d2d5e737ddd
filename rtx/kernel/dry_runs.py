"""
Dry runs of operator actions: what an operation would do to a row, shown before it is confirmed, and whether
that still holds when it is. Knows no app and writes nothing.

What was shown travels with the confirmation, signed: bound to the person, the page and every value of the
form. A confirmation that comes late, or whose ground has moved further than allowed, is answered with the
present state of things instead of being carried out.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core import signing
from django.http import HttpRequest

from rtx.kernel.money import ZERO, plain

SEAL = "operator_previewed"  # the field that carries what was shown
EDIT = "operator_edit"  # the button that goes back to the form
MAX_AGE_S = 30
_SALT = "rtx.dry-run"
_NOT_CONTENT = frozenset({"csrfmiddlewaretoken", SEAL, EDIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """
    A number that a decision rests on (a price, a volume), and how far it may move until it is confirmed: by
    the smaller of the tolerances of both looks.
    """

    value: Decimal
    tolerance: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """
    What an operation would do to one row, in cells that are ready to be shown.

    `figures` are (label, before, after), `facts` (label, value), `rows` a table under `headers`. `refusal`
    says why it would not be done. `repeated`: it was done before, and confirming does nothing again.
    """

    facts: Sequence[tuple[str, Any]] = ()
    figures: Sequence[tuple[str, Any, Any]] = ()
    headers: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    notes: Sequence[str] = ()
    refusal: str = ""
    ground: Mapping[str, Ground] = field(default_factory=dict)
    repeated: bool = False


def content_of(request: HttpRequest) -> list[tuple[str, str]]:
    """Return every field that was sent, apart from what the steps themselves add."""
    return [
        (name, value) for name, values in request.POST.lists() if name not in _NOT_CONTENT for value in values
    ]


def seal(request: HttpRequest, runs: Mapping[Any, DryRun], *, now: datetime) -> str:
    """Return what was shown, signed."""
    shown = {
        "content": _digest(request),
        "at": now.timestamp(),
        "ground": {
            str(key): {name: (plain(one.value), plain(one.tolerance)) for name, one in run.ground.items()}
            for key, run in runs.items()
        },
    }
    return signing.dumps(shown, salt=_SALT)


def doubts(
    request: HttpRequest, runs: Mapping[Any, DryRun], rows: Sequence[Any], *, now: datetime
) -> list[str]:
    """
    Return why what was shown no longer holds, as sentences; none: it may be carried out. Where there are
    several `rows`, each is named.
    """
    if all(run.repeated for run in runs.values()):
        return []
    try:
        shown: dict[str, Any] = signing.loads(request.POST.get(SEAL, ""), salt=_SALT)
    except signing.BadSignature:
        return ["This is not what was shown. Please look again."]
    if shown["content"] != _digest(request):
        return ["The values are not those that were shown. Please look again."]
    found, names = [], {str(row.pk): str(row) for row in rows}
    age_s = now.timestamp() - shown["at"]
    if age_s > MAX_AGE_S:
        found.append(f"What you saw was {age_s:.0f} s old. This is how it stands now.")
    for key, run in runs.items():
        before = shown["ground"].get(str(key), {})
        moved = [] if run.repeated else _moved(before, run)
        found += moved if len(runs) == 1 else [f"{names[str(key)]}: {one}" for one in moved]
    return found


def why_left(request: HttpRequest, key: str, run: DryRun) -> str:
    """
    Return why one row of several is left as it is: by what was done to those before it, or meanwhile, it
    would be refused, or become something else than was shown. Empty: it may be carried out.
    """
    if run.repeated:
        return ""
    shown: dict[str, Any] = signing.loads(request.POST.get(SEAL, ""), salt=_SALT)
    return run.refusal or " ".join(_moved(shown["ground"].get(key, {}), run))


def _moved(before: Mapping[str, Sequence[str]], run: DryRun) -> list[str]:
    found = [f"{name} is no longer part of it." for name in before if name not in run.ground]
    for name, one in run.ground.items():
        if name not in before:
            found.append(f"{name} has come in.")
            continue
        was, tolerance = before[name]
        if abs(one.value - Decimal(was)) > min(one.tolerance, Decimal(tolerance)):
            found.append(f"{name} was {was} and is now {plain(one.value)}.")
    return found


def _digest(request: HttpRequest) -> str:
    """Return a hash of who sends which values to which page."""
    said = [request.path, str(request.user.pk), sorted(content_of(request))]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
