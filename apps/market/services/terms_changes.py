"""
The one way in which staff change symbols, groups and their terms: whatever is saved inside `changing` (or
between `begin` and `finish`) is looked at before it is committed, whether a form, REST, a bulk edit or a
restore saves it. Knows no single check.

The checks are named in `TERMS_CHECKS`; upper apps implement them (what-if of risk, second person of groups).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from apps.market.domain.impacts import Impact
from apps.market.models import TermsVersion
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict

Reach = frozenset[int] | None


class TermsNeedConfirmation(Conflict):
    """The change would call or close accounts: somebody has to see them and confirm it."""

    code = "terms_need_confirmation"
    title = "Accounts would be called or closed"

    def __init__(self, impact: Impact) -> None:
        told = f"{impact.called} accounts would be called and {impact.closed} closed by this change."
        super().__init__(told, errors=impact.as_json())
        self.impact = impact


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a person has seen and accepts: at most so many accounts called and closed."""

    called: int
    closed: int


WHATEVER_COMES = Confirmed(sys.maxsize, sys.maxsize)
NOTHING = Confirmed(0, 0)


class TermsCheck(Protocol):
    """Looks at one change of terms, inside its transaction."""

    def before(self, change: "TermsChange") -> None:
        """Remember the terms as they are; nothing has been written yet."""

    def after(self, change: "TermsChange") -> None:
        """Look at what was written; raise a typed error to undo all of it."""


@dataclass(slots=True, kw_only=True)
class TermsChange:
    """
    One change of terms under way. Whoever saves notes in `held_back` what must not be written yet (group id
    -> field -> value); checks note what all of it does (`impact`) and what waits for a second person.
    """

    actor: Actor
    reach: Reach
    confirmed: Confirmed
    checks: list[TermsCheck]
    held_back: dict[int, dict[str, Any]] = field(default_factory=dict)
    impact: Impact = field(default_factory=Impact)
    waiting: list[str] = field(default_factory=list)


def begin(*, actor: Actor, reach: Reach = None, confirmed: Confirmed = NOTHING) -> TermsChange:
    """
    Begin a change of terms, within the caller's transaction and before anything is written.

    Changes of terms follow one another, so that each is checked against what it really replaces.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a change of terms is one transaction")
    checks: list[TermsCheck] = [import_string(path)() for path in settings.TERMS_CHECKS]
    change = TermsChange(actor=actor, reach=reach, confirmed=confirmed, checks=checks)
    TermsVersion.objects.select_for_update().filter(pk=1).first()
    for check in checks:
        check.before(change)
    return change


def finish(change: TermsChange) -> None:
    """
    Look at what was written, in the same transaction: what raises here undoes all of it.

    :raises TermsNeedConfirmation: it would call or close more accounts than were confirmed.
    """
    for check in change.checks:
        check.after(change)


@contextmanager
def changing(*, actor: Actor, reach: Reach = None, confirmed: Confirmed = NOTHING) -> Iterator[TermsChange]:
    """
    Save terms inside this: committed together when every check lets them pass, else undone together.

    :raises TermsNeedConfirmation: it would call or close more accounts than were confirmed.
    """
    with transaction.atomic():
        change = begin(actor=actor, reach=reach, confirmed=confirmed)
        yield change
        finish(change)
