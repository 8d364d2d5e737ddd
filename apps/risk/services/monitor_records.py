"""
What a shard of the margin monitor keeps once a second (marks, its row, alarms), and the watch over threads.

Everything it writes stands under its lease: a deposed leader writes nothing. Only days that ended are closed
beside it, in a thread of their own, because that may take long. Part of monitor_shard.py.
"""

import threading
import time
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import structlog
from django.db import Error, transaction

from apps.market.services.board import own_board
from apps.risk.models import RiskAlarm
from apps.risk.services import alarms, liquidation, marks, monitor_status
from apps.risk.services.marks import Picked, Row
from apps.risk.services.monitor_status import Figures
from rtx.kernel import clock

if TYPE_CHECKING:
    from apps.risk.services.monitor_shard import Shard

RECOMPUTE_S = 60.0
LATE_S = 1.0  # ticks are dealt with within
FOLLOW_LATE_S = 3.0  # the journal is read within
ANSWER_LATE_S = 10.0  # what was asked for is answered within
GOOD_S = 10.0  # so long everything must have been in time before the alarm ends
HANGS_S = 30.0
ALARM_EVERY_S = 30.0

log = structlog.get_logger(__name__)


class MonitorHangs(RuntimeError):
    """A thread of the monitor makes no progress: the engine must be started anew."""


class Recorder:
    """Keeps one shard's records. `record` belongs to its record thread, `watch` to its lease thread."""

    def __init__(self, shard: "Shard") -> None:
        self._shard = shard
        self._turn = marks.Turn()
        self._day = date.min
        self._ended: list[Picked] = []
        self._closes = (
            False  # days that ended are not rows yet: until then no marks of the present one are stored
        )
        self._closer: threading.Thread | None = None
        self._recomputed_at = 0.0
        self._recorded_at = 0.0
        self._started_at = clock.now()
        self._late_at: float | None = None
        self._late_said_at = 0.0
        self._is_late_raised = True  # until it was looked at once: one may be open from before a restart
        self._blind_said: tuple[float, int] = (0.0, -1)
        self.drift = 0.0

    def begin(self, day: date) -> None:
        """Begin anew, knowing nothing of earlier leaders: days that they left open are closed first."""
        self._day, self._ended, self._closes = day, [], True
        self._late_at, self._late_said_at, self._is_late_raised = None, 0.0, True
        self._blind_said = (0.0, -1)
        self._started_at = clock.now()
        self._recorded_at = self._recomputed_at = time.monotonic()

    def stop(self) -> None:
        """Wait a little for days that are being closed."""
        if self._closer is not None:
            self._closer.join(timeout=5)

    def record(self) -> None:
        """
        Look at every account, and store what is due.

        :raises NotLeading: another one leads.
        """
        shard = self._shard
        portfolio = shard.portfolio
        assert portfolio is not None
        with shard.lock:
            if time.monotonic() >= self._recomputed_at + RECOMPUTE_S:
                self.drift = portfolio.recompute()
                self._recomputed_at = time.monotonic()
            latest = own_board().latest
            portfolio.tick(latest, latest, now_ms=clock.now_ms())  # what no tick has brought
            seen = portfolio.look(now_ms=clock.now_ms())
            found = monitor_status.figures(portfolio)
            self._turn_day()
            picked = None if self._closes else marks.pick(portfolio, self._turn, day=self._day)
        shard.act(seen)
        try:
            self._store(picked.rows() if picked else [], found)
        except BaseException:
            if picked is not None:
                with shard.lock:
                    marks.give_back(portfolio, picked)
            raise
        shard.lags.next_second()
        self._recorded_at = time.monotonic()
        self._tell_lateness()
        self._tell_blindness(found)

    def _turn_day(self) -> None:
        """Begin the next UTC day in memory; a clock that goes back changes nothing."""
        today, portfolio = clock.now().date(), self._shard.portfolio
        if today > self._day and portfolio is not None and not self._closes:
            self._ended = marks.ended_day(portfolio, self._day)
            self._day, self._closes = today, True

    def _store(self, rows: list[Row], found: Figures) -> None:
        shard = self._shard
        while self._ended:
            ended = self._ended[-1].rows()
            with transaction.atomic():
                shard.lease.verify()
                marks.store(ended)
            self._ended.pop()
        if self._closes and (self._closer is None or not self._closer.is_alive()):
            name = f"margin-{shard.name}-days"
            close = partial(self._close_days, self._day)
            self._closer = threading.Thread(target=shard.guard, args=(close,), name=name, daemon=True)
            self._closer.start()
        with transaction.atomic():
            shard.lease.verify()
            marks.store(rows)
            monitor_status.write(
                found,
                shard.lags,
                shard=shard.name,
                holder=shard.lease.holder,
                fence=shard.lease.fence,
                started_at=self._started_at,
                counters={
                    **shard.counted,
                    **shard.caller.counted,
                    "drift": round(self.drift, 9),
                    "liquidations_waiting": liquidation.backlog(),  # the sweep leaves these to us for a while
                },
                last_error=shard.last_error,
            )

    def _close_days(self, today: date) -> None:
        """Not under the lease, which it would hold for too long: whoever does it, it is done once."""
        try:
            marks.close_days(shard=self._shard.number, of=self._shard.of, today=today)
        except Error as error:  # the next record tries again
            self._shard.last_error = repr(error)
            log.warning("margin_days_wait", shard=self._shard.name, error=str(error))
            return
        if today == self._day:
            self._closes = False

    # -- alarms

    def _tell_lateness(self) -> None:
        lags, now = self._shard.lags, time.monotonic()
        waits_s = max(self._shard.caller.oldest_s, liquidation.oldest_s())
        if lags.present_s > LATE_S or lags.follow_s > FOLLOW_LATE_S or waits_s > ANSWER_LATE_S:
            self._late_at = now
            if now >= self._late_said_at + ALARM_EVERY_S:
                self._late_said_at, self._is_late_raised = now, True
                alarms.raise_alarm(
                    kind=RiskAlarm.Kind.MONITOR_LATE,
                    severity=RiskAlarm.Severity.CRITICAL,
                    subject=f"margin:{self._shard.name}",
                    message=f"Ticks are dealt with after {lags.present_s:.1f} s, "
                    f"the journal was read {lags.follow_s:.1f} s ago, "
                    f"what was asked for waits for {waits_s:.1f} s.",
                )
        elif self._is_late_raised and (self._late_at is None or now > self._late_at + GOOD_S):
            self._is_late_raised = False
            alarms.clear(kind=RiskAlarm.Kind.MONITOR_LATE, subject=f"margin:{self._shard.name}")

    def _tell_blindness(self, found: Figures) -> None:
        """Alarm when accounts cannot be valued, and end the alarm when all can."""
        now, count = time.monotonic(), found.without_price
        said_at, said = self._blind_said
        if count == said and (not count or now < said_at + ALARM_EVERY_S):
            return
        self._blind_said = (now, count)
        subject = f"margin:{self._shard.name}"
        if not count:
            alarms.clear(kind=RiskAlarm.Kind.NO_PRICE, subject=subject)
            return
        portfolio = self._shard.portfolio
        assert portfolio is not None
        with self._shard.lock:
            symbols = portfolio.blind_symbols()
        alarms.raise_alarm(
            kind=RiskAlarm.Kind.NO_PRICE,
            severity=RiskAlarm.Severity.CRITICAL,
            subject=subject,
            message=f"{count} accounts cannot be valued: no price or conversion for positions in "
            f"{', '.join(symbols[:10]) or 'nothing'}.",
            detail={"accounts": count, "symbols": symbols},
        )

    # -- the watch

    def watch(self) -> None:
        """
        Look after the other threads.

        :raises MonitorHangs: one of them has made no progress for long although it leads.
        """
        shard, now = self._shard, time.monotonic()
        if not shard.is_leading or not shard.lease.is_held:
            self._recorded_at = now
            return
        for what, since in (
            ("ticks have not been dealt with", shard.valuing_since),
            ("the journal has not been read", shard.lags.followed_at),
            ("records have not been kept", self._recorded_at),
        ):
            if since is not None and now - since > HANGS_S:
                raise MonitorHangs(f"{what} for {now - since:.0f} s")
