"""
What a kill switch asks for besides refusing orders: canceling working orders, closing positions.

Done from the row, in passes, by the engine that leads (control_work.py). Each pass reads what is left, so
it goes on wherever another one was killed. Command ids follow from the switch and the account's journal:
the same thing asked twice happens once. Progress is counted within the transaction that does it.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from uuid import NAMESPACE_OID, UUID, uuid5

import structlog
from django.conf import settings
from django.db.models import F

from apps.risk.models import KillSwitch, RiskAlarm
from apps.risk.selectors import kill_switches
from apps.risk.selectors.kill_switches import Holding
from apps.risk.services import alarms
from apps.risk.services.kill_switch import subject
from apps.trading.domain import checks
from apps.trading.domain.commands import CancelOrder, CloseAll, Command, Outcome
from apps.trading.selectors.markets import markets
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, NotFound, Unavailable

ACTOR = Actor.system("kill_switch")
TOGETHER = 256
SETTLES = timedelta(seconds=2)  # what was under way when it was engaged is booked by then
RETRY_FIRST_S = 1.0
RETRY_LAST_S = 30.0

log = structlog.get_logger(__name__)

Answered = list[tuple[Command, Outcome]]
Left = list[tuple[Holding, str]]


class Worker:
    """Does what switches ask for. Not for several threads; keeps only when to try what failed again."""

    def __init__(self, *, may_act: Callable[[], bool]) -> None:
        self._may_act = may_act
        self._later: dict[tuple[int, int, str], tuple[float, float]] = {}
        self._reasons: dict[tuple[int, int, str], str] = {}
        self.counted: Counter[str] = Counter()

    def run(self) -> int:
        """Do one pass over every switch that has work left; return how many there are."""
        switches = kill_switches.with_work()
        for switch in switches:
            if self._may_act():
                self._pass(switch)
        if not switches:
            self._later.clear()
            self._reasons.clear()
        return len(switches)

    def _pass(self, switch: KillSwitch) -> None:
        now = clock.now()
        left = 0
        if switch.cancels_orders:
            left += self._cancel(switch)
        failed: Left = []
        if switch.closes_positions:
            asked, failed = self._close(switch)
            left += asked
        self._tell(switch, failed)
        if not left and not failed and now - switch.engaged_at >= SETTLES:
            KillSwitch.objects.filter(pk=switch.pk, work_done_at__isnull=True).update(work_done_at=now)
            log.info("kill_switch_work_done", switch=switch.pk)

    # -- orders

    def _cancel(self, switch: KillSwitch) -> int:
        """Cancel working orders until none is left or leadership ends; return how many were met."""
        met = 0
        while self._may_act():
            waiting = kill_switches.working_orders(switch, limit=TOGETHER)
            if not waiting:
                break
            met += len(waiting)
            commands: list[Command] = [
                CancelOrder(
                    account_id=account_id,
                    command_id=_id(switch, f"order:{order_id}"),
                    actor=ACTOR,
                    order_id=order_id,
                )
                for account_id, order_id in waiting
            ]
            if len(self._book(switch, commands)) < len(commands):
                break
        return met

    # -- positions

    def _close(self, switch: KillSwitch) -> tuple[int, Left]:
        """
        Close what can be closed now; return how many closings were asked for, and what cannot be with the
        reason.
        """
        views = markets(now=clock.now())
        asked: list[tuple[Holding, Command]] = []
        failed: Left = []
        for held in kill_switches.holdings(switch):
            reason = checks.tradable(held.symbol, market=views.of_group(held.group_id))
            if reason:
                failed.append((held, reason.value))
                continue
            due, pause_s = self._later.get((switch.pk, held.account_id, held.symbol), (0.0, 0.0))
            if time.monotonic() < due:
                failed.append((held, self._reasons.get((switch.pk, held.account_id, held.symbol), "waits")))
                continue
            pause_s = min(RETRY_LAST_S, 2 * pause_s or RETRY_FIRST_S)
            self._later[switch.pk, held.account_id, held.symbol] = (time.monotonic() + pause_s, pause_s)
            asked.append((held, _closing(switch, held)))
        for start in range(0, len(asked), TOGETHER):
            together = asked[start : start + TOGETHER]
            if not self._may_act():
                break
            answers = self._book(switch, [command for _, command in together])
            for (held, _), outcome in zip(together, answers, strict=False):
                if outcome is not None and outcome.payload.get("failed"):
                    reason = outcome.payload["failed"][0]["reject_reason"]
                    self._reasons[switch.pk, held.account_id, held.symbol] = reason
                    failed.append((held, reason))
            if len(answers) < len(together):
                break
        return len(asked), failed

    # -- both

    def _book(self, switch: KillSwitch, commands: list[Command]) -> list[Outcome | None]:
        """
        Book commands together and wait for all; return their outcomes, None for what has gone meanwhile.
        Fewer than asked: the executor has no room or no database now.
        """
        try:
            futures = executor.submit_all(commands, effects=(partial(_count, switch.pk),))
            return [self._answer(switch, future) for future in futures]
        except (Unavailable, TimeoutError) as error:
            self.counted["held_up"] += 1
            log.warning("kill_switch_waits", switch=switch.pk, error=repr(error))
            return []

    def _answer(self, switch: KillSwitch, future: "Future[Outcome]") -> Outcome | None:
        """Wait for one answer; what has gone meanwhile is no failure."""
        try:
            outcome = future.result(settings.EXECUTOR_RESULT_TIMEOUT_S)
        except (Conflict, NotFound):
            self.counted["gone"] += 1
            return None
        self.counted["done"] += 1
        return outcome

    def _tell(self, switch: KillSwitch, failed: Left) -> None:
        """Write down what could not be closed, and raise the alarm when that changes."""
        reasons = Counter(reason for held, reason in failed for _ in held.position_ids)
        count = reasons.total()
        if count == switch.failures:
            return
        told = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        KillSwitch.objects.filter(pk=switch.pk).update(failures=count, last_failure=told[:200])
        message = f"{count} positions cannot be closed yet: {told}" if count else "Nothing waits any more"
        alarms.raise_alarm(
            kind=RiskAlarm.Kind.KILL_SWITCH,
            severity=RiskAlarm.Severity.CRITICAL,
            subject=subject(switch),
            message=f"Trading was stopped ({switch}). {message}",
            account_id=switch.account_id,
            detail={"switch": switch.pk, "reasons": dict(reasons)},
        )


def _id(switch: KillSwitch, what: str) -> UUID:
    return uuid5(NAMESPACE_OID, f"rtx:kill:{switch.pk}:{what}")


def _closing(switch: KillSwitch, held: Holding) -> CloseAll:
    """
    Return the command that closes an account's positions on a symbol, once for the account's present state.
    """
    return CloseAll(
        account_id=held.account_id,
        command_id=_id(switch, f"close:{held.account_id}:{held.symbol}:{held.seq}"),
        actor=ACTOR,
        client_order_id=f"kill-{switch.pk}-{held.seq}-{held.symbol}",
        symbol=held.symbol,
    )


def _count(switch_id: int, answered: Answered) -> None:
    """Count progress; runs within the transaction that books it, so it is neither lost nor counted twice."""
    canceled = sum(outcome.type == "order_canceled" for _, outcome in answered)
    closed = sum(len(outcome.orders) for _, outcome in answered if outcome.type == "positions_closed")
    if canceled or closed:
        KillSwitch.objects.filter(pk=switch_id).update(
            orders_canceled=F("orders_canceled") + canceled, positions_closed=F("positions_closed") + closed
        )


def summary(switch: KillSwitch, *, now: datetime) -> str:
    """Say in one sentence how a switch stands."""
    if not switch.is_on:
        return f"released by {switch.released_by}"
    if not (switch.cancels_orders or switch.closes_positions):
        return "on"
    done = f"{switch.orders_canceled} orders canceled, {switch.positions_closed} positions closed"
    if switch.work_done_at is not None:
        return f"on; done: {done}"
    left = f", {switch.failures} cannot be closed yet ({switch.last_failure})" if switch.failures else ""
    return f"on; at work for {int((now - switch.engaged_at).total_seconds())} s: {done}{left}"
