"""
Kill switches: stopping trading, and letting it go on. Writes the row, nothing else.

The row in PostgreSQL is the truth: the guards of every process read it with their next batch (guards.py),
with or without Redis. What it asks for besides, canceling orders and closing positions, the engine does
from the row (kill_switch_work.py). Reach, and the right to engage, are the caller's to see to; what is done
to a switch that is on asks for the right of its scope here (permissions.right_to_engage).
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, transaction

from apps.risk.models import KillSwitch, RiskAlarm
from apps.risk.permissions import RELEASE_KILL_SWITCH, WITHIN_REACH, right_to_engage
from apps.risk.services import alarms
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Forbidden, Invalid, NotFound

REASON_MAX = 200
TARGETS = {"group": "group_id", "symbol": "symbol_id", "account": "account_id"}
May = Callable[[str], bool]  # whether who asks has a right

log = structlog.get_logger(__name__)


class AlreadyEngaged(Conflict):
    """Trading is stopped there already."""

    code = "kill_switch_engaged"
    title = "Trading is stopped there already"


class NotEngaged(Conflict):
    """The switch was released before."""

    code = "kill_switch_released"
    title = "The kill switch is released already"


class TargetInvalid(Invalid):
    """The scope and what it names do not fit."""

    code = "invalid_target"
    title = "The target does not fit the scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is stopped: the platform, or exactly the one thing that the scope names."""

    scope: str
    group_id: int | None = None
    symbol_id: int | None = None
    account_id: int | None = None

    def switch(self) -> KillSwitch:
        """
        Return the switch of this target, not saved.

        :raises TargetInvalid: it names nothing, too much, or something else than its scope.
        """
        named = {name for name in TARGETS.values() if getattr(self, name) is not None}
        wanted = {TARGETS[self.scope]} if self.scope in TARGETS else set()
        if self.scope not in KillSwitchScopes or named != wanted:
            raise TargetInvalid(f"Scope {self.scope} needs {', '.join(wanted) or 'no target'}.")
        return KillSwitch(
            scope=self.scope,
            group_id=self.group_id,
            symbol_id=self.symbol_id,
            account_id=self.account_id,
        )


KillSwitchScopes = frozenset({"platform", *TARGETS})


def engage(
    *,
    target: Target,
    reason: str,
    actor: Actor,
    cancels_orders: bool = False,
    closes_positions: bool = False,
) -> KillSwitch:
    """
    Stop new exposure in a scope; on request the engine cancels its orders and closes its positions.

    In force in every process with its next batch. Raises an alarm that stays until it is released.

    :raises AlreadyEngaged: trading is stopped there already (see `add_work`).
    :raises TargetInvalid: the scope and its target do not fit, or the target does not exist.
    """
    switch = target.switch()
    switch.reason = _reason(reason)
    switch.cancels_orders, switch.closes_positions = cancels_orders, closes_positions
    switch.engaged_at = clock.now()
    switch.engaged_by, switch.request_id = actor.as_text(), actor.request_id[:64]
    try:
        with transaction.atomic():
            switch.save(force_insert=True)
            _alarm(switch)  # no release, which clears it, can come before it
    except (IntegrityError, ObjectDoesNotExist) as error:  # keys are checked at the commit
        if "kill_switch_on_once" in str(error):
            raise AlreadyEngaged("Trading is stopped there already.") from None
        raise TargetInvalid("There is no such target.") from error
    log.warning("kill_switch_engaged", switch=switch.pk, scope=switch.scope, by=switch.engaged_by)
    return switch


def _alarm(switch: KillSwitch) -> None:
    alarms.raise_alarm(
        kind=RiskAlarm.Kind.KILL_SWITCH,
        severity=RiskAlarm.Severity.CRITICAL,
        subject=subject(switch),
        message=f"Trading was stopped ({switch}): {switch.reason}",
        account_id=switch.account_id,
        group_id=switch.group_id,
        detail={"switch": switch.pk, "by": switch.engaged_by},
    )


def add_work(
    *, switch_id: int, cancels_orders: bool, closes_positions: bool, actor: Actor, may: May
) -> KillSwitch:
    """
    Ask a switch that is on to cancel orders or close positions too; what it was asked before stays.

    :raises NotEngaged: it was released.
    :raises Forbidden: `may` denies the right that stopping in its scope asks for.
    """
    with transaction.atomic():
        switch = _locked(switch_id)
        _require(may, right_to_engage(switch.scope))
        switch.cancels_orders |= cancels_orders
        switch.closes_positions |= closes_positions
        switch.work_done_at = None
        switch.save(update_fields=["cancels_orders", "closes_positions", "work_done_at"])
    log.warning("kill_switch_extended", switch=switch.pk, by=actor.as_text())
    return switch


def release(*, switch_id: int, reason: str, actor: Actor, may: May) -> KillSwitch:
    """
    Let trading go on; once this returns the engine does nothing more for it.

    :raises NotEngaged: it was released before.
    :raises Forbidden: `may` denies the right to release, or to stop the platform or a symbol.
    """
    with transaction.atomic():
        switch = _locked(switch_id)
        _require(may, RELEASE_KILL_SWITCH)
        if switch.scope not in WITHIN_REACH:
            _require(may, right_to_engage(switch.scope))
        switch.released_at, switch.released_by = clock.now(), actor.as_text()
        switch.release_reason = _reason(reason)
        switch.save(update_fields=["released_at", "released_by", "release_reason"])
        alarms.clear(kind=RiskAlarm.Kind.KILL_SWITCH, subject=subject(switch))
    log.warning("kill_switch_released", switch=switch.pk, scope=switch.scope, by=switch.released_by)
    return switch


def subject(switch: KillSwitch) -> str:
    """Return what a switch's alarm is about: what it names may be renamed, so its number alone."""
    return f"kill_switch:{switch.pk}"


def _reason(text: str) -> str:
    reason = text.strip()
    if not reason or len(reason) > REASON_MAX:
        raise Invalid(f"A reason of at most {REASON_MAX} characters is needed.")
    return reason


def _require(may: May, right: str) -> None:
    if not may(right):
        raise Forbidden(f"This needs the right {right}.")


def _locked(switch_id: int) -> KillSwitch:
    switch = KillSwitch.objects.select_for_update(of=("self",)).filter(pk=switch_id).first()
    if switch is None:
        raise NotFound("There is no such kill switch.")
    if not switch.is_on:
        raise NotEngaged(f"Kill switch {switch_id} was released by {switch.released_by}.")
    return switch
