"""
Three-way comparison of one field: as both sides had it last, as RTX has it now, as the CRM has it now. Pure.

What both had last is kept as two texts, RTX's own and the CRM's: they differ where a CRM writes a value in
its own way, and neither side is then taken for changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from apps.crm.domain.mapping import Pair
from apps.crm.domain.transforms import is_same

Base = Mapping[str, Mapping[str, str | None]]  # CRM field -> what was seen of it; JSON

ATTEMPTS_MAX = 8
WAIT_FIRST_S = 5
WAIT_MAX_S = 3600


class Action(StrEnum):
    """What is done about a field."""

    KEEP = "keep"
    PUSH = "push"
    PULL = "pull"


@dataclass(frozen=True, slots=True)
class Seen:
    """
    A field as both sides had it last. `is_sent`: the CRM was told `ours`. `overwritten`: what stood there
    before it was told; a CRM that shows it again insists on it.
    """

    ours: str | None = None
    theirs: str | None = None
    is_sent: bool = True
    overwritten: str | None = None

    @classmethod
    def of(cls, base: Base, crm_field: str) -> "Seen | None":
        """Read one field of a base; None: it was never seen."""
        kept = base.get(crm_field)
        if kept is None:
            return None
        return cls(kept.get("o"), kept.get("t"), "o" in kept, kept.get("x"))

    def kept(self) -> dict[str, str | None]:
        """Return the JSON form."""
        made: dict[str, str | None] = {"t": self.theirs}
        if self.is_sent:
            made["o"] = self.ours
        if self.overwritten is not None:
            made["x"] = self.overwritten
        return made


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about a field, and whether both sides had changed it."""

    action: Action
    is_conflict: bool = False


@dataclass(frozen=True, slots=True)
class Instants:
    """When RTX's record and the CRM's changed last, and when the CRM was told last."""

    ours: datetime
    theirs: datetime | None
    told: datetime | None = None


def decide(pair: Pair, seen: Seen | None, *, ours: str | None, theirs: str | None, at: Instants) -> Decision:
    """Compare a field three ways and apply the pair's rule."""
    if is_same(pair.transform, ours, theirs):
        return Decision(Action.KEEP)
    ours_new = seen is None or not seen.is_sent or not is_same(pair.transform, seen.ours, ours)
    theirs_new = seen is None or not is_same(pair.transform, seen.theirs, theirs)
    is_conflict = ours_new and theirs_new and (seen is not None or bool(ours and theirs))
    match pair.direction:
        case "push":
            return _pushed(pair, seen, ours, theirs, ours_new, is_conflict)
        case "pull":
            is_taken = theirs_new and (seen is not None or bool(theirs))
            return Decision(Action.PULL, is_conflict) if is_taken else Decision(Action.KEEP)
    if seen is None and not (ours and theirs):
        return Decision(Action.PUSH if ours else Action.PULL)
    if ours_new and theirs_new:
        # When two records first meet, nobody knows since when a value stands here: RTX's goes before.
        is_theirs = seen is not None and at.theirs is not None and at.theirs > at.ours
        return Decision(Action.PULL if is_theirs else Action.PUSH, is_conflict=True)
    if theirs_new:
        return Decision(Action.KEEP if _is_stale(pair, seen, theirs, at) else Action.PULL)
    return Decision(Action.PUSH if ours_new else Action.KEEP)


def _pushed(
    pair: Pair, seen: Seen | None, ours: str | None, theirs: str | None, ours_new: bool, is_conflict: bool
) -> Decision:
    if not ours and (seen is None or not ours_new):
        return Decision(Action.KEEP)  # RTX has nothing to say
    if not ours_new and seen is not None and is_same(pair.transform, seen.overwritten, theirs):
        return Decision(Action.KEEP)  # the CRM insists: it was told once
    return Decision(Action.PUSH, is_conflict)


def _is_stale(pair: Pair, seen: Seen | None, theirs: str | None, at: Instants) -> bool:
    """Tell whether a CRM shows what stood there before it was told (its lists may lag behind)."""
    if seen is None or seen.overwritten is None or not is_same(pair.transform, seen.overwritten, theirs):
        return False
    return at.theirs is None or at.told is None or at.theirs <= at.told


def unsent(pairs: Iterable[Pair], base: Base, fields: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the fields whose value in RTX the CRM was not told."""
    found: dict[str, str | None] = {}
    for pair in pairs:
        if not pair.is_pushed or pair.crm_field not in fields:
            continue
        now, seen = fields[pair.crm_field], Seen.of(base, pair.crm_field)
        is_known = now is None if seen is None else seen.is_sent and is_same(pair.transform, seen.ours, now)
        if not is_known:
            found[pair.crm_field] = now
    return found


def told(
    pairs: Iterable[Pair], base: Base, fields: Mapping[str, str | None]
) -> dict[str, Mapping[str, str | None]]:
    """Return a base after the CRM took these fields; what no pair names any more falls out of it."""
    kept = dict(base)
    for name, text in fields.items():
        seen = Seen.of(base, name)
        kept[name] = Seen(text, text, True, seen.theirs if seen else None).kept()
    names = {pair.crm_field for pair in pairs}
    return {name: entry for name, entry in kept.items() if name in names}


def wait_after(attempts: int, *, share: Any) -> timedelta:
    """Return how long to wait after so many failed attempts; `share` (0 to 1) is the jitter."""
    longest = min(WAIT_FIRST_S * 2 ** max(0, attempts - 1), WAIT_MAX_S)
    return timedelta(milliseconds=int(longest * 500 * (1 + share)))
