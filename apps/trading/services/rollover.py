"""
The rollover: charges every night's swaps and admin fees, once per position and day, whenever it runs.

Whoever was open at the rollover's instant is charged at that instant's terms and rates, computed as of that
instant: a late run, a second one and one in parallel find the same charges, and the journal books each
command once. Books nothing itself: every charge is a `ChargeSwaps` command through the executor.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from apps.accounts.models import TradingAccount
from apps.groups.models import TradingGroup
from apps.market.selectors import history
from apps.market.selectors.history_quotes import stored_until
from apps.trading.domain.commands import ChargeSwaps, Outcome, rollover_command_id
from apps.trading.domain.replaying import Divergence
from apps.trading.domain.rollover import TradingDay
from apps.trading.domain.swaps import Night, Unpriced
from apps.trading.models import RolloverDay
from apps.trading.selectors import as_of, rollovers
from apps.trading.selectors.rows import Loaded
from apps.trading.services import executor
from apps.trading.services.batch import ClientOrderIdReused
from apps.trading.services.executor import Busy
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.money import ZERO

SETTLE_S = 30  # after the instant, so that its ticks are stored and its commands committed
STORING_S = 5  # what the engine saw so shortly before it last wrote may still be in its hands
PATIENCE_S = 600  # an engine that has written nothing for so long will not any more
CLAIM_S = 120
CHUNK_ACCOUNTS = 200  # read under one lock: few, because commands of theirs wait for it
WAITING_MAX = 1024  # commands in the executor's queue at once
RESULT_TIMEOUT_S = 60
LOGGED_MAX = 20
ACTOR = Actor.system("rollover")

log = structlog.get_logger(__name__)

Progress = Callable[[int, int], object]  # accounts done and positions charged since the last call


@dataclass(slots=True)
class Rolled:
    """What one run did for one group's day. `charges` are new ones, `pending` the accounts that wait."""

    day: RolloverDay
    accounts: int = 0
    charges: int = 0
    pending: int = 0
    reason: str = ""
    totals: dict[str, Decimal] = field(default_factory=dict)

    def wait(self, login: int, reason: str) -> None:
        """Note an account that cannot be charged yet."""
        self.pending += 1
        self.reason = self.reason or f"{login}: {reason}"[:120]
        if self.pending <= LOGGED_MAX:
            log.warning("swap_pending", account=login, date=self.day.date.isoformat(), reason=reason)


def last_settled(now: datetime) -> datetime:
    """
    Return the latest instant whose rollover may run: its ticks are stored, or never will be.

    An engine that runs but could not write (PostgreSQL was away) is waited for.
    """
    latest = now - timedelta(seconds=SETTLE_S)
    stored = stored_until()
    if stored is None:
        return latest
    complete = min(latest, stored - timedelta(seconds=STORING_S))
    return max(complete, now - timedelta(seconds=PATIENCE_S))


def open_days(*, now: datetime) -> list[RolloverDay]:
    """
    Return the trading days that have ended and are not finished, oldest first, having noted the new ones.

    A group's first day is the one in which it was made.
    """
    until = last_settled(now)
    begun = rollovers.last_rolled()
    groups = list(TradingGroup.objects.all())
    for group in groups:
        if group.pk not in begun:
            begun[group.pk] = _begin(group, now=now)
    found = rollovers.days_ended(groups, since=begun, until=until)
    RolloverDay.objects.bulk_create(
        [
            RolloverDay(group_id=group_id, date=day.date, rolled_at=day.rolled_at)
            for group_id, days in found.items()
            for day in days
        ],
        ignore_conflicts=True,
    )
    return list(
        RolloverDay.objects.filter(finished_at__isnull=True, rolled_at__lte=until)
        .select_related("group")
        .order_by("rolled_at", "group_id")
    )


def _begin(group: TradingGroup, *, now: datetime) -> datetime:
    """Return since when a group's days count; one that is older than the history begins today."""
    made = history.made_at(TradingGroup, row_id=group.pk)
    if made is not None:
        return made
    day = rollovers.last_day(group, until=last_settled(now))
    RolloverDay.objects.get_or_create(
        group=group, date=day.date, defaults={"rolled_at": day.rolled_at, "finished_at": now}
    )
    return day.rolled_at


def run_open(*, now: datetime) -> list[Rolled]:
    """Charge every day that has ended and is not finished, unless somebody else is at it."""
    return [roll(day) for day in open_days(now=now) if _claim(day)]


def _claim(day: RolloverDay) -> bool:
    """Say whether a day is ours to work on: nobody claimed it lately. Only saves work, decides nothing."""
    now = clock.now()
    free = RolloverDay.objects.filter(pk=day.pk, finished_at__isnull=True).exclude(claimed_until__gt=now)
    return free.update(claimed_until=now + timedelta(seconds=CLAIM_S)) == 1


def roll(
    day: RolloverDay,
    *,
    expected: Callable[[int], object] = lambda accounts: None,
    progress: Progress = lambda accounts, charges: None,
    dry_run: bool = False,
) -> Rolled:
    """
    Charge one group's day and note how far it came. Safe to repeat and to run in parallel.

    `expected` is told how many accounts there are to look at, `progress` each step. `dry_run` computes
    without booking anything.
    """
    result = Rolled(day)
    with transaction.atomic():
        history.wait_for_writers()
    market = as_of.markets_at(day.rolled_at).views
    group = market.book.groups.get(day.group_id)
    if group is not None:
        night = Night(
            day=TradingDay(day.date, day.rolled_at),
            rollover=group.rollover,
            market=market.of_group(group.id),
        )
        ids = rollovers.holders(group_id=day.group_id, at=day.rolled_at)
        expected(len(ids))
        _charge_all(night, ids, result, progress=progress, dry_run=dry_run)
    if not dry_run:
        _note(day, result)
    return result


def _note(day: RolloverDay, result: Rolled) -> None:
    RolloverDay.objects.filter(pk=day.pk).update(
        charges=F("charges") + result.charges,
        pending=result.pending,
        reason=result.reason,
        claimed_until=None,
        finished_at=None if result.pending else Coalesce(F("finished_at"), clock.now()),
    )
    if result.pending:
        log.warning(
            "rollover_incomplete", group=day.group.name, date=day.date.isoformat(), pending=result.pending
        )
    elif result.charges:
        log.info("rollover_done", group=day.group.name, date=day.date.isoformat(), charges=result.charges)


def _charge_all(night: Night, ids: list[int], result: Rolled, *, progress: Progress, dry_run: bool) -> None:
    """Charge the accounts that may have held something: while one chunk is computed, others are booked."""
    waiting = _Waiting(result, progress)
    for start in range(0, len(ids), CHUNK_ACCOUNTS):
        chunk = ids[start : start + CHUNK_ACCOUNTS]
        done = rollovers.already_charged(chunk, day=night.day.date)
        todo = [account_id for account_id in chunk if account_id not in done]
        owed = _owed(night, todo, result)
        result.accounts += len(chunk)
        progress(len(chunk) - len(owed), 0)
        for login, command in owed:
            if dry_run:
                result.charges += len(command.charges)
                progress(1, len(command.charges))
            else:
                waiting.submit(login, command)
        if dry_run:
            continue
        RolloverDay.objects.filter(pk=result.day.pk).update(
            claimed_until=clock.now() + timedelta(seconds=CLAIM_S)
        )
    waiting.settle(down_to=0)


def _owed(night: Night, account_ids: list[int], result: Rolled) -> list[tuple[int, ChargeSwaps]]:
    """
    Return what accounts owe for the night, with their logins.

    An account that lacks a price, or whose journal cannot be read, is noted and owes nothing yet.
    """
    found = []
    for held in _held(night, account_ids, result):
        login, currency = held.account.login, held.account.currency
        try:
            charges = night.charges(held.positions, currency=currency)
        except Unpriced as lack:
            result.wait(login, str(lack))
            continue
        if not charges:
            continue
        due = sum((charge.amount for charge in charges), ZERO)
        result.totals[currency] = result.totals.get(currency, ZERO) + due
        command = ChargeSwaps(
            account_id=held.account.id,
            command_id=rollover_command_id(account_id=held.account.id, day=night.day.date),
            actor=ACTOR,
            date=night.day.date,
            rolled_at=night.day.rolled_at,
            charges=charges,
        )
        found.append((login, command))
    return found


def _held(night: Night, account_ids: list[int], result: Rolled) -> Iterator[Loaded]:
    """Yield accounts as they were, by id; when a journal cannot be read, the others are read one by one."""
    try:
        found = as_of.accounts_at(account_ids, at=night.day.rolled_at)
    except Divergence as difference:
        if len(account_ids) == 1:
            login = TradingAccount.objects.values_list("login", flat=True).get(pk=account_ids[0])
            result.wait(login, f"its journal differs: {difference}")
            return
        for account_id in account_ids:
            yield from _held(night, [account_id], result)
        return
    for account_id in sorted(found):
        yield found[account_id]


class _Waiting:
    """Commands in the executor's hands, oldest first. An account whose command fails stays pending."""

    def __init__(self, result: Rolled, progress: Progress) -> None:
        self._result = result
        self._progress = progress
        self._futures: deque[tuple[int, ChargeSwaps, Future[Outcome]]] = deque()

    def submit(self, login: int, command: ChargeSwaps) -> None:
        """Hand a command over; wait for older ones when too many are under way."""
        self.settle(down_to=WAITING_MAX - 1)
        while True:
            try:
                self._futures.append((login, command, executor.submit(command)))
                return
            except Busy:
                if not self._futures:
                    raise
                self.settle(down_to=len(self._futures) // 2)

    def settle(self, *, down_to: int) -> None:
        """Take answers until at most `down_to` are missing."""
        while len(self._futures) > down_to:
            self._take(*self._futures.popleft())

    def _take(self, login: int, command: ChargeSwaps, future: Future[Outcome]) -> None:
        charged = 0
        try:
            outcome = future.result(RESULT_TIMEOUT_S)
        except ClientOrderIdReused:
            # booked before, with other numbers: what stands in the journal holds
            log.error("rollover_differs", account=login, date=command.date.isoformat())
        except Exception as error:
            log.warning("swap_not_booked", account=login, exc_info=error)
            self._result.wait(login, f"not booked: {type(error).__name__}")
        else:
            charged = 0 if outcome.repeated else len(command.charges)
        self._result.charges += charged
        self._progress(1, charged)
