"""
What a kill switch asks for besides refusing orders: canceling working orders, closing positions.

Done from the row, in passes, by the engine that leads (control_work.py). Each pass reads what is left, so
it goes on wherever another one was killed. Command ids follow from the switch and the account's journal:
the same thing asked twice happens once. Progress is counted within the transaction that does it, and that
transaction breaks when the switch was released meanwhile: after a release nothing is done for it any more.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import NAMESPACE_OID, UUID, uuid5

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.risk.models import KillSwitch, RiskAlarm
from apps.risk.selectors import kill_switches
from apps.risk.selectors.kill_switches import FIRST, Holding, Place
from apps.risk.services import alarms
from apps.risk.services.kill_switch import NotEngaged, subject
from apps.trading.domain import checks
from apps.trading.domain.commands import CancelOrder, CloseAll, Command, Outcome
from apps.trading.selectors.markets import markets
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, NotFound, Unavailable

ACTOR = Actor.system("kill_switch")
TOGETHER = 256
MARGIN_S = 5.0
RETRY_FIRST_S = 1.0
RETRY_LAST_S = 30.0
REST_FIRST_S = 0.5
REST_LAST_S = 5.0

log = structlog.get_logger(__name__)

Answered = list[tuple[Command, Outcome]]
Key = tuple[int, int, str]  # switch, account, symbol (empty: its working orders)


def settles() -> timedelta:
    """Return how long after a switch was engaged what was under way then may still be booked."""
    return timedelta(seconds=settings.EXECUTOR_RESULT_TIMEOUT_S + MARGIN_S)


@dataclass(slots=True)
class Pass:
    """What a pass met: whether anything may be left, how much was done, and what could not be, by reason."""

    is_left: bool = False
    done: int = 0
    orders: Counter[str] = field(default_factory=Counter)
    positions: Counter[str] = field(default_factory=Counter)


class Worker:
    """Does what switches ask for. Not for several threads; keeps only when to try what failed again."""

    def __init__(self, *, may_act: Callable[[], bool]) -> None:
        self._may_act = may_act
        self._later: dict[Key, tuple[float, float, str]] = {}
        self._rests: dict[tuple[int, bool, bool], tuple[float, float]] = {}
        self.counted: Counter[str] = Counter()

    def run(self) -> int:
        """Do one pass over every switch that has work left and does not rest; return how many there are."""
        switches = kill_switches.with_work()
        for switch in switches:
            asked = (switch.pk, switch.cancels_orders, switch.closes_positions)
            due, pause_s = self._rests.get(asked, (0.0, 0.0))
            if time.monotonic() < due or not self._may_act():
                continue
            met = self._pass(switch)
            if met.done or not (met.orders or met.positions):
                self._rests.pop(asked, None)
            else:  # nothing can be done now: do not read the whole scope again at once
                pause_s = min(REST_LAST_S, 2 * pause_s or REST_FIRST_S)
                self._rests[asked] = (time.monotonic() + pause_s, pause_s)
        if not switches:
            self._later.clear()
            self._rests.clear()
        return len(switches)

    def _pass(self, switch: KillSwitch) -> Pass:
        now = clock.now()
        met = Pass()
        try:
            if switch.cancels_orders:
                self._cancel(switch, met)
            if switch.closes_positions:
                self._close(switch, met)
        except NotEngaged:
            log.info("kill_switch_released_at_work", switch=switch.pk, done=met.done)
            return Pass()
        _tell(switch, met)
        if not (met.is_left or met.orders or met.positions) and now - switch.engaged_at >= settles():
            _finish(switch, now)
        return met

    def _cancel(self, switch: KillSwitch, met: Pass) -> None:
        """Cancel the working orders, each once in a pass."""
        after = FIRST
        while self._may_act():
            page = kill_switches.working_orders(switch, after=after, limit=TOGETHER)
            asked: list[tuple[Key, int, Command]] = []
            for account_id, order_id in page:
                key = (switch.pk, account_id, "")
                reason = self._paused(key)
                if reason:
                    met.orders[reason] += 1
                else:
                    asked.append((key, 1, _canceling(switch, (account_id, order_id))))
            if not self._book(switch, asked, met, met.orders) or len(page) < TOGETHER:
                return
            after = page[-1]
        met.is_left = True

    def _close(self, switch: KillSwitch, met: Pass) -> None:
        """Close the positions that can be closed now; the others are counted by symbol, not read."""
        views = markets(now=clock.now())
        open_: set[Place] = set()  # group and symbol
        for held in kill_switches.held(switch):
            reason = checks.tradable(held.symbol, market=views.of_group(held.group_id))
            if reason:
                met.positions[reason.value] += held.positions
            else:
                open_.add((held.group_id, held.symbol_id))
        symbol_ids = {symbol_id for _, symbol_id in open_}
        after = FIRST
        while symbol_ids:
            page = kill_switches.holdings(switch, symbol_ids=symbol_ids, after=after, limit=TOGETHER)
            asked: list[tuple[Key, int, Command]] = []
            for one in page:
                if (one.group_id, one.symbol_id) not in open_:
                    continue
                key = (switch.pk, one.account_id, one.symbol)
                reason_before = self._paused(key)
                if reason_before:
                    met.positions[reason_before] += one.positions
                else:
                    asked.append((key, one.positions, _closing(switch, one)))
            if not self._may_act():
                break
            if not self._book(switch, asked, met, met.positions) or len(page) < TOGETHER:
                return
            after = (page[-1].account_id, page[-1].symbol_id)
        met.is_left |= bool(symbol_ids)

    def _book(
        self,
        switch: KillSwitch,
        asked: Sequence[tuple[Key, int, Command]],
        met: Pass,
        failed: Counter[str],
    ) -> bool:
        """
        Book commands together and wait for all; False: the executor has no room or no database now.

        :raises NotEngaged: the switch was released; what was not booked yet is not booked.
        """
        if not asked:
            return True
        met.is_left = True
        if not kill_switches.is_on(switch.pk):
            raise NotEngaged("The switch was released.")
        try:
            futures = executor.submit_all(
                [command for _, _, command in asked], effects=(partial(_count, switch.pk),)
            )
            for (key, count, _), future in zip(asked, futures, strict=True):
                reason = self._answer(future)
                if reason:
                    failed[reason] += count
                    self._pause(key, reason)
                else:
                    self._later.pop(key, None)
                    met.done += 1
        except (Unavailable, TimeoutError) as error:
            self.counted["held_up"] += 1
            log.warning("kill_switch_waits", switch=switch.pk, error=repr(error))
            return False
        return True

    def _answer(self, future: "Future[Outcome]") -> str:
        """Wait for one answer; return why it failed. What has gone meanwhile is no failure."""
        try:
            outcome = future.result(settings.EXECUTOR_RESULT_TIMEOUT_S)
        except (NotEngaged, Unavailable, TimeoutError):
            raise
        except (Conflict, NotFound):
            self.counted["gone"] += 1
            return ""
        except Exception as error:
            self.counted["broken"] += 1
            log.exception("kill_switch_command_failed")
            return type(error).__name__
        self.counted["done"] += 1
        left = outcome.payload.get("failed")
        return str(left[0]["reject_reason"]) if left else ""

    def _paused(self, key: Key) -> str:
        """Return why an account waits, empty when it is its turn."""
        due, _, reason = self._later.get(key, (0.0, 0.0, ""))
        return reason if time.monotonic() < due else ""

    def _pause(self, key: Key, reason: str) -> None:
        _, pause_s, _ = self._later.get(key, (0.0, 0.0, ""))
        pause_s = min(RETRY_LAST_S, 2 * pause_s or RETRY_FIRST_S)
        self._later[key] = (time.monotonic() + pause_s, pause_s, reason)


def _finish(switch: KillSwitch, now: datetime) -> None:
    """Note that nothing is left, unless it was released or asked for more while the pass ran."""
    asked = {"cancels_orders": switch.cancels_orders, "closes_positions": switch.closes_positions}
    rows = KillSwitch.objects.filter(pk=switch.pk, work_done_at__isnull=True, released_at__isnull=True)
    if rows.filter(**asked).update(work_done_at=now):
        log.info("kill_switch_work_done", switch=switch.pk)


def _tell(switch: KillSwitch, met: Pass) -> None:
    """Write down what could not be done, and raise the alarm when that changes."""
    reasons = met.orders + met.positions
    count = reasons.total()
    if count == switch.failures:
        return
    told = _listed(reasons)
    parts = [
        f"{failed.total()} {what} yet: {_listed(failed)}"
        for failed, what in (
            (met.orders, "orders cannot be canceled"),
            (met.positions, "positions cannot be closed"),
        )
        if failed
    ]
    message = ". ".join(parts) or "Nothing waits any more"
    with transaction.atomic():  # a release waits for this, and then clears the alarm
        rows = KillSwitch.objects.filter(pk=switch.pk, released_at__isnull=True)
        if not rows.update(failures=count, last_failure=told[:200]):
            return
        alarms.raise_alarm(
            kind=RiskAlarm.Kind.KILL_SWITCH,
            severity=RiskAlarm.Severity.CRITICAL,
            subject=subject(switch),
            message=f"Trading was stopped ({switch}). {message}",
            account_id=switch.account_id,
            group_id=switch.group_id,
            detail={"switch": switch.pk, "reasons": dict(reasons)},
        )


def _listed(reasons: Counter[str]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))


def _id(switch: KillSwitch, what: str) -> UUID:
    return uuid5(NAMESPACE_OID, f"rtx:kill:{switch.pk}:{what}")


def _canceling(switch: KillSwitch, place: Place) -> CancelOrder:
    account_id, order_id = place
    return CancelOrder(
        account_id=account_id,
        command_id=_id(switch, f"order:{order_id}"),
        actor=ACTOR,
        order_id=order_id,
    )


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
    """
    Count progress; runs within the transaction that books it, so it is neither lost nor counted twice.

    :raises NotEngaged: the switch was released: then nothing of it is booked.
    """
    canceled = sum(outcome.type == "order_canceled" for _, outcome in answered)
    closed = sum(len(outcome.orders) for _, outcome in answered if outcome.type == "positions_closed")
    rows = KillSwitch.objects.filter(pk=switch_id, released_at__isnull=True)
    if not rows.update(
        orders_canceled=F("orders_canceled") + canceled, positions_closed=F("positions_closed") + closed
    ):
        raise NotEngaged("The switch was released.")


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
