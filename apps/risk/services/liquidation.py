"""
Liquidation: brings accounts back above their stop-out level, by whoever found them below.

`ask` is for the margin monitor and the queue: it returns at once. `enforce` is for the sweep and for staff:
it waits. Both come to the same command with the same id, so nothing is done twice. The account book decides
under its lock what is closed, and whether anything is.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from enum import StrEnum
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from apps.risk.services.liquidation_asks import TOGETHER_MAX, Facts, Rank, command_id_of, facts_of, fitting
from apps.risk.services.liquidation_dispatch import Dispatcher
from apps.risk.services.liquidation_records import QUEUE_LEASE, Notes, dossiers_of
from apps.trading.domain.commands import Outcome, StopOut
from apps.trading.domain.stop_out import StopOutStuck, StopOutVoid
from apps.trading.services import executor
from apps.trading.services.batch import AccountNotFound
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Unavailable

log = structlog.get_logger(__name__)

_dispatcher = Dispatcher()


def _begin_anew_after_fork() -> None:
    """A child has none of its parent's threads."""
    global _dispatcher
    _dispatcher = Dispatcher()


os.register_at_fork(after_in_child=_begin_anew_after_fork)


class Enforced(StrEnum):
    """What became of one account."""

    CLOSED = "closed"  # it is above its level, or nothing is left
    PARTLY = "partly"  # something was closed, something waits
    ALREADY = "already"  # somebody else did it under the same id
    WAITS = "waits"  # below, and nothing can be closed now
    VOID = "void"  # above its level: nothing to do
    FAILED = "failed"  # an error that nobody expected; alarmed and tried again
    UNAVAILABLE = "unavailable"  # database or executor are not there; nothing is known to be done


def ask(
    ranks: Mapping[int, Rank],
    *,
    quote_time_ms: int | None,
    fence: int,
    shard: str | int,
    cause: str = "monitor",
    seqs: Mapping[int, int] | None = None,
) -> None:
    """
    Have accounts stopped out by a thread of this process, the lowest rank first whoever asked and when.

    Never waits. An account that is under way is not asked for twice; one that waits for a market is left to
    the queue until it changes (`seqs`: account -> its last known event). `fence` is that of the lease
    `margin:<shard>`: once another one leads, nothing is closed any more. Without a fence (0) nobody's
    leadership is asked for.
    """
    _dispatcher.offer(
        ranks,
        cause=cause,
        quote_time_ms=quote_time_ms,
        fence=fence,
        shard=str(shard),
        seqs=seqs,
    )


def retry(ranks: Mapping[int, Rank], *, fence: int) -> None:
    """Have accounts that wait tried again now, like `ask`; `fence` is that of the queue's lease."""
    _dispatcher.offer(ranks, cause="queue", fence=fence, shard=QUEUE_LEASE, is_urgent=True)


def health() -> dict[str, Any]:
    """Return what is queued in this process, under way and done."""
    return _dispatcher.health()


def backlog() -> int:
    """Return how many accounts are queued in this process or under way."""
    return _dispatcher.backlog


def has(account_id: int, seq: int) -> bool:
    """Tell whether an account is being stopped out in this process, or was after its event `seq`."""
    return _dispatcher.has(account_id, seq=seq)


def oldest_s() -> float:
    """Return for how long the oldest account that is under way has waited for its answer."""
    return _dispatcher.oldest_s


def stop() -> None:
    """Submit nothing more; what is under way is waited for a few seconds."""
    _dispatcher.stop()


def enforce(account_id: int, *, cause: str, actor: Actor) -> Enforced:
    """
    Bring one account back above its stop-out level and wait for it.

    :raises NotFound: there is no such account.
    """
    found = enforce_all([account_id], cause=cause, actor=actor)
    if account_id not in found:
        raise AccountNotFound
    return found[account_id]


def enforce_all(
    account_ids: Sequence[int], *, cause: str, actor: Actor, before_each: Callable[[], object] = bool
) -> dict[int, Enforced]:
    """
    Bring accounts back above their stop-out level, in this order; what is no account is left out.
    `before_each` is called before each submission of a few.
    """
    found: dict[int, Enforced] = {}
    left = list(account_ids)
    while left:
        before_each()
        facts = facts_of(left[:TOGETHER_MAX])
        few, left = left[: fitting(left, facts)], left[fitting(left, facts) :]
        known = {account_id: facts[account_id] for account_id in few if account_id in facts}
        if known:
            found |= _enforced(known, cause=cause, actor=actor)
    return found


def _enforced(known: Mapping[int, Facts], *, cause: str, actor: Actor) -> dict[int, Enforced]:
    commands = [
        StopOut(
            account_id=account_id,
            command_id=command_id_of(account_id, seq=facts.seq),
            actor=actor,
            cause=cause,
        )
        for account_id, facts in known.items()
    ]
    try:
        futures = executor.submit_all(commands, effects=(dossiers_of(""),))
    except Unavailable as refused:
        log.warning("liquidations_not_taken", error=repr(refused))
        return dict.fromkeys(known, Enforced.UNAVAILABLE)
    connection.close()  # to the pool: who waits must not hold what the executor may need
    notes = Notes()
    found = {}
    for account_id, future in zip(known, futures, strict=True):
        try:
            outcome = future.result(settings.EXECUTOR_RESULT_TIMEOUT_S)
        except FutureTimeout:
            found[account_id] = _classified(account_id, executor.given_up(future), notes)
        except Exception as error:  # noqa: BLE001 - classified, none is dropped
            found[account_id] = _classified(account_id, error, notes)
        else:
            found[account_id] = _done(outcome)
    notes.write()
    return found


def _done(outcome: Outcome) -> Enforced:
    if outcome.repeated:
        return Enforced.ALREADY
    return Enforced.PARTLY if outcome.payload.get("left") else Enforced.CLOSED


def _classified(account_id: int, error: Exception, notes: Notes) -> Enforced:
    if isinstance(error, StopOutVoid):
        notes.void.add(account_id)
        return Enforced.VOID
    if isinstance(error, StopOutStuck):
        notes.stuck(account_id, error)
        return Enforced.WAITS
    if isinstance(error, Unavailable):
        log.warning("liquidation_not_answered", account_id=account_id, error=repr(error))
        return Enforced.UNAVAILABLE
    log.error("liquidation_failed", account_id=account_id, exc_info=error)
    notes.fail(account_id, error)
    return Enforced.FAILED
